//! What rustix lacks for netlink.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// Asks the kernel to say in words why it refuses a request (`NETLINK_EXT_ACK`, Linux 4.12), and
/// not to send the whole request back with the refusal.
pub fn explain_refusals(socket: impl AsFd) -> io::Result<()> {
    for option in [libc::NETLINK_EXT_ACK, libc::NETLINK_CAP_ACK] {
        let on: libc::c_int = 1;
        // SAFETY: `on` lives through the call and the length is its own; the descriptor is borrowed.
        let done = unsafe {
            libc::setsockopt(
                socket.as_fd().as_raw_fd(),
                libc::SOL_NETLINK,
                option,
                (&raw const on).cast(),
                size_of::<libc::c_int>() as libc::socklen_t,
            )
        };
        if done != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}
