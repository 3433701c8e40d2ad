//! Locks on ranges of a file's offsets that belong to an open file description (`F_OFD_*`, fcntl(2)).
//!
//! They end with the last descriptor of the description, so with the death of its processes, however
//! they die. Turning one kind into the other is atomic, unlike with `flock(2)`. The offsets need not
//! be in the file: an empty file can stand for any set of numbered things.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// How a range is held.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Hold {
    /// By this description alone.
    Alone,
    /// Beside others that share it.
    Shared,
    /// Not any more.
    Not,
}

/// Changes how `file`'s description holds the `length` offsets from `start`; what it held there before
/// is replaced. Gives `false`, and changes nothing, if another description is in the way.
///
/// `file` must be open for writing for [`Hold::Alone`], for reading for [`Hold::Shared`].
pub fn hold(file: BorrowedFd<'_>, start: u64, length: u64, hold: Hold) -> io::Result<bool> {
    let kind = match hold {
        Hold::Alone => libc::F_WRLCK,
        Hold::Shared => libc::F_RDLCK,
        Hold::Not => libc::F_UNLCK,
    };
    let mut lock = describe(start, length, kind)?;
    match call(file, libc::F_OFD_SETLK, &mut lock) {
        Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => {
            Ok(false)
        }
        other => other.map(|()| true),
    }
}

/// One range, start and length, that another description holds and that overlaps the given one.
pub fn in_the_way(file: BorrowedFd<'_>, start: u64, length: u64) -> io::Result<Option<(u64, u64)>> {
    let mut lock = describe(start, length, libc::F_WRLCK)?;
    call(file, libc::F_OFD_GETLK, &mut lock)?;
    if i32::from(lock.l_type) == libc::F_UNLCK {
        return Ok(None);
    }
    let start = u64::try_from(lock.l_start).map_err(io::Error::other)?;
    // Zero means: to the end of all offsets.
    let length = match u64::try_from(lock.l_len).map_err(io::Error::other)? {
        0 => u64::MAX - start,
        length => length,
    };
    Ok(Some((start, length)))
}

fn describe(start: u64, length: u64, kind: libc::c_int) -> io::Result<libc::flock> {
    if length == 0 {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a lock on nothing"));
    }
    Ok(libc::flock {
        l_type: libc::c_short::try_from(kind).map_err(io::Error::other)?,
        l_whence: libc::c_short::try_from(libc::SEEK_SET).map_err(io::Error::other)?,
        l_start: libc::off_t::try_from(start).map_err(io::Error::other)?,
        l_len: libc::off_t::try_from(length).map_err(io::Error::other)?,
        // Must be zero for these commands.
        l_pid: 0,
    })
}

fn call(file: BorrowedFd<'_>, command: libc::c_int, lock: &mut libc::flock) -> io::Result<()> {
    // SAFETY: the commands read and write one `flock`, which outlives the call.
    let returned = unsafe { libc::fcntl(file.as_raw_fd(), command, std::ptr::from_mut(lock)) };
    crate::checked(returned.into()).map(drop)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsFd;

    use super::*;

    fn two(dir: &tempfile::TempDir) -> (File, File) {
        let open = || {
            let path = dir.path().join("locks");
            File::options().create(true).truncate(false).read(true).write(true).open(path).unwrap()
        };
        (open(), open())
    }

    #[test]
    fn a_range_is_held_by_one_or_shared_by_many() {
        let dir = tempfile::tempdir().unwrap();
        let (one, other) = two(&dir);
        let hold = |file: &File, start, kind| hold(file.as_fd(), start, 10, kind).unwrap();
        assert!(hold(&one, 100, Hold::Alone));
        assert!(!hold(&other, 109, Hold::Alone));
        assert!(!hold(&other, 95, Hold::Shared));
        assert!(hold(&other, 110, Hold::Alone));
        assert_eq!(in_the_way(other.as_fd(), 0, 200).unwrap(), Some((100, 10)));
        assert!(hold(&one, 100, Hold::Shared));
        assert!(hold(&other, 100, Hold::Shared));
        assert!(!hold(&one, 100, Hold::Alone));
        assert!(hold(&other, 100, Hold::Not));
        assert!(hold(&one, 100, Hold::Alone));
        drop(one);
        assert_eq!(in_the_way(other.as_fd(), 0, 200).unwrap(), None);
    }

    #[test]
    fn a_lock_lives_as_long_as_a_copy_of_its_descriptor() {
        let dir = tempfile::tempdir().unwrap();
        let (one, other) = two(&dir);
        assert!(hold(one.as_fd(), 7, 1, Hold::Alone).unwrap());
        let copy = one.try_clone().unwrap();
        drop(one);
        assert!(!hold(other.as_fd(), 7, 1, Hold::Shared).unwrap());
        drop(copy);
        // A child that another test has just forked may hold a copy for a moment.
        while !hold(other.as_fd(), 7, 1, Hold::Shared).unwrap() {
            std::thread::yield_now();
        }
        assert!(hold(other.as_fd(), 0, 0, Hold::Shared).is_err());
    }
}
