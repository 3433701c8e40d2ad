//! What the firewall should enforce for an instance. Pure data; `rules` carries it out.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::mac::Mac;
use crate::names::{Instance, LinkName};

/// All rules of one instance.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Ruleset {
    /// Names the tables.
    pub instance: Instance,
    /// Its networks' bridges.
    pub bridges: BTreeMap<LinkName, Exit>,
    /// Its attached endpoints.
    pub guards: Vec<Guard>,
}

/// How packets leave a network.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// Not at all: the network is internal.
    None,
    /// As they are, for hosts that know the way back.
    Routed,
    /// With the host's address.
    Masquerade,
}

/// What one endpoint may send: packets with its own addresses. All else is dropped at the bridge's
/// port, so guests cannot forge addresses, ARP, neighbour or router advertisements.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Guard {
    /// The host's end of its link.
    pub port: LinkName,
    /// Its hardware address.
    pub mac: Mac,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
}
