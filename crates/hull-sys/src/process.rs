//! Forking and executing, for programs with one thread.

use std::ffi::{CStr, CString};
use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::process::Pid;

use crate::namespace::Kinds;

/// Which side of a fork the caller is on.
#[derive(Debug)]
pub enum Fork {
    /// In the new process. It must end with [`execve`] or [`end`].
    Child,
    /// In the old one.
    Parent(Child),
}

/// A process just made.
#[derive(Debug)]
pub struct Child {
    /// Its number in the caller's process namespace.
    pub pid: Pid,
    /// Refers to it even after the number is used again.
    pub pidfd: OwnedFd,
}

/// Whose child the new process is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Parentage {
    /// The caller's.
    Caller,
    /// The caller's parent's (`CLONE_PARENT`).
    Grandparent,
}

/// `struct clone_args` of `linux/sched.h`, as of Linux 5.7.
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// Forks into new namespaces and, on cgroup v2, straight into a cgroup.
///
/// Refused unless the calling process has exactly one thread: another thread could hold a lock of
/// the allocator that nobody would ever release in the child. The C library is not told of the
/// fork, so its cached thread id is stale in the child: call nothing there that sends the thread a
/// signal (`raise`, `abort`).
pub fn fork(
    kinds: Kinds,
    cgroup: Option<BorrowedFd<'_>>,
    parentage: Parentage,
) -> io::Result<Fork> {
    if parentage == Parentage::Caller {
        // One that forks for its parent was itself forked just now, so it has one thread. It may
        // have joined a guest's namespaces, whose /proc does not show it.
        refuse_threads()?;
    }
    let mut pidfd: libc::c_int = -1;
    let mut args = CloneArgs {
        flags: kinds.bits() | u64::from(libc::CLONE_PIDFD.unsigned_abs()),
        pidfd: (&raw mut pidfd).addr() as u64,
        exit_signal: u64::from(libc::SIGCHLD.unsigned_abs()),
        ..CloneArgs::default()
    };
    if parentage == Parentage::Grandparent {
        args.flags |= u64::from(libc::CLONE_PARENT.unsigned_abs());
        // The kernel takes the caller's own exit signal and refuses any other.
        args.exit_signal = 0;
    }
    if let Some(cgroup) = cgroup {
        /// `linux/sched.h`; not in libc for every target.
        const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = u64::from(cgroup.as_raw_fd().unsigned_abs());
    }
    // SAFETY: without CLONE_VM the child has its own copy of all memory, and the process has one
    // thread, so the copy is consistent. `args` and `pidfd` outlive the call.
    let returned =
        unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<CloneArgs>()) };
    let pid = crate::checked(returned)?;
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return Ok(Fork::Child);
    };
    // SAFETY: CLONE_PIDFD stored a descriptor that is open and that nobody else owns.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Fork::Parent(Child { pid, pidfd }))
}

/// Replaces the program of the calling process; returns only to say why it could not.
pub fn execve(program: &CStr, args: &[CString], env: &[CString]) -> io::Error {
    let pointers = |strings: &[CString]| -> Vec<*const libc::c_char> {
        strings.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (args, env) = (pointers(args), pointers(env));
    // SAFETY: all three are null-terminated and point into values that outlive the call.
    unsafe { libc::execve(program.as_ptr(), args.as_ptr(), env.as_ptr()) };
    io::Error::last_os_error()
}

/// Ends the calling process at once: no destructors, no exit handlers, nothing flushed.
///
/// The only proper end of a forked child that did not execute: whatever it inherited belongs to
/// its parent.
pub fn end(status: u8) -> ! {
    // SAFETY: _exit does not return and runs no code of ours.
    unsafe { libc::_exit(status.into()) }
}

fn refuse_threads() -> io::Result<()> {
    // A directory has two links and one for each subdirectory; here those are the threads.
    let threads = rustix::fs::stat("/proc/self/task")?.st_nlink.saturating_sub(2);
    if threads == 1 {
        return Ok(());
    }
    Err(io::Error::other(format!("refusing to fork a process with {threads} threads")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_threads_is_not_forked() {
        // The test harness runs each test in a thread of its own.
        let error = fork(Kinds::NONE, None, Parentage::Caller).unwrap_err();
        assert!(error.to_string().starts_with("refusing to fork a process with"), "{error}");
    }
}
