//! The network part of a create request.

use std::collections::BTreeMap;

use serde::Serialize;

use super::create::Map;

/// The networks a container joins, by name.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct NetworkingConfig {
    pub(crate) endpoints_config: BTreeMap<String, Endpoint>,
}

/// How a container joins one network.
///
/// The last fields are results which a server fills in; docker's CLI sends them empty, so we do.
#[derive(Debug, Default, Clone, Serialize)]
pub(crate) struct Endpoint {
    #[serde(rename = "IPAMConfig")]
    pub(crate) ipam: Option<Ipam>,
    #[serde(rename = "Links")]
    pub(crate) links: Option<Vec<String>>,
    #[serde(rename = "Aliases")]
    pub(crate) aliases: Option<Vec<String>>,
    #[serde(rename = "MacAddress")]
    pub(crate) mac_address: String,
    #[serde(rename = "DriverOpts")]
    pub(crate) driver_opts: Option<Map>,
    #[serde(rename = "GwPriority")]
    pub(crate) gateway_priority: i64,
    #[serde(flatten)]
    pub(crate) results: Results,
}

/// The addresses asked for.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Ipam {
    #[serde(rename = "IPv4Address", skip_serializing_if = "String::is_empty")]
    pub(crate) ipv4: String,
    #[serde(rename = "IPv6Address", skip_serializing_if = "String::is_empty")]
    pub(crate) ipv6: String,
    #[serde(rename = "LinkLocalIPs", skip_serializing_if = "Vec::is_empty")]
    pub(crate) link_local: Vec<String>,
}

/// What the server answers with; empty in a request.
#[derive(Debug, Default, Clone, Serialize)]
pub(crate) struct Results {
    #[serde(rename = "NetworkID")]
    network_id: String,
    #[serde(rename = "EndpointID")]
    endpoint_id: String,
    #[serde(rename = "Gateway")]
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
    #[serde(rename = "DNSNames")]
    dns_names: Option<Vec<String>>,
}
