//! The bridge of a network: made, repaired, removed.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::link::{self, Link, message};
use crate::mac::Mac;
use crate::names::{LinkName, Tag};
use crate::netlink::NetlinkError;
use crate::netlink::message::Message;
use crate::netlink::socket::Socket;
use crate::netlink::uapi::IFF_UP;
use crate::owned::{self, Foreign};
use crate::sysctl::{self, SysctlError};

/// A network's bridge as it should be.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Plan {
    /// Its name: the user's choice, or [`Tag::link_name`].
    pub name: LinkName,
    /// Whose it is.
    pub tag: Tag,
    /// The gateway addresses with their prefixes, one for each subnet.
    pub gateways: Vec<IpNet>,
    /// Largest packet.
    pub mtu: u32,
}

/// A bridge could not be made, repaired or removed.
#[derive(Debug, thiserror::Error)]
pub enum BridgeError {
    /// The name is somebody else's.
    #[error(transparent)]
    Foreign(#[from] Foreign),
    /// The kernel refused.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// A setting could not be made.
    #[error(transparent)]
    Sysctl(#[from] SysctlError),
    /// Somebody removed it while we worked.
    #[error("bridge {0} vanished while it was set up")]
    Vanished(LinkName),
}

impl Plan {
    /// The bridge's hardware address: that of its first gateway address, so it never changes.
    fn mac(&self) -> Mac {
        let first = self.gateways.first().map(IpNet::addr);
        first.map_or_else(|| Mac::for_host_end(self.name.as_str()), Mac::for_address)
    }

    fn has_ipv6(&self) -> bool {
        self.gateways.iter().any(|net| matches!(net.addr(), IpAddr::V6(_)))
    }
}

/// Makes the kernel's bridge as planned, whatever it was before, and lets the host forward.
///
/// Returns whether anything of the bridge had to be made or repaired. A link of that name that is
/// not ours is left alone and refused. When it fails, running it again goes on where it stopped.
pub fn ensure(plan: &Plan) -> Result<bool, BridgeError> {
    let mut socket = Socket::route()?;
    let created = create(&mut socket, plan)?;
    let found = link::find(&mut socket, &plan.name)?
        .ok_or_else(|| BridgeError::Vanished(plan.name.clone()))?;
    owned::check(&found, "bridge", &plan.tag)?;
    // Before the link is up, or it would have solicited routers and made itself an address.
    set_up(plan)?;
    let repairs = repairs(plan, &found, &link::addresses(&mut socket)?);
    socket.transact(&repairs)?;
    forward(plan)?;
    Ok(created || !repairs.is_empty())
}

/// Removes the bridge. One that is already gone is no error; one that is not ours is.
pub fn remove(name: &LinkName, tag: &Tag) -> Result<bool, BridgeError> {
    owned::remove(&mut Socket::route()?, name, ("bridge", tag))
}

/// Makes the link unless it exists. Both requests are one call, so no kill comes between.
fn create(socket: &mut Socket, plan: &Plan) -> Result<bool, BridgeError> {
    if link::find(socket, &plan.name)?.is_some() {
        return Ok(false);
    }
    let requests = [
        message::create_bridge(&plan.name, plan.mac(), plan.mtu),
        message::set_alias(&plan.name, &plan.tag),
    ];
    Ok(socket.transact(&requests).map(|()| true)?)
}

/// What differs between plan and kernel, as requests. Pure.
fn repairs(plan: &Plan, found: &Link, addresses: &[(u32, IpNet)]) -> Vec<Message> {
    let mut requests = Vec::new();
    if !found.has_mac(plan.mac()) || found.mtu != plan.mtu {
        requests.push(message::set_mac_and_mtu(&plan.name, plan.mac(), plan.mtu));
    }
    let link_local = IpAddr::from(plan.mac().link_local());
    let present = addresses.iter().filter(|(index, _)| *index == found.index).map(|(_, net)| *net);
    let present: Vec<IpNet> = present.collect();
    let surplus = present.iter().filter(|net| {
        !plan.gateways.contains(net) && (net.addr() != link_local || !plan.has_ipv6())
    });
    requests.extend(surplus.map(|net| message::delete_address(found.index, *net)));
    let missing = plan.gateways.iter().filter(|net| !present.contains(net));
    requests.extend(missing.map(|net| message::add_address(found.index, *net)));
    if found.flags & IFF_UP == 0 {
        requests.push(message::up(&plan.name));
    }
    requests
}

fn set_up(plan: &Plan) -> Result<(), SysctlError> {
    let name = &plan.name;
    // Guests must not reach what listens on the host's loopback addresses.
    sysctl::set(&format!("ipv4/conf/{name}/route_localnet"), "0")?;
    if sysctl::has_ipv6() {
        // A guest must not become the host's router.
        sysctl::set(&format!("ipv6/conf/{name}/accept_ra"), "0")?;
        let disable = if plan.has_ipv6() { "0" } else { "1" };
        sysctl::set(&format!("ipv6/conf/{name}/disable_ipv6"), disable)?;
    }
    Ok(())
}

fn forward(plan: &Plan) -> Result<(), SysctlError> {
    if plan.gateways.iter().any(|net| net.addr().is_ipv4()) {
        sysctl::forward_ipv4()?;
    }
    if plan.has_ipv6() {
        sysctl::forward_ipv6()?;
    }
    Ok(())
}
