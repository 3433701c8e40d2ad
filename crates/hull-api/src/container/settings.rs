//! `NetworkSettings` of inspect and list.

use std::collections::BTreeMap;

use hull_model::guest::GuestSpec;
use hull_model::namespace::Network;
use hull_model::record::{Endpoint, GuestRecord};
use serde::Serialize;

use super::namespaces::network_mode;
use crate::json::{Nothing, is_default};
use crate::version::ApiVersion;

/// Where a container is on its networks.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct NetworkSettings {
    #[serde(rename = "SandboxID")]
    sandbox_id: String,
    sandbox_key: String,
    /// Exposed ports; `null` for one that is not published.
    ports: BTreeMap<String, Option<Vec<Nothing>>>,
    networks: BTreeMap<String, EndpointSettings>,
    #[serde(flatten)]
    legacy: Option<Legacy>,
}

/// A container's place on one network.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct EndpointSettings {
    #[serde(rename = "IPAMConfig")]
    ipam_config: Option<Nothing>,
    links: Option<Vec<String>>,
    aliases: Option<Vec<String>>,
    mac_address: String,
    driver_opts: Option<BTreeMap<String, String>>,
    /// 1.48 and up.
    #[serde(skip_serializing_if = "Option::is_none")]
    gw_priority: Option<i64>,
    #[serde(rename = "NetworkID")]
    network_id: String,
    #[serde(rename = "EndpointID")]
    endpoint_id: String,
    gateway: String,
    #[serde(rename = "IPAddress")]
    ip_address: String,
    #[serde(rename = "IPPrefixLen")]
    ip_prefix_len: u8,
    #[serde(rename = "IPv6Gateway")]
    ipv6_gateway: String,
    #[serde(rename = "GlobalIPv6Address")]
    global_ipv6_address: String,
    #[serde(rename = "GlobalIPv6PrefixLen")]
    global_ipv6_prefix_len: u8,
    /// 1.44 and up.
    #[serde(rename = "DNSNames", skip_serializing_if = "is_default")]
    dns_names: Option<Option<Vec<String>>>,
}

/// The default network's fields once more, at the top; below 1.52.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Legacy {
    bridge: String,
    hairpin_mode: bool,
    #[serde(rename = "LinkLocalIPv6Address")]
    link_local_ipv6_address: String,
    #[serde(rename = "LinkLocalIPv6PrefixLen")]
    link_local_ipv6_prefix_len: u8,
    #[serde(rename = "SecondaryIPAddresses")]
    secondary_ip_addresses: Option<Vec<Nothing>>,
    #[serde(rename = "SecondaryIPv6Addresses")]
    secondary_ipv6_addresses: Option<Vec<Nothing>>,
    #[serde(rename = "EndpointID")]
    endpoint_id: String,
    gateway: String,
    #[serde(rename = "GlobalIPv6Address")]
    global_ipv6_address: String,
    #[serde(rename = "GlobalIPv6PrefixLen")]
    global_ipv6_prefix_len: u8,
    #[serde(rename = "IPAddress")]
    ip_address: String,
    #[serde(rename = "IPPrefixLen")]
    ip_prefix_len: u8,
    #[serde(rename = "IPv6Gateway")]
    ipv6_gateway: String,
    mac_address: String,
}

impl NetworkSettings {
    pub(super) fn of(record: &GuestRecord, version: ApiVersion) -> Self {
        let endpoint = record.endpoint.as_ref();
        let alive = record.state.is_alive();
        let sandbox_key = match record.pid {
            Some(pid) if alive => format!("/proc/{pid}/ns/net"),
            _ => String::new(),
        };
        Self {
            sandbox_id: if alive { record.id.to_string() } else { String::new() },
            sandbox_key,
            ports: match alive {
                true => ports(&record.spec),
                false => BTreeMap::new(),
            },
            networks: networks(record, version),
            legacy: version.has_legacy_fields().then(|| Legacy::of(endpoint)),
        }
    }
}

fn ports(spec: &GuestSpec) -> BTreeMap<String, Option<Vec<Nothing>>> {
    spec.exposed_ports.iter().map(|port| (port.clone(), None)).collect()
}

/// The networks a container is on, or will be on when it starts.
pub(super) fn networks(
    record: &GuestRecord,
    version: ApiVersion,
) -> BTreeMap<String, EndpointSettings> {
    let name = match (&record.endpoint, &record.spec.namespaces.network) {
        (Some(endpoint), _) => endpoint.network.clone(),
        (None, Network::Guest(_)) => return BTreeMap::new(),
        (None, mode) => network_mode(mode),
    };
    let short = record.id.short();
    let mut settings = EndpointSettings {
        gw_priority: version.is_at_least(48).then_some(0),
        dns_names: version.is_at_least(44).then(|| {
            let is_named = matches!(record.spec.namespaces.network, Network::Named(_));
            is_named.then(|| vec![record.name.as_str().to_owned(), short])
        }),
        ..EndpointSettings::default()
    };
    if let Some(endpoint) = &record.endpoint {
        settings.mac_address = mac(endpoint);
        settings.network_id.clone_from(&endpoint.network_id);
        settings.endpoint_id.clone_from(&endpoint.id);
        settings.gateway = endpoint.gateway.to_string();
        settings.ip_address = endpoint.address.to_string();
        settings.ip_prefix_len = endpoint.prefix;
    }
    BTreeMap::from([(name, settings)])
}

impl Legacy {
    fn of(endpoint: Option<&Endpoint>) -> Self {
        let Some(endpoint) = endpoint.filter(|endpoint| endpoint.network == "bridge") else {
            return Self::default();
        };
        Self {
            endpoint_id: endpoint.id.clone(),
            gateway: endpoint.gateway.to_string(),
            ip_address: endpoint.address.to_string(),
            ip_prefix_len: endpoint.prefix,
            mac_address: mac(endpoint),
            ..Self::default()
        }
    }
}

/// `02:42:ac:11:00:02`.
fn mac(endpoint: &Endpoint) -> String {
    endpoint.mac.map(|byte| format!("{byte:02x}")).join(":")
}
