//! Installing a system call filter.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// One instruction of classic BPF, `struct sock_filter` of `linux/filter.h`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Instruction {
    /// Operation.
    pub code: u16,
    /// How many instructions to skip when the test holds.
    pub jump_true: u8,
    /// How many to skip when it does not.
    pub jump_false: u8,
    /// Operand.
    pub k: u32,
}

/// Puts every system call of the calling thread, and of what it executes, through `program`.
///
/// Needs `no_new_privs` or `CAP_SYS_ADMIN` in the caller's user namespace. `flags` are
/// `SECCOMP_FILTER_FLAG_*`.
pub fn install(program: &[Instruction], flags: u32) -> io::Result<()> {
    set(program, flags).map(drop)
}

/// [`install`], giving the descriptor on which others decide about calls (Linux 5.0). It has the
/// lowest number that is free, as every new descriptor, and is close-on-exec.
pub fn install_with_listener(program: &[Instruction], flags: u32) -> io::Result<OwnedFd> {
    /// `SECCOMP_FILTER_FLAG_NEW_LISTENER` of `linux/seccomp.h`.
    const NEW_LISTENER: u32 = 8;
    let number = set(program, flags | NEW_LISTENER)?;
    let number = RawFd::try_from(number).map_err(io::Error::other)?;
    // SAFETY: the kernel just gave us this descriptor, so it is open and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

fn set(program: &[Instruction], flags: u32) -> io::Result<libc::c_long> {
    let length = u16::try_from(program.len())
        .map_err(|_too_long| io::Error::from_raw_os_error(libc::E2BIG))?;
    let program = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut().cast() };
    // SAFETY: `program` describes memory that outlives the call; the kernel copies it, checks it
    // and does not write to it.
    let returned = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program)
    };
    crate::checked(returned)
}
