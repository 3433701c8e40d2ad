//! Networks: the three that are always there.

use std::collections::BTreeMap;

use hull_model::id::GuestId;
use hull_model::record::Endpoint;
use hull_model::time::Timestamp;
use serde::Serialize;

use crate::filters::Filters;
use crate::query::Query;
use crate::refusal::Result;
use crate::version::ApiVersion;

/// A network as answers show it.
#[derive(Clone, Debug)]
pub struct NetworkView<'a> {
    /// `bridge`, `host` or `none`.
    pub name: &'a str,
    /// 64 hexadecimal digits.
    pub id: &'a str,
    /// When it was made.
    pub created: Timestamp,
    /// The addresses of a bridge; `None` for the other two, and until it is first used.
    pub bridge: Option<BridgeView<'a>>,
    /// The containers on it: id, name, place.
    pub members: Vec<(GuestId, &'a str, &'a Endpoint)>,
}

/// A bridge's addresses.
#[derive(Clone, Debug)]
pub struct BridgeView<'a> {
    /// The link on the host.
    pub link: &'a str,
    /// `172.17.0.0/16`.
    pub subnet: String,
    /// Its own address.
    pub gateway: String,
    /// Its largest packet.
    pub mtu: u32,
}

/// A network in answers.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Network {
    name: String,
    id: String,
    created: String,
    scope: &'static str,
    driver: &'static str,
    #[serde(rename = "EnableIPv4", skip_serializing_if = "Option::is_none")]
    enable_ipv4: Option<bool>,
    #[serde(rename = "EnableIPv6")]
    enable_ipv6: bool,
    #[serde(rename = "IPAM")]
    ipam: Ipam,
    internal: bool,
    attachable: bool,
    ingress: bool,
    config_from: ConfigFrom,
    config_only: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    containers: Option<BTreeMap<String, Member>>,
    options: BTreeMap<&'static str, String>,
    labels: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Ipam {
    driver: &'static str,
    options: Option<BTreeMap<String, String>>,
    config: Vec<IpamConfig>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct IpamConfig {
    subnet: String,
    gateway: String,
}

#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ConfigFrom {
    network: String,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Member {
    name: String,
    #[serde(rename = "EndpointID")]
    endpoint_id: String,
    mac_address: String,
    #[serde(rename = "IPv4Address")]
    ipv4_address: String,
    #[serde(rename = "IPv6Address")]
    ipv6_address: String,
}

/// The answer about one network, with its containers.
pub fn inspect(view: &NetworkView<'_>, version: ApiVersion) -> Network {
    let member = |(id, name, endpoint): &(GuestId, &str, &Endpoint)| {
        let member = Member {
            name: (*name).to_owned(),
            endpoint_id: endpoint.id.clone(),
            mac_address: endpoint.mac.map(|byte| format!("{byte:02x}")).join(":"),
            ipv4_address: format!("{}/{}", endpoint.address, endpoint.prefix),
            ipv6_address: String::new(),
        };
        (id.to_string(), member)
    };
    let containers = view.members.iter().map(member).collect();
    Network { containers: Some(containers), ..summary(view, version) }
}

/// One network of a list; clients below 1.28 expect the (empty) containers there.
pub fn summary(view: &NetworkView<'_>, version: ApiVersion) -> Network {
    let option = |name, value: &str| (name, value.to_owned());
    let (config, options) = match &view.bridge {
        None => (Vec::new(), BTreeMap::new()),
        Some(bridge) => (
            vec![IpamConfig { subnet: bridge.subnet.clone(), gateway: bridge.gateway.clone() }],
            BTreeMap::from([
                option("com.docker.network.bridge.default_bridge", "true"),
                option("com.docker.network.bridge.enable_ip_masquerade", "true"),
                option("com.docker.network.bridge.name", bridge.link),
                option("com.docker.network.driver.mtu", &bridge.mtu.to_string()),
            ]),
        ),
    };
    Network {
        name: view.name.to_owned(),
        id: view.id.to_owned(),
        created: view.created.to_string(),
        scope: "local",
        driver: driver(view.name),
        enable_ipv4: version.is_at_least(47).then_some(true),
        enable_ipv6: false,
        ipam: Ipam { driver: "default", options: None, config },
        internal: false,
        attachable: false,
        ingress: false,
        config_from: ConfigFrom::default(),
        config_only: false,
        containers: (!version.is_at_least(28)).then(BTreeMap::new),
        options,
        labels: BTreeMap::new(),
    }
}

fn driver(name: &str) -> &'static str {
    match name {
        "host" => "host",
        "none" => "null",
        _ => "bridge",
    }
}

/// Which networks a client wants to see.
#[derive(Clone, Debug)]
pub struct NetworkQuery {
    filters: Filters,
    dangling: Option<bool>,
}

impl NetworkQuery {
    /// Reads the parameters of a list.
    pub fn parse(query: &Query) -> Result<Self> {
        let known = ["dangling", "driver", "id", "label", "name", "scope", "type"];
        let filters = query.filters(&known)?;
        let asked = !filters.allows_all("dangling");
        let dangling = asked.then(|| filters.flag("dangling", false)).transpose()?;
        if let Some(kind) = filters.values("type").find(|t| !matches!(*t, "custom" | "builtin")) {
            return Err(crate::filters::invalid_value("type", kind));
        }
        Ok(Self { filters, dangling })
    }

    /// Whether this network is wanted. The built-in ones are never dangling.
    pub fn accepts(&self, view: &NetworkView<'_>) -> bool {
        self.dangling != Some(true)
            && self.filters.is("driver", driver(view.name))
            && self.filters.is("scope", "local")
            && self.filters.is("type", "builtin")
            && self.filters.any("id", |wanted| view.id.starts_with(wanted))
            && self.filters.matches("name", view.name)
            && self.filters.has_labels("label", &BTreeMap::new())
    }
}
