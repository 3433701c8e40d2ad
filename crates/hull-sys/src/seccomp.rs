//! Installing a system call filter.

use std::io;

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
    let length = u16::try_from(program.len())
        .map_err(|_too_long| io::Error::from_raw_os_error(libc::E2BIG))?;
    let program = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut().cast() };
    // SAFETY: `program` describes memory that outlives the call; the kernel copies it, checks it
    // and does not write to it.
    let returned = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program)
    };
    crate::checked(returned).map(drop)
}
