//! The tables, chains, sets and rules of an instance. Pure.
//!
//! The number of rules is fixed; networks and endpoints are elements of sets. So a packet's cost does
//! not grow with their number, and adding one is one small request.
//!
//! `accept` ends only our own chain: rules of other tables see the packet still, and may drop it.

use std::net::IpAddr;

use super::expression::{Connection, Expression as E, Header, Meta, Verdict};
use super::shape::{Chain, Family, Hook, Rule, Set, field};
use crate::netlink::uapi::{IPS_DST_NAT, NFPROTO_IPV4};
use crate::ruleset::{Exit, Guard, Ruleset};

/// Bits of a connection's state (`NF_CT_STATE_BIT`, nf_conntrack_common.h).
const INVALID: u32 = 1;
const ESTABLISHED_OR_RELATED: u32 = 2 | 4;
/// Words of a register file that a link's name takes.
const NAME: u32 = 4;
/// … and a hardware address.
const MAC: u32 = 2;

/// Every set, in every instance.
pub(super) const SETS: [Set; 9] = [
    Set { family: Family::Inet, name: "bridges", key: &[field::LINK] },
    Set { family: Family::Inet, name: "within", key: &[field::LINK, field::LINK] },
    Set { family: Family::Inet, name: "outgoing", key: &[field::LINK] },
    Set { family: Family::Inet, name: "masqueraded", key: &[field::LINK] },
    Set { family: Family::Bridge, name: "ports", key: &[field::LINK] },
    Set { family: Family::Bridge, name: "macs", key: &[field::LINK, field::MAC] },
    Set { family: Family::Bridge, name: "ipv4", key: &[field::LINK, field::MAC, field::IPV4] },
    Set { family: Family::Bridge, name: "ipv6", key: &[field::LINK, field::MAC, field::IPV6] },
    Set {
        family: Family::Bridge,
        name: "neighbours",
        key: &[field::LINK, field::MAC, field::IPV6],
    },
];

/// Every chain. Priorities are nftables' own `raw`, `filter` and `srcnat`.
pub(super) const CHAINS: [Chain; 4] = [
    Chain {
        family: Family::Inet,
        name: "loopback",
        kind: "filter",
        hook: Hook::Prerouting,
        priority: -300,
    },
    Chain {
        family: Family::Inet,
        name: "forward",
        kind: "filter",
        hook: Hook::Forward,
        priority: 0,
    },
    Chain {
        family: Family::Inet,
        name: "postrouting",
        kind: "nat",
        hook: Hook::Postrouting,
        priority: 100,
    },
    Chain {
        family: Family::Bridge,
        name: "prerouting",
        kind: "filter",
        hook: Hook::Prerouting,
        priority: -300,
    },
];

/// Every rule, in order.
pub(super) fn rules() -> Vec<Rule> {
    let mut rules = loopback();
    rules.extend(forward());
    rules.extend(postrouting());
    rules.extend(guard());
    rules
}

/// Whatever a link's settings allow, nothing from a guest is for the host's loopback addresses.
fn loopback() -> Vec<Rule> {
    let rule = |comment, steps| Rule { family: Family::Inet, chain: "loopback", comment, steps };
    vec![rule(
        "guests do not reach the host's loopback",
        vec![
            E::Load(Meta::InLink, 0),
            E::In { set: "bridges", register: 0 },
            E::Load(Meta::Family, 0),
            E::Equal { register: 0, value: vec![NFPROTO_IPV4] },
            E::Payload { header: Header::Network, offset: 16, len: 1, to: 0 },
            E::Equal { register: 0, value: vec![127] },
            E::End(Verdict::Drop),
        ],
    )]
}

fn forward() -> Vec<Rule> {
    let rule = |comment, steps| Rule { family: Family::Inet, chain: "forward", comment, steps };
    let from_bridge = || [E::Load(Meta::InLink, 0), E::In { set: "bridges", register: 0 }];
    let to_bridge = || [E::Load(Meta::OutLink, 0), E::In { set: "bridges", register: 0 }];
    let any = |what, mask| [E::Track(what, 0), E::AnyBit { register: 0, mask }];
    let steps = |parts: &[&[E]]| parts.concat();
    let (accept, drop) = (&[E::End(Verdict::Accept)], &[E::End(Verdict::Drop)]);
    let out = [E::Load(Meta::InLink, 0), E::In { set: "outgoing", register: 0 }];
    // Frames between ports of one bridge pass here only where br_netfilter shows them to IP rules.
    let within = [
        E::Load(Meta::InLink, 0),
        E::Load(Meta::OutLink, NAME),
        E::In { set: "within", register: 0 },
    ];
    vec![
        rule("within a network", steps(&[&within, accept])),
        rule("replies", steps(&[&any(Connection::State, ESTABLISHED_OR_RELATED), accept])),
        // What no connection is known for would leave with the guest's own address.
        rule("stray packets", steps(&[&from_bridge(), &any(Connection::State, INVALID), drop])),
        rule(
            "published ports",
            steps(&[&to_bridge(), &any(Connection::Status, IPS_DST_NAT), accept]),
        ),
        rule("networks apart", steps(&[&to_bridge(), drop])),
        rule("ways out", steps(&[&out, accept])),
        rule("internal networks", steps(&[&from_bridge(), drop])),
    ]
}

