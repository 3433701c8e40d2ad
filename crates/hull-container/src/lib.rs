//! Containers: what a launch consists of, decided purely ([`plan`]), and carried out ([`launch`],
//! [`exec`], [`cgroup`]).
//!
//! The effects run in the shim, a small program with one thread. Nothing here knows what an image
//! is, and nothing is ever mounted in the host's mount namespace: mounts are made detached, held by
//! descriptors, and attached inside the guest's namespace alone.

pub mod cgroup;
pub mod exec;
mod failure;
pub mod files;
#[cfg(feature = "fuzz")]
pub mod fuzz;
pub mod hook;
#[cfg(feature = "plan")]
pub mod host;
pub mod launch;
#[cfg(feature = "plan")]
pub mod owners;
pub mod plan;
mod process;
pub mod rdt;
#[cfg(feature = "plan")]
pub mod seccomp;
pub mod state;
#[cfg(feature = "plan")]
pub mod systemd;
#[cfg(feature = "plan")]
pub mod usage;

pub mod weakened;

pub use failure::{Failure, Kind};
