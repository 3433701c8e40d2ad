//! rtnetlink requests. Pure.

use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

use ipnet::IpNet;

use crate::mac::Mac;
use crate::names::{LinkName, Tag};
use crate::netlink::message::Message;
use crate::netlink::uapi::{
    AF_INET, AF_INET6, IFA_ADDRESS, IFA_BROADCAST, IFA_F_NODAD, IFA_FLAGS, IFA_LOCAL, IFF_UP,
    IFLA_ADDRESS, IFLA_AF_SPEC, IFLA_BR_FORWARD_DELAY, IFLA_BR_STP_STATE, IFLA_IFALIAS,
    IFLA_IFNAME, IFLA_INET6_ADDR_GEN_MODE, IFLA_INFO_DATA, IFLA_INFO_KIND, IFLA_LINKINFO,
    IFLA_MASTER, IFLA_MTU, IFLA_NET_NS_FD, IFLA_NUM_RX_QUEUES, IFLA_NUM_TX_QUEUES,
    IN6_ADDR_GEN_MODE_NONE, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, RT_SCOPE_UNIVERSE,
    RT_TABLE_MAIN, RTA_GATEWAY, RTA_OIF, RTM_DELADDR, RTM_DELLINK, RTM_GETADDR, RTM_GETLINK,
    RTM_GETROUTE, RTM_NEWADDR, RTM_NEWLINK, RTM_NEWROUTE, RTN_UNICAST, RTPROT_STATIC,
    VETH_INFO_PEER,
};

/// Index of the loopback link in every network namespace (`LOOPBACK_IFINDEX`, net/flow.h).
pub(crate) const LOOPBACK: u32 = 1;

/// `struct ifinfomsg`.
fn link_fixed(index: u32, flags: u32, change: u32) -> [u8; 16] {
    let mut fixed = [0; 16];
    fixed[4..8].copy_from_slice(&index.to_ne_bytes());
    fixed[8..12].copy_from_slice(&flags.to_ne_bytes());
    fixed[12..16].copy_from_slice(&change.to_ne_bytes());
    fixed
}

/// The link of this name.
pub(crate) fn get(name: &LinkName) -> Message {
    let mut message =
        Message::new(format!("find link {name}"), RTM_GETLINK, 0, &link_fixed(0, 0, 0));
    message.text(IFLA_IFNAME, name.as_str());
    message
}

/// All links.
pub(crate) fn list(flags: u16) -> Message {
    Message::new("list links", RTM_GETLINK, flags, &link_fixed(0, 0, 0))
}

/// All addresses.
pub(crate) fn list_addresses(flags: u16) -> Message {
    Message::new("list addresses", RTM_GETADDR, flags, &[0; 8])
}

/// All routes of all tables.
pub(crate) fn list_routes(flags: u16) -> Message {
    Message::new("list routes", RTM_GETROUTE, flags, &[0; 12])
}

/// A new bridge, down, that forwards from the first moment: without the spanning tree protocol
/// there is nothing to wait for.
pub(crate) fn create_bridge(name: &LinkName, mac: Mac, mtu: u32) -> Message {
    let flags = NLM_F_CREATE | NLM_F_EXCL;
    let doing = format!("create bridge {name}");
    let mut message = Message::new(doing, RTM_NEWLINK, flags, &link_fixed(0, 0, 0));
    message.text(IFLA_IFNAME, name.as_str());
    // A bridge whose address was never set takes the lowest of its ports', and so changes it when
    // guests come and go, which stales the neighbour caches of all the others.
    message.bytes(IFLA_ADDRESS, &mac.octets());
    message.u32(IFLA_MTU, mtu);
    message.nest(IFLA_LINKINFO, |info| {
        info.text(IFLA_INFO_KIND, "bridge");
        info.nest(IFLA_INFO_DATA, |bridge| {
            bridge.u32(IFLA_BR_STP_STATE, 0);
            bridge.u32(IFLA_BR_FORWARD_DELAY, 0);
        });
    });
    message.acknowledged()
}

/// A new pair of links: ours, a port of a bridge, and its peer, made in the other namespace.
pub(crate) struct Pair<'a> {
    pub(crate) host_name: &'a LinkName,
    pub(crate) host_mac: Mac,
    pub(crate) bridge_index: u32,
    pub(crate) peer_name: &'a LinkName,
    pub(crate) peer_mac: Mac,
    pub(crate) peer_namespace: BorrowedFd<'a>,
    pub(crate) mtu: u32,
}

/// The request for a [`Pair`]. Both ends are down.
pub(crate) fn create_pair(pair: &Pair<'_>) -> Message {
    let doing = format!("create link {} with its peer {}", pair.host_name, pair.peer_name);
    let flags = NLM_F_CREATE | NLM_F_EXCL;
    let mut message = Message::new(doing, RTM_NEWLINK, flags, &link_fixed(0, 0, 0));
    message.text(IFLA_IFNAME, pair.host_name.as_str());
    message.bytes(IFLA_ADDRESS, &pair.host_mac.octets());
    message.u32(IFLA_MTU, pair.mtu);
    message.u32(IFLA_MASTER, pair.bridge_index);
    one_queue(&mut message);
    message.nest(IFLA_LINKINFO, |info| {
        info.text(IFLA_INFO_KIND, "veth");
        info.nest(IFLA_INFO_DATA, |veth| {
            veth.nest(VETH_INFO_PEER, |peer| {
                peer.raw(&link_fixed(0, 0, 0));
                peer.text(IFLA_IFNAME, pair.peer_name.as_str());
                peer.bytes(IFLA_ADDRESS, &pair.peer_mac.octets());
                peer.u32(IFLA_MTU, pair.mtu);
                one_queue(peer);
                peer.u32(IFLA_NET_NS_FD, pair.peer_namespace.as_raw_fd().cast_unsigned());
            });
        });
    });
    message.acknowledged()
}

