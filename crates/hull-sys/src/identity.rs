//! The identity that file system access is checked with, apart from the process's own.

use std::io;

/// Sets the calling thread's file system user and group.
///
/// The kernel drops the capabilities about files from the effective set when the user leaves 0;
/// [`crate::capability::raise_all`] brings them back. Fails if the kernel kept the old identity.
pub fn set_file_system(user: u32, group: u32) -> io::Result<()> {
    // The group first: changing it needs CAP_SETGID only, but keeps the order of setuid programs.
    let calls = [(libc::SYS_setfsgid, group), (libc::SYS_setfsuid, user)];
    for (call, id) in calls {
        // SAFETY: setfsuid and setfsgid take a number and touch no memory of ours.
        unsafe { libc::syscall(call, id) };
        // They return the previous id and never an error, so the second call reads the first's
        // effect; -1 is no valid id and changes nothing.
        // SAFETY: as above.
        let now = unsafe { libc::syscall(call, u32::MAX) };
        if now != libc::c_long::from(id) {
            return Err(io::Error::from_raw_os_error(libc::EPERM));
        }
    }
    Ok(())
}

/// The file system identity of somebody else, while this lives. For the thread that made it.
///
/// What is made in a file system whose owners are mapped must belong to somebody in the map, which
/// the host's own root is not.
#[derive(Debug)]
pub struct Assumed {
    /// It is the thread's: dropping it elsewhere would change another one's.
    _thread: std::marker::PhantomData<*const ()>,
}

impl Assumed {
    /// Assumes the identity of `user` and `group`, with all capabilities of the thread.
    pub fn new(user: u32, group: u32) -> io::Result<Self> {
        let assumed = Self { _thread: std::marker::PhantomData };
        set_file_system(user, group)?;
        crate::capability::raise_all()?;
        Ok(assumed)
    }
}

impl Drop for Assumed {
    fn drop(&mut self) {
        // Root may always return to itself, so this cannot fail.
        set_file_system(0, 0).unwrap_or_default();
    }
}
