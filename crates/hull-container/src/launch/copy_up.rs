//! Filling a new tmpfs with what it covers (`tmpcopyup`).
//!
//! Source is the image's, so hostile: every step is by descriptor and follows no link, and what can
//! be copied is bounded by the tmpfs and by [`DEPTH_MAX`].

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{
    AtFlags, Dir, FileType, Gid, Mode, OFlags, Stat, Timestamps, Uid, chownat, fchmod, fchown,
    fstat, futimens, mkdirat, mknodat, openat, readlinkat, statat, symlinkat,
};
use rustix::io::Errno;

use crate::failure::{Failure, plain};

/// How deep directories may lie in each other. Each level holds descriptors open.
const DEPTH_MAX: usize = 100;

/// Copies what is in the directory `from` to `to`, with owners, modes and times. `target` is for
/// messages.
pub(super) fn copy(from: &OwnedFd, to: &OwnedFd, target: &str) -> Result<(), Failure> {
    let mask = rustix::process::umask(Mode::empty());
    let copied = copy_all(from, to);
    rustix::process::umask(mask);
    copied.map_err(|error| {
        let error = plain(&error);
        Failure::other(format!("copy {target} up into its tmpfs: {error}"))
    })
}

fn copy_all(from: &OwnedFd, to: &OwnedFd) -> io::Result<()> {
    let (from, to) = (open_directory(from, c".")?, open_directory(to, c".")?);
    directory(&from, &to, DEPTH_MAX)
}

fn open_directory(at: impl AsFd, name: &CStr) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(at, name, flags, Mode::empty())
}

fn directory(from: &OwnedFd, to: &OwnedFd, depth: usize) -> io::Result<()> {
    for entry in Dir::read_from(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let stat = statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                let depth = depth.checked_sub(1).ok_or(Errno::NAMETOOLONG)?;
                mkdirat(to, name, Mode::from_raw_mode(0o700))?;
                let (inner, copy) = (open_directory(from, name)?, open_directory(to, name)?);
                directory(&inner, &copy, depth)?;
                like(&copy, &fstat(&inner)?)?;
            }
            FileType::RegularFile => file(from, to, name)?,
            FileType::Symlink => {
                let text = readlinkat(from, name, Vec::new())?;
                symlinkat(text.as_c_str(), to, name)?;
                own(to, name, &stat)?;
            }
            kind @ (FileType::Fifo | FileType::Socket) => {
                mknodat(to, name, kind, Mode::from_raw_mode(stat.st_mode & 0o777), 0)?;
                own(to, name, &stat)?;
            }
            // A node could not be opened on this tmpfs anyway.
            FileType::CharacterDevice | FileType::BlockDevice | FileType::Unknown => {}
        }
    }
    like(to, &fstat(from)?)
}

fn file(from: &OwnedFd, to: &OwnedFd, name: &CStr) -> io::Result<()> {
    // Not blocking, should it have become a pipe since it was looked at.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let source = openat(from, name, flags, Mode::empty())?;
    let stat = fstat(&source)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Ok(());
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let copy = openat(to, name, flags, Mode::from_raw_mode(0o600))?;
    let (mut source, mut copy) = (File::from(source), File::from(copy));
    io::copy(&mut source, &mut copy)?;
    like(&copy.into(), &stat)
}

/// Owner, then mode, which a change of owner takes bits from, then times.
fn like(copy: &OwnedFd, stat: &Stat) -> io::Result<()> {
    fchown(copy, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))?;
    fchmod(copy, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
    let time = |seconds, nanoseconds: u64| rustix::fs::Timespec {
        tv_sec: seconds,
        tv_nsec: i64::try_from(nanoseconds).unwrap_or(0),
    };
    let last_access = time(stat.st_atime, stat.st_atime_nsec);
    let last_modification = time(stat.st_mtime, stat.st_mtime_nsec);
    Ok(futimens(copy, &Timestamps { last_access, last_modification })?)
}

fn own(at: &OwnedFd, name: &CStr, stat: &Stat) -> rustix::io::Result<()> {
    let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    chownat(at, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
}
