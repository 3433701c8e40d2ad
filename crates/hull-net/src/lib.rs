//! Networks of guests: address plans, links and firewall rules, applied by netlink.
//!
//! The crate is given a network namespace as a descriptor and never learns what runs in it. All
//! effects happen in the network namespace of the calling thread ("the host" below), block, and
//! finish within milliseconds; async callers go through `spawn_blocking`. Every effect may be
//! repeated: a caller that was killed half-way runs it again, or undoes it with [`endpoint::detach`],
//! [`bridge::remove`] or [`rules::remove`]. What was made can be found again by its owner's
//! [`names::Tag`], which each link carries as its alias ([`owned::links`]).
//!
//! The order for a new network: [`rules::apply`] with its bridge among the others, [`bridge::ensure`],
//! then [`endpoint::attach`] for each guest. The rules come first: `ensure` lets the host forward.
//!
//! | concern | pure | effect |
//! |---|---|---|
//! | addresses | [`pool`], [`subnet`], [`mac`] | [`host::Facts`] |
//! | names | [`names`] | |
//! | links | `link::message` | [`bridge`], [`endpoint`], [`owned`] |
//! | firewall | [`ruleset`], `rules::plan` | [`rules`] |

pub mod bridge;
pub mod endpoint;
pub mod host;
mod link;
pub mod mac;
pub mod names;
mod namespace;
mod netlink;
pub mod owned;
pub mod pool;
pub mod rules;
pub mod ruleset;
pub mod subnet;
mod sysctl;

pub use namespace::NamespaceError;
pub use netlink::NetlinkError;
pub use sysctl::SysctlError;
