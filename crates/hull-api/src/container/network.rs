//! Names and networks: resolver settings, and `NetworkingConfig` at create.

use std::collections::BTreeMap;
use std::net::IpAddr;

use hull_model::guest::Dns;
use hull_model::namespace::Network;
use serde::{Deserialize, Serialize};

use super::config::Config;
use super::host_config::{HostConfig, Map};
use super::namespaces::network_mode;
use crate::json::is_default;
use crate::refusal::{Refusal, Result, quote};
use crate::version::ApiVersion;

/// The networks a container joins, by name.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct NetworkingConfig {
    endpoints_config: BTreeMap<String, EndpointRequest>,
}

/// How a container is to join one network. The fields of the result that clients send along
/// (`EndpointID` and so on) are ignored, as in Docker.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default, rename_all = "PascalCase")]
struct EndpointRequest {
    #[serde(rename = "IPAMConfig")]
    ipam_config: IpamRequest,
    links: Vec<String>,
    aliases: Vec<String>,
    mac_address: String,
    driver_opts: Map,
    gw_priority: i64,
}

#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(default)]
struct IpamRequest {
    #[serde(rename = "IPv4Address")]
    ipv4_address: String,
    #[serde(rename = "IPv6Address")]
    ipv6_address: String,
    #[serde(rename = "LinkLocalIPs")]
    link_local_ips: Vec<String>,
}

/// Accepts one endpoint, on the network of `NetworkMode`, that asks for nothing further.
pub(super) fn check_endpoints(
    networks: &NetworkingConfig,
    network: &Network,
    version: ApiVersion,
) -> Result<()> {
    let endpoints = &networks.endpoints_config;
    if endpoints.len() > 1 && !version.is_at_least(44) {
        let names: Vec<_> = endpoints.keys().map(String::as_str).collect();
        return Err(Refusal::invalid(format_args!(
            "Container cannot be connected to network endpoints: {}",
            quote(&names.join(", "))
        )));
    }
    let own = network_mode(network);
    for (name, endpoint) in endpoints {
        let field = format!("NetworkingConfig.EndpointsConfig[{}]", quote(name));
        let is_own = *name == own || (name == "default" && own == "bridge");
        if !is_own || !is_default(endpoint) {
            let shown = serde_json::to_string(endpoint).unwrap_or_default();
            return Err(Refusal::unsupported(&field, shown));
        }
    }
    Ok(())
}

/// The resolver's settings.
pub(super) fn read_dns(host: &HostConfig) -> Result<Dns> {
    let address = |text: &String| {
        text.parse::<IpAddr>()
            .map_err(|_bad| Refusal::invalid(format_args!("invalid IP address: {}", quote(text))))
    };
    let words = |what: &str, list: &Option<Vec<String>>| {
        let list = list.clone().unwrap_or_default();
        // They become lines of resolv.conf(5).
        match list
            .iter()
            .find(|w| w.is_empty() || w.contains(|c: char| c.is_whitespace() || c.is_control()))
        {
            Some(bad) => Err(Refusal::invalid(format_args!("invalid {what}: {:?}", quote(bad)))),
            None => Ok(list),
        }
    };
    Ok(Dns {
        servers: host.dns.iter().flatten().map(address).collect::<Result<_>>()?,
        search: words("DnsSearch", &host.dns_search)?,
        options: words("DnsOptions", &host.dns_options)?,
    })
}

/// Writes `dns` where [`read_dns`] finds it.
pub(super) fn write_dns(dns: &Dns, host: &mut HostConfig) {
    host.dns = Some(dns.servers.iter().map(IpAddr::to_string).collect());
    host.dns_search = Some(dns.search.clone());
    host.dns_options = Some(dns.options.clone());
}

/// `name:address` lines; `host-gateway` stands for an address the engine knows.
pub(super) fn read_hosts(lines: &[String]) -> Result<Vec<String>> {
    for line in lines {
        let bad = || Refusal::invalid(format_args!("bad format for add-host: {:?}", quote(line)));
        let (name, address) = line.split_once(':').ok_or_else(bad)?;
        let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        if name.is_empty()
            || name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '#')
        {
            return Err(bad());
        }
        if address != "host-gateway" && bare.unwrap_or(address).parse::<IpAddr>().is_err() {
            return Err(Refusal::invalid(format_args!(
                "invalid IP address in add-host: {:?}",
                quote(address)
            )));
        }
    }
    Ok(lines.to_vec())
}

/// Settings that contradict the network mode (moby `runconfig/hostconfig_unix.go`).
pub(super) fn check_conflicts(config: &Config, host: &HostConfig, network: &Network) -> Result<()> {
    let conflict = |what: &str| Err(Refusal::invalid(format_args!("conflicting options: {what}")));
    let some = |list: &Option<Vec<String>>| list.as_ref().is_some_and(|list| !list.is_empty());
    if host.uts_mode == "host" && !config.hostname.is_empty() {
        return conflict("hostname and the UTS mode");
    }
    if !matches!(network, Network::Guest(_)) {
        return Ok(());
    }
    if !config.hostname.is_empty() {
        return conflict("hostname and the network mode");
    }
    if some(&host.links) {
        return conflict(
            "container type network can't be used with links. This would result in undefined behavior",
        );
    }
    if some(&host.dns) {
        return conflict("dns and the network mode");
    }
    if some(&host.extra_hosts) {
        return conflict("custom host-to-IP mapping and the network mode");
    }
    if !config.mac_address.is_empty() {
        return conflict("mac-address and the network mode");
    }
    if host.publish_all_ports || host.port_bindings.as_ref().is_some_and(|ports| !ports.is_empty())
    {
        return conflict("port publishing and the container type network mode");
    }
    if config.exposed_ports.as_ref().is_some_and(|ports| !ports.is_empty()) {
        return conflict("port exposing and the container type network mode");
    }
    Ok(())
}