/// One queue for each direction. The kernel's default is one for each processor (Linux 5.13), each
/// with its entry in sysfs; a veth uses more than one only for XDP.
fn one_queue(message: &mut Message) {
    message.u32(IFLA_NUM_TX_QUEUES, 1);
    message.u32(IFLA_NUM_RX_QUEUES, 1);
}

/// Marks the link with its owner.
pub(crate) fn set_alias(name: &LinkName, tag: &Tag) -> Message {
    let mut message =
        Message::new(format!("mark link {name} as {tag}"), RTM_NEWLINK, 0, &link_fixed(0, 0, 0));
    message.text(IFLA_IFNAME, name.as_str());
    // Without a NUL: the kernel keeps the bytes as they are.
    message.bytes(IFLA_IFALIAS, tag.to_string().as_bytes());
    message.acknowledged()
}

/// Keeps the kernel from giving the link an IPv6 link-local address when it comes up, and from the
/// duplicate address detection and router solicitations that go with one.
pub(crate) fn no_link_local(name: &LinkName) -> Message {
    let doing = format!("switch off automatic addresses of link {name}");
    let mut message = Message::new(doing, RTM_NEWLINK, 0, &link_fixed(0, 0, 0));
    message.text(IFLA_IFNAME, name.as_str());
    message.nest(IFLA_AF_SPEC, |spec| {
        spec.nest(u16::from(AF_INET6), |inet6| {
            inet6.u8(IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
        });
    });
    message.acknowledged()
}

/// Sets hardware address and MTU of a link that exists.
pub(crate) fn set_mac_and_mtu(name: &LinkName, mac: Mac, mtu: u32) -> Message {
    let doing = format!("set address {mac} and MTU {mtu} of link {name}");
    let mut message = Message::new(doing, RTM_NEWLINK, 0, &link_fixed(0, 0, 0));
    message.text(IFLA_IFNAME, name.as_str());
    message.bytes(IFLA_ADDRESS, &mac.octets());
    message.u32(IFLA_MTU, mtu);
    message.acknowledged()
}

/// Switches a link on.
pub(crate) fn up(name: &LinkName) -> Message {
    let fixed = link_fixed(0, IFF_UP, IFF_UP);
    let mut message = Message::new(format!("set link {name} up"), RTM_NEWLINK, 0, &fixed);
    message.text(IFLA_IFNAME, name.as_str());
    message.acknowledged()
}

/// Switches the loopback link on.
pub(crate) fn loopback_up() -> Message {
    let fixed = link_fixed(LOOPBACK, IFF_UP, IFF_UP);
    Message::new("set link lo up", RTM_NEWLINK, 0, &fixed).acknowledged()
}

/// Removes a link, by index: a name may by now be another link's.
pub(crate) fn delete(name: &str, index: u32) -> Message {
    let fixed = link_fixed(index, 0, 0);
    Message::new(format!("remove link {name}"), RTM_DELLINK, 0, &fixed).acknowledged()
}

/// Gives a link an address, or changes nothing if it has it.
pub(crate) fn add_address(index: u32, net: IpNet) -> Message {
    let flags = NLM_F_CREATE | NLM_F_REPLACE;
    address(format!("add address {net}"), RTM_NEWADDR, flags, (index, net))
}

/// Takes an address from a link.
pub(crate) fn delete_address(index: u32, net: IpNet) -> Message {
    address(format!("remove address {net}"), RTM_DELADDR, 0, (index, net))
}

fn address(doing: String, kind: u16, flags: u16, (index, net): (u32, IpNet)) -> Message {
    let mut fixed = [0; 8];
    fixed[0] = family(net.addr());
    fixed[1] = net.prefix_len();
    fixed[4..8].copy_from_slice(&index.to_ne_bytes());
    let mut message = Message::new(doing, kind, flags, &fixed);
    message.bytes(IFA_LOCAL, &octets(net.addr()));
    message.bytes(IFA_ADDRESS, &octets(net.addr()));
    match net {
        IpNet::V4(net) if net.prefix_len() < 31 => {
            message.bytes(IFA_BROADCAST, &net.broadcast().octets());
        }
        IpNet::V4(_) => {}
        // Addresses come from our own pool, so nobody else has them. The detection would keep the
        // address unusable for a second.
        IpNet::V6(_) => message.u32(IFA_FLAGS, IFA_F_NODAD),
    }
    message.acknowledged()
}

/// Sends what has no other route to this gateway.
pub(crate) fn default_route(index: u32, gateway: IpAddr) -> Message {
    let mut fixed = [0; 12];
    fixed[0] = family(gateway);
    fixed[4..8].copy_from_slice(&[RT_TABLE_MAIN, RTPROT_STATIC, RT_SCOPE_UNIVERSE, RTN_UNICAST]);
    let flags = NLM_F_CREATE | NLM_F_REPLACE;
    let doing = format!("add the default route by {gateway}");
    let mut message = Message::new(doing, RTM_NEWROUTE, flags, &fixed);
    message.bytes(RTA_GATEWAY, &octets(gateway));
    message.u32(RTA_OIF, index);
    message.acknowledged()
}

fn family(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => AF_INET,
        IpAddr::V6(_) => AF_INET6,
    }
}

/// The address's bytes, as the kernel takes them.
pub(crate) fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}
