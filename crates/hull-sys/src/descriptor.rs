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

/// Whether nobody has the file open for writing (`F_SETLEASE`, fcntl(2)); `None` where the file
/// system cannot tell. `file` must be open for reading only.
///
/// A child that another thread has just forked holds every descriptor until it executes its
/// program, those that are being written included, and such a file cannot be executed (`ETXTBSY`).
pub fn unwritten(file: BorrowedFd<'_>) -> io::Result<Option<bool>> {
    let lease = |kind: libc::c_int| {
        // SAFETY: the command takes a plain integer and touches no memory.
        let returned = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, kind) };
        crate::checked(returned.into()).map(drop)
    };
    match lease(libc::F_RDLCK) {
        Ok(()) => lease(libc::F_UNLCK).map(|()| Some(true)),
        Err(error) => match error.raw_os_error() {
            Some(libc::EAGAIN) => Ok(Some(false)),
            Some(libc::EINVAL | libc::EACCES) => Ok(None),
            _ => Err(error),
        },
    }
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

    #[test]
    fn a_writer_is_seen_until_it_closes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let writer = std::fs::File::create(&path).unwrap();
        let reader = std::fs::File::open(&path).unwrap();
        assert_ne!(super::unwritten(reader.as_fd()).unwrap(), Some(true));
        drop(writer);
        // Another test's child may hold the writer for a moment.
        while super::unwritten(reader.as_fd()).unwrap() == Some(false) {
            std::thread::yield_now();
        }
    }
}
