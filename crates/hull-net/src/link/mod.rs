//! Links as the kernel describes them, and the requests that make and change them.

pub(crate) mod message;

use ipnet::IpNet;

use crate::mac::Mac;
use crate::names::LinkName;
use crate::netlink::NetlinkError;
use crate::netlink::attribute;
use crate::netlink::socket::{Reply, Socket};
use crate::netlink::uapi::{
    IFA_ADDRESS, IFA_LOCAL, IFLA_ADDRESS, IFLA_IFALIAS, IFLA_IFNAME, IFLA_INFO_KIND, IFLA_LINKINFO,
    IFLA_MASTER, IFLA_MTU,
};

/// Length of `struct ifinfomsg`.
const LINK_FIXED_LEN: usize = 16;
/// Length of `struct ifaddrmsg`.
const ADDRESS_FIXED_LEN: usize = 8;

/// A link as observed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Link {
    pub(crate) index: u32,
    pub(crate) flags: u32,
    pub(crate) name: String,
    /// `bridge`, `veth`, …; empty for hardware.
    pub(crate) kind: String,
    /// Empty if it has none.
    pub(crate) alias: String,
    pub(crate) mtu: u32,
    pub(crate) mac: Vec<u8>,
    pub(crate) master: Option<u32>,
}

impl Link {
    /// Reads the body of a link message.
    pub(crate) fn read(body: &[u8]) -> Option<Self> {
        let attributes = body.get(LINK_FIXED_LEN..)?;
        let text = |kind| attribute::find(attributes, kind).map(attribute::text);
        let number = |kind| attribute::find(attributes, kind).and_then(|v| attribute::u32_at(v, 0));
        let kind = attribute::find(attributes, IFLA_LINKINFO)
            .and_then(|info| attribute::find(info, IFLA_INFO_KIND))
            .map(attribute::text);
        Some(Self {
            index: attribute::u32_at(body, 4)?,
            flags: attribute::u32_at(body, 8)?,
            name: text(IFLA_IFNAME)?,
            kind: kind.unwrap_or_default(),
            alias: text(IFLA_IFALIAS).unwrap_or_default(),
            mtu: number(IFLA_MTU).unwrap_or_default(),
            mac: attribute::find(attributes, IFLA_ADDRESS).unwrap_or_default().to_vec(),
            master: number(IFLA_MASTER),
        })
    }

    /// Whether it has this hardware address.
    pub(crate) fn has_mac(&self, mac: Mac) -> bool {
        self.mac == mac.octets()
    }
}

/// The link of this name, if there is one.
pub(crate) fn find(socket: &mut Socket, name: &LinkName) -> Result<Option<Link>, NetlinkError> {
    match socket.ask(message::get(name)) {
        Ok(reply) => Ok(reply.and_then(|(_, body)| Link::read(&body))),
        Err(error) if error.is(rustix::io::Errno::NODEV) => Ok(None),
        Err(error) => Err(error),
    }
}

/// All links.
pub(crate) fn all(socket: &mut Socket) -> Result<Vec<Link>, NetlinkError> {
    let replies = socket.dump(message::list)?;
    Ok(replies.iter().filter_map(|(_, body)| Link::read(body)).collect())
}

/// All addresses, each with the index of its link.
pub(crate) fn addresses(socket: &mut Socket) -> Result<Vec<(u32, IpNet)>, NetlinkError> {
    let replies = socket.dump(message::list_addresses)?;
    Ok(replies.iter().filter_map(read_address).collect())
}

fn read_address((_, body): &Reply) -> Option<(u32, IpNet)> {
    let attributes = body.get(ADDRESS_FIXED_LEN..)?;
    // On a point-to-point link IFA_ADDRESS is the other end; IFA_LOCAL is always ours.
    let value = attribute::find(attributes, IFA_LOCAL)
        .or_else(|| attribute::find(attributes, IFA_ADDRESS))?;
    let net = IpNet::new(attribute::address(value)?, *body.get(1)?).ok()?;
    Some((attribute::u32_at(body, 4)?, net))
}
