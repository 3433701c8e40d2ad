//! The session keyring.

use std::ffi::CStr;
use std::io;

/// Joins the session keyring called `name`, or makes it, so that the caller's old one is left.
pub fn join_session(name: &CStr) -> io::Result<()> {
    /// `linux/keyctl.h`.
    const KEYCTL_JOIN_SESSION_KEYRING: libc::c_long = 1;
    // SAFETY: `name` is a C string that outlives the call; the kernel only reads it.
    let returned =
        unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name.as_ptr()) };
    crate::checked(returned).map(drop)
}
