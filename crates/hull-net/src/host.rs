//! What the host's own network looks like, so that ours stays out of its way.

use ipnet::IpNet;

use crate::link::{self, message};
use crate::netlink::NetlinkError;
use crate::netlink::attribute;
use crate::netlink::socket::Socket;
use crate::netlink::uapi::{AF_INET, AF_INET6, RTA_DST, RTA_OIF, RTA_PRIORITY, RTN_UNICAST};

/// Length of `struct rtmsg`.
const ROUTE_FIXED_LEN: usize = 12;
/// Ethernet's, for a host without a way out.
const MTU_DEFAULT: u32 = 1500;

/// The host's network, read once and passed on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Facts {
    /// Subnets of the host's links and routes, of every table. Default routes are among them;
    /// [`crate::subnet::choose`] knows what to make of those.
    pub in_use: Vec<IpNet>,
    /// The MTU of the link of the default route: a larger one would need packets to be split, or
    /// lose them.
    pub mtu: u32,
}

impl Facts {
    /// Reads them in the calling thread's network namespace.
    pub fn read() -> Result<Self, NetlinkError> {
        let mut socket = Socket::route()?;
        let links = link::all(&mut socket)?;
        let addresses = link::addresses(&mut socket)?;
        let replies = socket.dump(message::list_routes)?;
        let routes: Vec<Route> = replies.iter().filter_map(|(_, body)| Route::read(body)).collect();
        let default = routes.iter().filter(|route| route.net.prefix_len() == 0);
        let default = default.min_by_key(|route| route.metric).map(|route| route.link);
        let mtu = links.iter().find(|link| Some(link.index) == default).map(|link| link.mtu);
        let mut in_use: Vec<IpNet> = addresses.iter().map(|(_, net)| net.trunc()).collect();
        in_use.extend(routes.iter().map(|route| route.net));
        in_use.sort_unstable();
        in_use.dedup();
        Ok(Self { in_use, mtu: mtu.unwrap_or(MTU_DEFAULT) })
    }
}

struct Route {
    net: IpNet,
    link: u32,
    metric: u32,
}

impl Route {
    /// Reads a route by which packets leave; none for local and broadcast addresses.
    fn read(body: &[u8]) -> Option<Self> {
        let (family, prefix, kind) = (*body.first()?, *body.get(1)?, *body.get(7)?);
        if kind != RTN_UNICAST {
            return None;
        }
        let attributes = body.get(ROUTE_FIXED_LEN..)?;
        let number = |kind| attribute::find(attributes, kind).and_then(|v| attribute::u32_at(v, 0));
        let unspecified: &[u8] = match family {
            AF_INET => &[0; 4],
            AF_INET6 => &[0; 16],
            _ => return None,
        };
        let destination = attribute::find(attributes, RTA_DST).unwrap_or(unspecified);
        Some(Self {
            net: IpNet::new(attribute::address(destination)?, prefix).ok()?.trunc(),
            link: number(RTA_OIF).unwrap_or_default(),
            metric: number(RTA_PRIORITY).unwrap_or_default(),
        })
    }
}
