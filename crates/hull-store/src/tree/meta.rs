//! What a file has besides its contents, copied from one file to another.

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, Stat, Timespec, Timestamps, XattrFlags, chownat, fchmod,
    fstat, futimens, openat, utimensat,
};
use rustix::io::Errno;
use rustix::process::{Gid, Uid};

/// Owner, mode and time of a file to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meta {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Permission bits with setuid, setgid and sticky.
    pub(crate) mode: u32,
    pub(crate) mtime: Timespec,
}

impl Meta {
    pub(crate) fn of(stat: &Stat) -> Self {
        let mtime =
            Timespec { tv_sec: stat.st_mtime, tv_nsec: stat.st_mtime_nsec.try_into().unwrap_or(0) };
        Self { uid: stat.st_uid, gid: stat.st_gid, mode: stat.st_mode & 0o7777, mtime }
    }

    /// Sets owner and mode of an open file or directory. The owner first: changing it clears
    /// setuid.
    pub(crate) fn apply(&self, file: impl AsFd) -> rustix::io::Result<()> {
        let owner = (Some(Uid::from_raw(self.uid)), Some(Gid::from_raw(self.gid)));
        rustix::fs::fchown(&file, owner.0, owner.1)?;
        fchmod(file, Mode::from_raw_mode(self.mode))
    }

    /// Sets the times of an open file; last, since writing changes them.
    pub(crate) fn apply_times(&self, file: impl AsFd) -> rustix::io::Result<()> {
        futimens(file, &self.times())
    }

    /// Sets everything of `name` in `dir`, which was just made there and is not a directory.
    pub(crate) fn apply_at(
        &self,
        dir: BorrowedFd<'_>,
        name: &CStr,
        symlink: bool,
    ) -> rustix::io::Result<()> {
        let owner = (Some(Uid::from_raw(self.uid)), Some(Gid::from_raw(self.gid)));
        chownat(dir, name, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW)?;
        if !symlink {
            self.chmod_at(dir, name)?;
        }
        utimensat(dir, name, &self.times(), AtFlags::SYMLINK_NOFOLLOW)
    }

    /// Sets the mode of what is held: `chmod` of a name would follow a symlink that somebody who
    /// shares the directory put in its place, into the host's files.
    fn chmod_at(&self, dir: BorrowedFd<'_>, name: &CStr) -> rustix::io::Result<()> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let held = openat(dir, name, flags, Mode::empty())?;
        if FileType::from_raw_mode(fstat(&held)?.st_mode) == FileType::Symlink {
            return Err(Errno::LOOP);
        }
        let link = format!("/proc/self/fd/{}", held.as_raw_fd());
        rustix::fs::chmodat(CWD, link, Mode::from_raw_mode(self.mode), AtFlags::empty())
    }

    fn times(&self) -> Timestamps {
        Timestamps { last_access: self.mtime, last_modification: self.mtime }
    }
}

/// Copies the attributes of `from` that `wanted` names.
pub(super) fn copy_xattrs(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    wanted: fn(&[u8]) -> bool,
) -> rustix::io::Result<()> {
    let mut names = vec![0_u8; 65_536];
    let length = match rustix::fs::flistxattr(from, &mut names[..]) {
        Ok(length) => length,
        Err(Errno::OPNOTSUPP) => return Ok(()),
        Err(e) => return Err(e),
    };
    let all = names[..length].split_inclusive(|byte| *byte == 0);
    for name in all.filter_map(|name| CStr::from_bytes_with_nul(name).ok()) {
        if !wanted(name.to_bytes()) {
            continue;
        }
        let mut value = vec![0_u8; 65_536];
        let length = match rustix::fs::fgetxattr(from, name, &mut value[..]) {
            Ok(length) => length,
            Err(Errno::NODATA) => continue,
            Err(e) => return Err(e),
        };
        match rustix::fs::fsetxattr(to, name, &value[..length], XattrFlags::empty()) {
            Ok(()) | Err(Errno::OPNOTSUPP) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Copies contents, leaving holes as holes and sharing blocks where the file system can.
pub(crate) fn copy_data(from: &mut File, to: &mut File, length: u64) -> io::Result<()> {
    to.set_len(length)?;
    let mut at = 0;
    while at < length {
        let data = match rustix::fs::seek(&*from, rustix::fs::SeekFrom::Data(at)) {
            Ok(data) => data,
            // Nothing but a hole up to the end.
            Err(Errno::NXIO) => return Ok(()),
            Err(e) => return Err(e.into()),
        };
        let end = rustix::fs::seek(&*from, rustix::fs::SeekFrom::Hole(data))?.min(length);
        if end <= data {
            return Ok(());
        }
        from.seek(SeekFrom::Start(data))?;
        to.seek(SeekFrom::Start(data))?;
        let copied = io::copy(&mut io::Read::take(&mut *from, end - data), to)?;
        if copied < end - data {
            // It became shorter meanwhile; what is left of it was copied.
            return to.set_len(data + copied);
        }
        at = end;
    }
    Ok(())
}
