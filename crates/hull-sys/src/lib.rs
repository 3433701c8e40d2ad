//! The system calls that hull makes and that `std` and `rustix` lack. The only crate with `unsafe`.
//!
//! Wrappers take and return owned or borrowed descriptors, C strings and `io::Result`; which calls
//! to make, and when, is decided elsewhere.

pub mod capability;
pub mod descriptor;
pub mod device_filter;
pub mod identity;
pub mod keyring;
pub mod lock;
pub mod memfd;
pub mod mount;
pub mod namespace;
pub mod netlink;
pub mod process;
pub mod schedule;
pub mod seccomp;
pub mod signal;
pub mod spawn;
pub mod supervise;

use std::io;

/// What a raw system call returned, as a result.
fn checked(returned: libc::c_long) -> io::Result<libc::c_long> {
    if returned < 0 { Err(io::Error::last_os_error()) } else { Ok(returned) }
}
