//! Giving a program the signals as the kernel first made them.

use std::io;

/// Sets every signal of the process to its default action and unblocks all.
///
/// Ignored signals and the mask are inherited through exec, so a program would start with those of
/// its launcher.
pub fn reset() -> io::Result<()> {
    /// `_NSIG` of Linux on all but MIPS.
    const SIGNALS: libc::c_int = 64;
    /// `struct sigaction` of the kernel, all zero: `SIG_DFL`, no flags, empty mask.
    const DEFAULT: [u64; 4] = [0; 4];
    /// Size of the kernel's `sigset_t`.
    const SET_BYTES: usize = 8;
    let fixed = [libc::SIGKILL, libc::SIGSTOP];
    for signal in (1..=SIGNALS).filter(|signal| !fixed.contains(signal)) {
        // SAFETY: DEFAULT is as large as the kernel's structure and only read; no old one is asked
        // for. The system call is used because the C library hides its internal signals.
        let returned = unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                DEFAULT.as_ptr(),
                std::ptr::null_mut::<u64>(),
                SET_BYTES,
            )
        };
        crate::checked(returned)?;
    }
    let none = 0_u64;
    // SAFETY: `none` is a kernel signal set of SET_BYTES, only read.
    let returned = unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            &raw const none,
            std::ptr::null_mut::<u64>(),
            SET_BYTES,
        )
    };
    crate::checked(returned).map(drop)
}
