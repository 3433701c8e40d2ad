//! Descriptors in bulk.

use std::io;
use std::os::fd::{BorrowedFd, RawFd};

use std::os::fd::AsRawFd;

/// Marks every descriptor from `first` on close-on-exec (Linux 5.11).
pub fn close_on_exec_from(first: RawFd) -> io::Result<()> {
    range(first, RawFd::MAX, libc::CLOSE_RANGE_CLOEXEC)
}

/// Closes every descriptor above standard error except those in `keep`.
///
/// Only for a child that was just forked and never returns to its parent's code: owners of closed
/// descriptors elsewhere in the program must not be used or dropped afterwards.
pub fn close_all_except(keep: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut kept: Vec<RawFd> = keep.iter().map(AsRawFd::as_raw_fd).filter(|fd| *fd > 2).collect();
    kept.sort_unstable();
    let mut first = 3;
    for fd in kept {
        if fd > first {
            range(first, fd - 1, 0)?;
        }
        first = fd + 1;
    }
    range(first, RawFd::MAX, 0)
}

fn range(first: RawFd, last: RawFd, flags: libc::c_uint) -> io::Result<()> {
    // SAFETY: close_range touches no memory. The callers' contracts say who may still own these.
    let returned = unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
    crate::checked(returned).map(drop)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    #[test]
    fn marking_leaves_descriptors_open() {
        let (reader, _writer) = std::io::pipe().unwrap();
        super::close_on_exec_from(3).unwrap();
        let flags = rustix::io::fcntl_getfd(reader.as_fd()).unwrap();
        assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
    }
}
