//! Copies a tree into a directory: what an image has where a new volume is mounted.

use std::collections::HashMap;
use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, ResolveFlags, fstat, linkat, mkdirat, mknodat, openat,
    openat2, readlinkat, statat, symlinkat,
};

use super::meta::{Meta, copy_data, copy_xattrs};
use super::walk::{Visit, open_child, walk};
use crate::disk::{At, DiskError, open_dir};

/// How the owners seen in the source become those in the copy.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Owners {
    /// As they are.
    Same,
    /// The source is seen through a mount that adds this to every id; the copy is without it.
    /// Ids below it become the overflow id, 65534.
    Without(u32),
}

impl Owners {
    fn map(self, id: u32) -> u32 {
        match self {
            Self::Same => id,
            Self::Without(first) => id.checked_sub(first).unwrap_or(65_534),
        }
    }
}

/// Copies the directory `path` under `root` (symlinks are resolved inside it) into `to`, which
/// must be an empty directory: contents, owners, modes, times, links, devices, and `user.*` and
/// `security.capability` attributes. `to` itself gets the owner and mode of the directory.
///
/// Returns whether there was such a directory. After an error `to` has a part of it.
pub fn copy_into(
    root: BorrowedFd<'_>,
    path: &Path,
    to: &Path,
    owners: Owners,
) -> Result<bool, DiskError> {
    let relative = path.strip_prefix("/").unwrap_or(path);
    let relative = if relative.as_os_str().is_empty() { Path::new(".") } else { relative };
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let from = match openat2(root, relative, flags, Mode::empty(), resolve) {
        Ok(from) => from,
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => return Ok(false),
        Err(e) => return Err(DiskError::new("open the directory to copy", path, e.into())),
    };
    let target = open_dir(to)?;
    copy_dir(from.as_fd(), target.as_fd(), owners).at("copy attributes to", to)?;
    let times = Meta::of(&fstat(&from).at("look at", path)?);
    let here = target.try_clone().at("copy into", to)?;
    let mut copier =
        Copier { here, path: PathBuf::new(), top: target, owners, links: HashMap::new() };
    walk(from, &mut copier).map_err(|e| DiskError::new("copy", path.join(e.path), e.source))?;
    times.apply_times(&copier.top).at("set the times of", to)?;
    Ok(true)
}

struct Copier {
    /// The copy of the directory the walk is in.
    here: OwnedFd,
    /// Its path under `top`.
    path: PathBuf,
    top: OwnedFd,
    owners: Owners,
    /// Copies of files with several names, by their inode.
    links: HashMap<(u64, u64), PathBuf>,
}

impl Visit for Copier {
    fn file(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> io::Result<()> {
        let stat = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let inode = (stat.st_dev, stat.st_ino);
        if stat.st_nlink > 1 {
            if let Some(first) = self.links.get(&inode) {
                return link(self.top.as_fd(), first, self.here.as_fd(), name);
            }
            self.links.insert(inode, self.path.join(os_name(name)));
        }
        copy_one(dir, self.here.as_fd(), name, self.owners)
    }

    fn enter(&mut self, name: &CStr, dir: BorrowedFd<'_>) -> io::Result<()> {
        mkdirat(&self.here, name, Mode::RWXU)?;
        let made = open_child(self.here.as_fd(), name)?;
        copy_dir(dir, made.as_fd(), self.owners)?;
        self.here = made;
        self.path.push(os_name(name));
        Ok(())
    }

    fn leave(&mut self, parent: BorrowedFd<'_>, name: &CStr) -> io::Result<()> {
        let source = statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
        Meta::of(&source).apply_times(&self.here)?;
        self.path.pop();
        self.here = reopen(self.top.as_fd(), &self.path)?;
        Ok(())
    }
}

fn os_name(name: &CStr) -> &std::ffi::OsStr {
    std::os::unix::ffi::OsStrExt::from_bytes(name.to_bytes())
}

/// Opens a directory of the copy again. Somebody may be using the volume already: nothing of what
/// they put there is followed.
fn reopen(top: BorrowedFd<'_>, path: &Path) -> rustix::io::Result<OwnedFd> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat2(top, path, flags, Mode::empty(), ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS)
}

fn link(top: BorrowedFd<'_>, first: &Path, dir: BorrowedFd<'_>, name: &CStr) -> io::Result<()> {
    let parent = reopen(top, first.parent().unwrap_or(Path::new("")))?;
    let first = first.file_name().unwrap_or_default();
    Ok(linkat(parent, first, dir, name, AtFlags::empty())?)
}

/// Copies what is called `name` and is not a directory.
pub(crate) fn copy_one(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    name: &CStr,
    owners: Owners,
) -> io::Result<()> {
    let stat = statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let mut meta = Meta::of(&stat);
    (meta.uid, meta.gid) = (owners.map(meta.uid), owners.map(meta.gid));
    let kind = FileType::from_raw_mode(stat.st_mode);
    if kind == FileType::RegularFile {
        return copy_file(from, to, name, &meta);
    }
    if kind == FileType::Socket {
        // It has nobody behind it in a copy.
        return Ok(());
    }
    if kind == FileType::Symlink {
        symlinkat(readlinkat(from, name, Vec::new())?, to, name)?;
    } else {
        mknodat(to, name, kind, Mode::empty(), stat.st_rdev)?;
    }
    Ok(meta.apply_at(to, name, kind == FileType::Symlink)?)
}

/// Gives the directory `to` the owner, mode and attributes of `from`.
pub(crate) fn copy_dir(
    from: BorrowedFd<'_>,
    to: BorrowedFd<'_>,
    owners: Owners,
) -> rustix::io::Result<()> {
    let mut meta = Meta::of(&fstat(from)?);
    (meta.uid, meta.gid) = (owners.map(meta.uid), owners.map(meta.gid));
    meta.apply(to)?;
    copy_xattrs(from, to, wanted)
}

fn copy_file(from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr, meta: &Meta) -> io::Result<()> {
    let read = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let write = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut from = File::from(openat(from, name, read, Mode::empty())?);
    let mut to = File::from(openat(to, name, write, Mode::RUSR | Mode::WUSR)?);
    let stat = fstat(&from)?;
    copy_data(&mut from, &mut to, u64::try_from(stat.st_size).unwrap_or(0))?;
    meta.apply(&to)?;
    copy_xattrs(from.as_fd(), to.as_fd(), wanted)?;
    Ok(meta.apply_times(&to)?)
}

/// Which attributes a copy keeps, and an archive may set.
pub(crate) fn wanted(attribute: &[u8]) -> bool {
    attribute == b"security.capability"
        || (attribute.starts_with(b"user.") && !attribute.starts_with(b"user.overlay."))
}
