//! Which links are ours, found by their alias: what a restart compares with its records.

use crate::link::{self, Link, message};
use crate::names::{Instance, LinkName, Role, Tag};
use crate::netlink::NetlinkError;
use crate::netlink::socket::Socket;

/// A link of ours.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Owned {
    /// Its name.
    pub name: String,
    /// Whose it is.
    pub tag: Tag,
}

/// A link of that name exists and is not ours.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "link {name} exists and is not ours: a {kind} with alias {alias:?} (hint: remove or rename it)"
)]
pub struct Foreign {
    name: String,
    kind: String,
    alias: String,
}

/// All links of the instance, in the order of their making.
pub fn links(instance: &Instance) -> Result<Vec<Owned>, NetlinkError> {
    let ours = |link: Link| {
        let tag: Tag = link.alias.parse().ok()?;
        (tag.instance == *instance).then_some(Owned { name: link.name, tag })
    };
    Ok(link::all(&mut Socket::route()?)?.into_iter().filter_map(ours).collect())
}

/// A link could not be removed.
#[derive(Debug, thiserror::Error)]
pub enum DiscardError {
    /// It is somebody else's by now.
    #[error(transparent)]
    Foreign(#[from] Foreign),
    /// The kernel refused.
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    /// No link can be called so.
    #[error(transparent)]
    Name(#[from] crate::names::BadName),
}

/// Removes a link that [`links`] found; returns whether it was still there.
pub fn discard(link: &Owned) -> Result<bool, DiscardError> {
    let kind = match link.tag.role {
        Role::Network => "bridge",
        Role::Endpoint => "veth",
    };
    remove(&mut Socket::route()?, &link.name.parse()?, (kind, &link.tag))
}

/// Whether the link is ours, of this kind.
pub(crate) fn check(link: &Link, kind: &str, tag: &Tag) -> Result<(), Foreign> {
    if link.kind == kind && link.alias == tag.to_string() {
        return Ok(());
    }
    let (name, kind, alias) = (link.name.clone(), link.kind.clone(), link.alias.clone());
    Err(Foreign { name, kind, alias })
}

/// Removes the link if it exists and is ours; a link that is already gone is no error.
pub(crate) fn remove<E: From<NetlinkError> + From<Foreign>>(
    socket: &mut Socket,
    name: &LinkName,
    (kind, tag): (&str, &Tag),
) -> Result<bool, E> {
    let Some(found) = link::find(socket, name)? else { return Ok(false) };
    check(&found, kind, tag)?;
    match socket.transact(&[message::delete(&found.name, found.index)]) {
        Ok(()) => Ok(true),
        // Its guest ended meanwhile, and the kernel removed it with the guest's namespace.
        Err(error) if error.is(rustix::io::Errno::NODEV) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
