//! What a program needs to look after others: signals in both directions, and the terminal.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::Pid;

/// Ignores a signal. Programs executed afterwards inherit that; see [`crate::signal::reset`].
pub fn ignore(signal: i32) -> io::Result<()> {
    // SAFETY: SIG_IGN installs no code; the call touches no memory of ours.
    let returned = unsafe { libc::signal(signal, libc::SIG_IGN) };
    if returned == libc::SIG_ERR { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Sends a signal, real-time ones included, to the very process a descriptor refers to.
pub fn send(pidfd: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    let no_siginfo = std::ptr::null_mut::<libc::siginfo_t>();
    // SAFETY: the kernel accepts a null siginfo; nothing else is a pointer.
    let returned = unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, no_siginfo, 0)
    };
    crate::checked(returned).map(drop)
}

/// A set of blocked signals that are taken one by one with [`Blocked::wait`].
pub struct Blocked {
    set: libc::sigset_t,
}

/// A signal that was waiting.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Taken {
    /// Its number.
    pub signal: i32,
    /// Whether the kernel itself sent it, as a terminal does for its foreground processes.
    pub from_kernel: bool,
}

impl Blocked {
    /// Blocks every signal except `left`, for a process with one thread.
    pub fn all_except(left: &[i32]) -> io::Result<Self> {
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: the call writes the whole set.
        unsafe { libc::sigfillset(set.as_mut_ptr()) };
        // SAFETY: just written.
        let mut set = unsafe { set.assume_init() };
        for signal in left {
            // SAFETY: `set` is a valid set; a bad number is refused.
            if unsafe { libc::sigdelset(&raw mut set, *signal) } != 0 {
                return Err(io::Error::last_os_error());
            }
        }
        // SAFETY: `set` is valid and only read; the old mask is not asked for.
        let returned =
            unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const set, std::ptr::null_mut()) };
        crate::checked(returned.into())?;
        Ok(Self { set })
    }

    /// Waits for the next signal.
    pub fn wait(&self) -> io::Result<Taken> {
        let mut siginfo = MaybeUninit::<libc::siginfo_t>::zeroed();
        // SAFETY: the set is valid; the structure is ours to write.
        let signal = unsafe { libc::sigwaitinfo(&raw const self.set, siginfo.as_mut_ptr()) };
        if signal < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: all zeros is a valid siginfo, and the kernel wrote over it.
        let siginfo = unsafe { siginfo.assume_init() };
        Ok(Taken { signal, from_kernel: siginfo.si_code == libc::SI_KERNEL })
    }
}

/// A descriptor that becomes readable when a child ended; read from it to make it wait again.
///
/// Blocks `SIGCHLD` for the calling thread, which is to be the only one. Programs executed afterwards
/// inherit that; see [`crate::signal::reset`].
pub fn watch_children() -> io::Result<OwnedFd> {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the call writes the whole set.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: just written.
    let mut set = unsafe { set.assume_init() };
    // SAFETY: `set` is a valid set and SIGCHLD a valid number.
    unsafe { libc::sigaddset(&raw mut set, libc::SIGCHLD) };
    // SAFETY: `set` is valid and only read; the old mask is not asked for.
    let returned =
        unsafe { libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
    crate::checked(returned.into())?;
    // SAFETY: `set` is valid and only read.
    let returned =
        unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
    crate::checked(returned.into())?;
    // SAFETY: the kernel just gave us this descriptor, so it is open and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(returned) })
}

/// One child that has ended, of whatever kind, if there is one. It stays to be waited for.
pub fn ended_child() -> io::Result<Option<Pid>> {
    let mut siginfo = MaybeUninit::<libc::siginfo_t>::zeroed();
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT | libc::__WALL;
    // SAFETY: the structure is ours to write.
    let returned = unsafe { libc::waitid(libc::P_ALL, 0, siginfo.as_mut_ptr(), options) };
    match crate::checked(returned.into()) {
        Ok(_) => {}
        Err(error) if error.raw_os_error() == Some(libc::ECHILD) => return Ok(None),
        Err(error) => return Err(error),
    }
    // SAFETY: all zeros is a valid siginfo, and the kernel wrote over it if there is a child.
    let siginfo = unsafe { siginfo.assume_init() };
    // SAFETY: for waitid(2) the kernel fills this part, and zeros are as good.
    Ok(Pid::from_raw(unsafe { siginfo.si_pid() }))
}

/// Makes the process that `command` will start the leader of its own process group, in the
/// foreground if standard input is a terminal, with no signal blocked or ignored.
pub fn lead_foreground(command: &mut Command) -> &mut Command {
    let prepare = || {
        // SAFETY: no pointers; the process makes itself a leader.
        let returned = unsafe { libc::setpgid(0, 0) };
        crate::checked(returned.into())?;
        // A background process that changes the foreground is stopped unless this is blocked, which
        // it still is. The result does not matter: standard input may be no terminal at all.
        // SAFETY: no pointers.
        let leader = unsafe { libc::getpid() };
        // SAFETY: no pointers.
        unsafe { libc::tcsetpgrp(0, leader) };
        crate::signal::reset()
    };
    // SAFETY: only system calls, no allocation, no locks; and the caller has one thread.
    unsafe { command.pre_exec(prepare) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ended_child_is_seen_and_stays() {
        let ended = watch_children().unwrap();
        let mut child = crate::spawn::command("/bin/true").spawn().unwrap();
        let id = Pid::from_child(&child);
        // Other tests of this process have children too, and other threads may take the signal.
        while ended_child().unwrap() != Some(id) {
            std::thread::yield_now();
        }
        assert!(child.wait().unwrap().success());
        drop(ended);
    }

    #[test]
    fn a_led_process_has_its_own_group_and_no_blocked_signals() {
        let mut command = crate::spawn::command("/bin/sh");
        command.args([
            "-c",
            "grep -E '^(SigBlk|SigIgn)' /proc/self/status; ps -o pgid= -p $$; echo $$",
        ]);
        let output = lead_foreground(&mut command).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let words: Vec<&str> = text.split_whitespace().collect();
        assert_eq!(words[1], "0000000000000000", "{text}");
        assert_eq!(words[3], "0000000000000000", "{text}");
        assert_eq!(words[4], words[5], "{text}");
    }
}
