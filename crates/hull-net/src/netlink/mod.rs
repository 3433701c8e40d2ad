//! Netlink by hand: messages as bytes, a blocking socket, the kernel's numbers.
//!
//! Why not a library: `docs/decisions/0002-netlink.md`.

pub(crate) mod attribute;
pub(crate) mod message;
pub(crate) mod socket;
pub(crate) mod uapi;

pub use socket::NetlinkError;
