//! System calls that a guest has no business making, each with arguments that do nothing.
//!
//! They are chosen so that a call that reaches the kernel comes back with something else than the
//! `EPERM` (or, for `clone3`, `ENOSYS`) of a filter.

use std::ffi::CString;
use std::io;

use crate::outcome::{Outcome, checked, name};

/// Tries all and says for each how it ended.
pub(crate) fn all() {
    let (null, none) = (std::ptr::null::<u8>(), 0_usize);
    let raw = |number: libc::c_long, a: i64, b: *const u8, c: usize| {
        // SAFETY: no pointers but null, which the kernel checks, and one to zeros that live longer.
        checked(unsafe { libc::syscall(number, a, b, c) }).map(drop)
    };
    let zeros = vec![0_u8; 1 << 16];
    // Larger than a page: refused before anything is looked at.
    say("bpf", || raw(libc::SYS_bpf, 0, zeros.as_ptr(), zeros.len()));
    say("io_uring_setup", || raw(libc::SYS_io_uring_setup, 1, null, none));
    say("userfaultfd", || raw(libc::SYS_userfaultfd, -1, null, none));
    say("perf_event_open", || raw(libc::SYS_perf_event_open, 0, null, none));
    say("setns", || raw(libc::SYS_setns, -1, null, none));
    say("fsopen", || raw(libc::SYS_fsopen, 0, null, none));
    say("mount", || raw(libc::SYS_mount, 0, null, none));
    say("clone3", || raw(libc::SYS_clone3, 0, null, none));
    say("keyctl", || raw(libc::SYS_keyctl, 0, std::ptr::without_provenance(-3_isize as usize), 0));
    say("add_key", || raw(libc::SYS_add_key, 0, null, none));
    say("request_key", || raw(libc::SYS_request_key, 0, null, none));
    say("unshare", || raw(libc::SYS_unshare, libc::CLONE_NEWUSER.into(), null, none));
    say("clone", || raw_clone(libc::CLONE_NEWUSER));
    say("personality", || raw(libc::SYS_personality, libc::ADDR_NO_RANDOMIZE.into(), null, none));
    say("vsock", || {
        let kind = std::ptr::without_provenance(libc::SOCK_STREAM as usize);
        raw(libc::SYS_socket, libc::AF_VSOCK.into(), kind, none)
    });
    say("x32", || {
        /// `__X32_SYSCALL_BIT` of `asm/unistd.h`.
        const X32: libc::c_long = 0x4000_0000;
        raw(X32 | libc::SYS_unshare, libc::CLONE_NEWUSER.into(), null, none)
    });
    #[cfg(target_arch = "x86_64")]
    {
        // Their numbers in the 32-bit table.
        say("i386 unshare", || int80(310, libc::CLONE_NEWUSER as u32));
        say("i386 bpf", || int80(357, 0));
        say("i386 keyctl", || int80(288, 0));
        say("i386 personality", || int80(136, libc::ADDR_NO_RANDOMIZE as u32));
    }
}

/// Each in a process of its own: some change the process, some end it.
fn say(what: &str, attack: impl FnOnce() -> io::Result<()>) {
    // SAFETY: this program has one thread.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let said = attack().map_or_else(|error| name(&error), |()| "ok".to_owned());
        println!("{what} {said}");
        std::process::exit(0);
    }
    let mut status = 0;
    // SAFETY: `status` outlives the call.
    unsafe { libc::waitpid(child, &raw mut status, 0) };
    if libc::WIFSIGNALED(status) {
        println!("{what} signal {}", libc::WTERMSIG(status));
    }
}

fn raw_clone(flags: i32) -> io::Result<()> {
    let flags = i64::from(flags | libc::SIGCHLD);
    // SAFETY: without CLONE_VM the child has its own memory; the stack is the parent's, copied.
    let child = checked(unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) })?;
    if child == 0 {
        // SAFETY: runs no code of ours.
        unsafe { libc::_exit(0) };
    }
    Ok(())
}

/// A system call by the old 32-bit way, whose numbers are others.
#[cfg(target_arch = "x86_64")]
fn int80(number: u32, argument: u32) -> io::Result<()> {
    let mut result = i64::from(number);
    // SAFETY: the calls made here take no pointers but null. rbx is kept for the compiler.
    unsafe {
        core::arch::asm!(
            "xchg {argument}, rbx",
            "int 0x80",
            "xchg {argument}, rbx",
            argument = inout(reg) u64::from(argument) => _,
            inout("rax") result,
            in("rcx") 0_u64, in("rdx") 0_u64, in("rsi") 0_u64, in("rdi") 0_u64,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
    let result = result as i32;
    if result < 0 { Err(io::Error::from_raw_os_error(-result)) } else { Ok(()) }
}

/// `linux/keyctl.h`.
const KEY_SPEC_SESSION_KEYRING: libc::c_int = -3;

/// Adds a key to the session keyring.
pub(crate) fn add_key(description: &str) -> Outcome {
    let description = CString::new(description).unwrap_or_default();
    // SAFETY: all texts are C strings that outlive the call, and the value is as long as said.
    checked(unsafe {
        libc::syscall(
            libc::SYS_add_key,
            c"user".as_ptr(),
            description.as_ptr(),
            c"secret".as_ptr(),
            6,
            KEY_SPEC_SESSION_KEYRING,
        )
    })?;
    Ok("ok".to_owned())
}

/// Looks for a key in the session keyring, by its description.
pub(crate) fn find_key(description: &str) -> Outcome {
    /// `linux/keyctl.h`.
    const KEYCTL_SEARCH: libc::c_int = 10;
    let description = CString::new(description).unwrap_or_default();
    // SAFETY: both texts are C strings that outlive the call.
    checked(unsafe {
        libc::syscall(
            libc::SYS_keyctl,
            KEYCTL_SEARCH,
            KEY_SPEC_SESSION_KEYRING,
            c"user".as_ptr(),
            description.as_ptr(),
            0,
        )
    })?;
    Ok("ok".to_owned())
}
