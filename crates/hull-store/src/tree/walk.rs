//! Visits a tree depth first with two descriptors, however deep it is.
//!
//! The way back up is `..`, checked to be the directory we came from: when somebody moves
//! directories meanwhile, the walk ends with an error instead of going on elsewhere.

use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, fstat, openat, openat2, statat,
};

/// What to do at each stop.
pub(super) trait Visit {
    /// `name` in `dir` is not a directory.
    fn file(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> io::Result<()>;
    /// The directory `name` was opened and its files come next.
    fn enter(&mut self, name: &CStr, dir: BorrowedFd<'_>) -> io::Result<()>;
    /// Whether the directory that was just entered is gone into. Its `leave` comes in any case.
    fn descends(&mut self, _dir: BorrowedFd<'_>) -> io::Result<bool> {
        Ok(true)
    }
    /// Everything in the directory `name` of `parent` was visited.
    fn leave(&mut self, parent: BorrowedFd<'_>, name: &CStr) -> io::Result<()>;
    /// A step failed. `Ok` goes on with the next.
    fn failed(&mut self, error: WalkError) -> Result<(), WalkError> {
        Err(error)
    }
}

/// A step failed at `path`, which is relative to where the walk began.
#[derive(Debug)]
pub(crate) struct WalkError {
    pub(crate) path: PathBuf,
    pub(crate) source: io::Error,
}

/// Where a walk goes, and in which order.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Way {
    /// Never into another mount; names as the file system gives them.
    OneMount,
    /// As [`Way::OneMount`], with the names of each directory in order.
    Sorted,
    /// Into what is mounted there, too.
    AllMounts,
}

struct Level {
    name: CString,
    /// Device and inode.
    identity: (u64, u64),
    directories: Vec<CString>,
}

const OPEN: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Opens the directory `name` in `dir` itself: no symlink, and nothing mounted over it.
pub(super) fn open_child(dir: BorrowedFd<'_>, name: &CStr) -> rustix::io::Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    openat2(dir, name, OPEN, Mode::empty(), resolve)
}

/// Opens the directory `name` in `dir`, which may be another mount's.
fn open_any(dir: BorrowedFd<'_>, name: &CStr) -> rustix::io::Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    openat2(dir, name, OPEN, Mode::empty(), resolve)
}

/// Visits everything under `root`, files of a directory before its directories.
pub(super) fn walk(root: OwnedFd, visit: &mut dyn Visit) -> Result<(), WalkError> {
    walk_by(Way::OneMount, root, visit)
}

/// As [`walk`], in another way.
pub(super) fn walk_by(way: Way, root: OwnedFd, visit: &mut dyn Visit) -> Result<(), WalkError> {
    let mut here = root;
    let mut levels = Vec::new();
    let open = if way == Way::AllMounts { open_any } else { open_child };
    push(&mut levels, CString::default(), here.as_fd(), (way, &mut *visit))?;
    while let Some(level) = levels.last_mut() {
        if let Some(name) = level.directories.pop() {
            match open(here.as_fd(), &name).map_err(io::Error::from).and_then(|child| {
                visit.enter(&name, child.as_fd())?;
                Ok(child)
            }) {
                Ok(child) => {
                    here = child;
                    push(&mut levels, name, here.as_fd(), (way, &mut *visit))?;
                }
                Err(e) => visit.failed(error_at(&levels, Some(&name), e))?,
            }
            continue;
        }
        let Some(done) = levels.pop() else { break };
        let Some(parent) = levels.last() else { break };
        here = up(&here, parent.identity).map_err(|e| error_at(&levels, Some(&done.name), e))?;
        if let Err(e) = visit.leave(here.as_fd(), &done.name) {
            visit.failed(error_at(&levels, Some(&done.name), e))?;
        }
    }
    Ok(())
}

fn push(
    levels: &mut Vec<Level>,
    name: CString,
    dir: BorrowedFd<'_>,
    (way, visit): (Way, &mut dyn Visit),
) -> Result<(), WalkError> {
    let identity = identity(dir).map_err(|e| error_at(levels, Some(&name), e))?;
    let descends = visit.descends(dir).map_err(|e| error_at(levels, Some(&name), e))?;
    levels.push(Level { name, identity, directories: Vec::new() });
    let directories = match (descends, way) {
        (false, _) => Vec::new(),
        (true, Way::OneMount | Way::AllMounts) => files(levels, dir, visit)?,
        (true, Way::Sorted) => sorted_files(levels, dir, visit)?,
    };
    if let Some(level) = levels.last_mut() {
        level.directories = directories;
    }
    Ok(())
}

/// As [`files`], in order; the last directory's name comes first, as a stack wants it.
fn sorted_files(
    levels: &[Level],
    dir: BorrowedFd<'_>,
    visit: &mut dyn Visit,
) -> Result<Vec<CString>, WalkError> {
    struct Names(Vec<CString>);
    impl Visit for Names {
        fn file(&mut self, _dir: BorrowedFd<'_>, name: &CStr) -> io::Result<()> {
            self.0.push(name.to_owned());
            Ok(())
        }
        fn enter(&mut self, _name: &CStr, _dir: BorrowedFd<'_>) -> io::Result<()> {
            Ok(())
        }
        fn leave(&mut self, _parent: BorrowedFd<'_>, _name: &CStr) -> io::Result<()> {
            Ok(())
        }
    }
    let mut names = Names(Vec::new());
    let mut directories = files(levels, dir, &mut names)?;
    names.0.sort_unstable();
    for name in &names.0 {
        if let Err(e) = visit.file(dir, name) {
            visit.failed(error_at(levels, Some(name), e))?;
        }
    }
    directories.sort_unstable_by(|one, other| other.cmp(one));
    Ok(directories)
}

/// Visits the files of `dir`; returns the names of its directories.
fn files(
    levels: &[Level],
    dir: BorrowedFd<'_>,
    visit: &mut dyn Visit,
) -> Result<Vec<CString>, WalkError> {
    let mut directories = Vec::new();
    let entries = Dir::read_from(dir).map_err(|e| error_at(levels, None, e.into()))?;
    for entry in entries {
        let entry = entry.map_err(|e| error_at(levels, None, e.into()))?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let mut kind = entry.file_type();
        if kind == FileType::Unknown {
            let stat = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW);
            let stat = stat.map_err(|e| error_at(levels, Some(name), e.into()))?;
            kind = FileType::from_raw_mode(stat.st_mode);
        }
        if kind == FileType::Directory {
            directories.push(name.to_owned());
        } else if let Err(e) = visit.file(dir, name) {
            visit.failed(error_at(levels, Some(name), e))?;
        }
    }
    Ok(directories)
}

/// The parent of `dir`, which must be the one we came from.
fn up(dir: &OwnedFd, expected: (u64, u64)) -> io::Result<OwnedFd> {
    let parent = openat(dir, c"..", OPEN, Mode::empty())?;
    if identity(parent.as_fd())? == expected {
        Ok(parent)
    } else {
        Err(io::Error::other("a directory was moved meanwhile"))
    }
}

fn identity(dir: BorrowedFd<'_>) -> io::Result<(u64, u64)> {
    let stat = fstat(dir)?;
    Ok((stat.st_dev, stat.st_ino))
}

fn error_at(levels: &[Level], name: Option<&CStr>, source: io::Error) -> WalkError {
    let names = levels.iter().map(|level| level.name.as_c_str()).chain(name);
    let path = names.map(|name| OsStr::from_bytes(name.to_bytes())).collect();
    WalkError { path, source }
}
