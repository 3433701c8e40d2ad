//! Which networks the container joins, under which names and addresses.

use std::net::IpAddr;

use super::{list, parse, ports};
use crate::wire::create::{CreateRequest, HostConfig, Map};
use crate::wire::network::{Endpoint, Ipam};

/// One `--network`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Network {
    target: String,
    aliases: Vec<String>,
    ipam: Ipam,
    mac_address: String,
    driver_opts: Map,
    gateway_priority: i64,
}

/// Flags for the network.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Network options")]
#[group(skip)]
pub(crate) struct Flags {
    /// Connect a container to a network
    #[arg(long, visible_alias = "net", value_name = "NETWORK", value_parser = network)]
    network: Vec<Network>,
    /// Add network-scoped alias for the container
    #[arg(long, visible_alias = "net-alias", value_name = "NAME")]
    network_alias: Vec<String>,
    /// IPv4 address (e.g., 172.30.100.104)
    #[arg(long, value_name = "ADDRESS", default_value = "", hide_default_value = true)]
    ip: String,
    /// IPv6 address (e.g., 2001:db8::33)
    #[arg(long, value_name = "ADDRESS", default_value = "", hide_default_value = true)]
    ip6: String,
    /// Container IPv4/IPv6 link-local addresses
    #[arg(long, value_name = "ADDRESS")]
    link_local_ip: Vec<String>,
    /// Container MAC address (e.g., 92:d0:c6:0a:29:33)
    #[arg(long, value_name = "ADDRESS", default_value = "", hide_default_value = true)]
    mac_address: String,
    /// Publish a container's port(s) to the host
    #[arg(short, long, value_name = "[[IP:]HOST:]CONTAINER")]
    publish: Vec<String>,
    /// Publish all exposed ports to random ports
    #[arg(short = 'P', long)]
    publish_all: bool,
    /// Expose a port or a range of ports
    #[arg(long, value_name = "PORT[/PROTOCOL]")]
    expose: Vec<String>,
    /// Set custom DNS servers
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    dns: Vec<String>,
    /// Set DNS options
    #[arg(long, visible_alias = "dns-opt", value_name = "OPTION")]
    dns_option: Vec<String>,
    /// Set custom DNS search domains
    #[arg(long, value_name = "DOMAIN")]
    dns_search: Vec<String>,
    /// Add a custom host-to-IP mapping
    #[arg(long, value_name = "HOST:IP", value_parser = extra_host)]
    add_host: Vec<String>,
    /// Add link to another container
    #[arg(long, value_name = "CONTAINER[:ALIAS]")]
    link: Vec<String>,
}

impl Flags {
    pub(super) fn apply(&self, request: &mut CreateRequest) -> Result<(), String> {
        for spec in &self.publish {
            let bindings = &mut request.host_config.port_bindings;
            ports::publish(spec, &mut request.exposed_ports, bindings)?;
        }
        for spec in &self.expose {
            ports::expose(spec, &mut request.exposed_ports)?;
        }
        let host = &mut request.host_config;
        host.publish_all_ports = self.publish_all;
        host.dns.clone_from(&self.dns);
        host.dns_options.clone_from(&self.dns_option);
        host.dns_search.clone_from(&self.dns_search);
        host.extra_hosts = list(&self.add_host);
        host.links = list(&self.link);
        let networks = self.joined()?;
        network_mode(host, &networks);
        for network in networks {
            let config = &mut request.networking_config.endpoints_config;
            if let Some((name, endpoint)) = endpoint(network)
                && config.insert(name.clone(), endpoint).is_some()
            {
                return Err(format!("network {name:?} is specified multiple times"));
            }
        }
        Ok(())
    }