fn postrouting() -> Vec<Rule> {
    vec![Rule {
        family: Family::Inet,
        chain: "postrouting",
        comment: "the host's address for packets that leave",
        steps: vec![
            E::Load(Meta::InLink, 0),
            E::In { set: "masqueraded", register: 0 },
            E::Load(Meta::OutLink, 0),
            E::NotIn { set: "bridges", register: 0 },
            E::Masquerade,
        ],
    }]
}

/// What a guest may send, checked where its frames enter the bridge.
fn guard() -> Vec<Rule> {
    let rule =
        |comment, steps| Rule { family: Family::Bridge, chain: "prerouting", comment, steps };
    let sender = |header, offset| {
        let mac = E::Payload { header, offset, len: 6, to: NAME };
        vec![E::Load(Meta::InLink, 0), mac]
    };
    let address = |header, offset, len| E::Payload { header, offset, len, to: NAME + MAC };
    let kind = |number: u16| {
        let value = number.to_be_bytes().to_vec();
        let load = E::Payload { header: Header::Link, offset: 12, len: 2, to: 0 };
        vec![load, E::Equal { register: 0, value }]
    };
    // The kernel finds the transport header behind IPv6 extension headers.
    let icmp = |number| {
        let mut steps = kind(0x86dd);
        steps.extend([
            E::Load(Meta::Transport, 0),
            E::Equal { register: 0, value: vec![58] },
            E::Payload { header: Header::Transport, offset: 0, len: 1, to: 0 },
            E::Equal { register: 0, value: vec![number] },
        ]);
        steps
    };
    let is_in = |set| E::In { set, register: 0 };
    let not_in = |set| E::NotIn { set, register: 0 };
    let (accept, drop) = (vec![E::End(Verdict::Accept)], vec![E::End(Verdict::Drop)]);
    let ours = vec![E::Load(Meta::InLink, 0), not_in("ports")];
    let link = |set, header, offset, net| [sender(header, offset), vec![net, is_in(set)]].concat();
    let ipv4 = link("ipv4", Header::Link, 6, address(Header::Network, 12, 4));
    let arp = link("ipv4", Header::Network, 8, address(Header::Network, 14, 4));
    let ipv6 = link("ipv6", Header::Link, 6, address(Header::Network, 8, 16));
    let target =
        [sender(Header::Link, 6), vec![address(Header::Transport, 8, 16), not_in("neighbours")]];
    let forged_mac = [sender(Header::Link, 6), vec![not_in("macs")]].concat();
    vec![
        rule("other ports", [ours, accept.clone()].concat()),
        rule("forged hardware address", [forged_mac, drop.clone()].concat()),
        rule("IPv4", [kind(0x0800), ipv4, accept.clone()].concat()),
        rule("ARP", [kind(0x0806), arp, accept.clone()].concat()),
        rule("router advertisement", [icmp(134), drop.clone()].concat()),
        rule("redirect", [icmp(137), drop.clone()].concat()),
        rule("forged neighbour", [icmp(136), target.concat(), drop.clone()].concat()),
        rule("IPv6", [kind(0x86dd), ipv6, accept].concat()),
        rule("all else", drop),
    ]
}

/// A set's name and one key in it.
pub(super) type Element = (&'static str, Vec<u8>);

/// The elements of a ruleset.
pub(super) fn elements(ruleset: &Ruleset) -> Vec<Element> {
    let mut elements = Vec::new();
    for (bridge, exit) in &ruleset.bridges {
        let name = field::link(bridge);
        elements.push(("bridges", name.clone()));
        elements.push(("within", [name.clone(), name.clone()].concat()));
        let (out, masqueraded) = match exit {
            Exit::None => (false, false),
            Exit::Routed => (true, false),
            Exit::Masquerade => (true, true),
        };
        elements.extend(out.then(|| ("outgoing", name.clone())));
        elements.extend(masqueraded.then_some(("masqueraded", name)));
    }
    elements.extend(ruleset.guards.iter().flat_map(admissions));
    elements
}

/// The elements of one endpoint.
pub(super) fn admissions(guard: &Guard) -> Vec<Element> {
    let port = field::link(&guard.port);
    let pair = [port.clone(), field::mac(guard.mac)].concat();
    let key = |address: &[u8]| [&pair[..], address].concat();
    let mut elements = vec![("ports", port), ("macs", pair.clone())];
    for address in &guard.addresses {
        match address {
            IpAddr::V4(address) => elements.push(("ipv4", key(&address.octets()))),
            IpAddr::V6(address) => {
                elements.push(("ipv6", key(&address.octets())));
                elements.push(("neighbours", key(&address.octets())));
            }
        }
    }
    if guard.addresses.iter().any(IpAddr::is_ipv6) {
        let local = guard.mac.link_local().octets();
        elements.push(("ipv6", key(&local)));
        elements.push(("neighbours", key(&local)));
        // Duplicate address detection asks without an address (RFC 4862).
        elements.push(("ipv6", key(&[0; 16])));
    }
    elements
}
