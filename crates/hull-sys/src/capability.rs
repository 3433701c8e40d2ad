//! Capabilities by number, so that ones younger than any library can be dropped too.

use std::io;

use rustix::thread::{CapabilitySet, CapabilitySets};

/// The highest number a capability set of the kernel's present ABI can hold.
pub const MAX: u32 = 63;

/// Removes every capability that is not in `keep` from the calling thread's bounding set.
///
/// Needs `CAP_SETPCAP`. Stops without error at the first number the kernel does not know.
pub fn limit_bounding(keep: u64) -> io::Result<()> {
    for number in 0..=MAX {
        if keep & (1 << number) != 0 {
            continue;
        }
        // SAFETY: PR_CAPBSET_DROP takes a number and touches no memory of ours.
        let returned = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, number, 0, 0, 0) };
        if returned < 0 {
            let error = io::Error::last_os_error();
            return if error.raw_os_error() == Some(libc::EINVAL) { Ok(()) } else { Err(error) };
        }
    }
    Ok(())
}

/// Makes `ambient` the calling thread's ambient set.
///
/// Each must already be permitted and inheritable, else the kernel refuses with `EPERM`.
pub fn set_ambient(ambient: u64) -> io::Result<()> {
    // SAFETY: PR_CAP_AMBIENT_CLEAR_ALL takes no pointers.
    let cleared =
        unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) };
    crate::checked(cleared.into())?;
    for number in (0..=MAX).filter(|number| ambient & (1 << number) != 0) {
        // SAFETY: PR_CAP_AMBIENT_RAISE takes a number and touches no memory of ours.
        let raised =
            unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE, number, 0, 0) };
        crate::checked(raised.into())?;
    }
    Ok(())
}

/// The calling thread's permitted set.
pub fn permitted() -> io::Result<u64> {
    Ok(rustix::thread::capabilities(None)?.permitted.bits())
}

/// Sets the calling thread's effective, permitted and inheritable sets.
pub fn set(effective: u64, permitted: u64, inheritable: u64) -> io::Result<()> {
    let sets = CapabilitySets {
        effective: CapabilitySet::from_bits_retain(effective),
        permitted: CapabilitySet::from_bits_retain(permitted),
        inheritable: CapabilitySet::from_bits_retain(inheritable),
    };
    Ok(rustix::thread::set_capabilities(None, sets)?)
}

/// Makes every permitted capability effective again, as is needed after a change of user.
pub fn raise_all() -> io::Result<()> {
    let sets = rustix::thread::capabilities(None)?;
    let raised = CapabilitySets { effective: sets.permitted, ..sets };
    Ok(rustix::thread::set_capabilities(None, raised)?)
}