    /// The networks with the single-network flags (`--ip`, `--network-alias` ...) put into the first.
    fn joined(&self) -> Result<Vec<Network>, String> {
        let mut networks = self.network.clone();
        if networks.is_empty() {
            networks.push(Network { target: "default".to_owned(), ..Network::default() });
        }
        if networks.len() > 1 && networks.iter().any(|n| !is_user_defined(&n.target)) {
            return Err("conflicting options: cannot attach both user-defined and \
                        non-user-defined network-modes"
                .to_owned());
        }
        let first = &mut networks[0];
        let has_alias = !self.network_alias.is_empty() || !first.aliases.is_empty();
        if has_alias && !is_user_defined(&first.target) {
            return Err(
                "network-scoped aliases are only supported for user-defined networks".to_owned()
            );
        }
        let twice = |flag: &str, field: &str| {
            Err(format!(
                "conflicting options: cannot specify both --{flag} and per-network {field}"
            ))
        };
        if !self.network_alias.is_empty() {
            if !first.aliases.is_empty() {
                return twice("network-alias", "alias");
            }
            first.aliases.clone_from(&self.network_alias);
        }
        for (flag, value, field) in [
            ("ip", &self.ip, &mut first.ipam.ipv4),
            ("ip6", &self.ip6, &mut first.ipam.ipv6),
            ("mac-address", &self.mac_address, &mut first.mac_address),
        ] {
            if !value.is_empty() {
                if !field.is_empty() {
                    return twice(flag, "address");
                }
                field.clone_from(value);
            }
        }
        first.ipam.link_local.extend(self.link_local_ip.iter().cloned());
        if !first.mac_address.is_empty() && !is_mac(&first.mac_address) {
            return Err(format!("{} is not a valid mac address", first.mac_address));
        }
        Ok(networks)
    }
}

/// The first network is the container's mode.
fn network_mode(host: &mut HostConfig, networks: &[Network]) {
    if let Some(first) = networks.first() {
        host.network_mode.clone_from(&first.target);
    }
}

/// The endpoint a network is joined by; none for the modes without one of their own.
fn endpoint(network: Network) -> Option<(String, Endpoint)> {
    let target = network.target;
    if matches!(target.as_str(), "host" | "none") || target.starts_with("container:") {
        return None;
    }
    let endpoint = Endpoint {
        ipam: (network.ipam != Ipam::default()).then_some(network.ipam),
        aliases: list(&network.aliases),
        mac_address: network.mac_address,
        driver_opts: (!network.driver_opts.is_empty()).then_some(network.driver_opts),
        gateway_priority: network.gateway_priority,
        ..Endpoint::default()
    };
    Some((target, endpoint))
}

fn is_user_defined(name: &str) -> bool {
    !matches!(name, "default" | "bridge" | "host" | "none") && !name.starts_with("container:")
}

/// Reads `NAME` or `name=NAME,alias=...,ip=...`.
fn network(text: &str) -> Result<Network, String> {
    if !text.contains('=') {
        return Ok(Network { target: text.to_owned(), ..Network::default() });
    }
    let mut network = Network::default();
    for field in parse::fields(text)? {
        let (key, value) = field
            .split_once('=')
            .ok_or(format!("invalid field {field:?}: must be a key=value pair"))?;
        let value = value.trim().to_owned();
        match key.trim().to_ascii_lowercase().as_str() {
            "name" => network.target = value,
            "alias" => network.aliases.push(value),
            "ip" => network.ipam.ipv4 = value,
            "ip6" => network.ipam.ipv6 = value,
            "link-local-ip" => network.ipam.link_local.push(value),
            "mac-address" => network.mac_address = value,
            "driver-opt" => {
                let (name, setting) = parse::key_value(&value);
                network.driver_opts.insert(name, setting);
            }
            "gw-priority" => {
                network.gateway_priority = value
                    .parse()
                    .map_err(|error| format!("invalid gw-priority ({value}): {error}"))?;
            }
            other => return Err(format!("invalid field key {other}")),
        }
    }
    if network.target.is_empty() {
        return Err("network name/id is not specified".to_owned());
    }
    Ok(network)
}

/// Reads `HOST:IP` or `HOST=IP`; `host-gateway` stands for the host's own address.
fn extra_host(text: &str) -> Result<String, String> {
    let split = text.split_once('=').or_else(|| text.split_once(':'));
    let Some((host, ip)) = split.filter(|(host, _)| !host.is_empty()) else {
        return Err(format!("bad format for add-host: {text:?}"));
    };
    let bare = ip.strip_prefix('[').and_then(|ip| ip.strip_suffix(']')).unwrap_or(ip);
    if bare != "host-gateway" && bare.parse::<IpAddr>().is_err() {
        return Err(format!("invalid IP address in add-host: {ip:?}"));
    }
    Ok(format!("{host}:{bare}"))
}

fn address(text: &str) -> Result<String, String> {
    match text.trim().parse::<IpAddr>() {
        Ok(address) => Ok(address.to_string()),
        Err(_) => Err(format!("IP address is not correctly formatted: {text}")),
    }
}

fn is_mac(text: &str) -> bool {
    let mut bytes = text.split([':', '-']);
    bytes.by_ref().take(6).filter(|b| b.len() == 2 && u8::from_str_radix(b, 16).is_ok()).count()
        == 6
        && bytes.next().is_none()
}
