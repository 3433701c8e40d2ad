//! What is visible in the layers below, as overlayfs would show it.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, openat, statat};
use rustix::io::Errno;

use super::path::MemberPath;
use super::whiteout;
use crate::disk::{DiskError, open_dir};

/// The layers below, top first.
pub(super) struct Lower(Vec<OwnedFd>);

/// What is at a path.
pub(super) enum Found {
    /// A directory; of merged ones the uppermost, whose attributes count.
    Directory(OwnedFd),
    /// Anything else, in this directory.
    Other(OwnedFd),
}

impl Lower {
    pub(super) fn open(below: &[PathBuf]) -> Result<Self, DiskError> {
        below.iter().map(|path| open_dir(path)).collect::<Result<_, _>>().map(Self)
    }

    /// Looks `path` up, without following symlinks.
    pub(super) fn find(&self, path: &MemberPath) -> io::Result<Option<Found>> {
        let mut merged = Vec::new();
        for dir in &self.0 {
            merged.push(dir.try_clone()?);
        }
        let mut names = path.components().peekable();
        while let Some(name) = names.next() {
            let last = names.peek().is_none();
            match step(&merged, name)? {
                Step::Directories(next) => merged = next,
                Step::Other(dir) if last => return Ok(Some(Found::Other(dir))),
                Step::Other(_) | Step::Nothing => return Ok(None),
            }
        }
        Ok(merged.into_iter().next().map(Found::Directory))
    }

    /// The names in the roots of all layers, hidden ones included.
    pub(super) fn root_names(&self) -> io::Result<Vec<CString>> {
        let mut names = Vec::new();
        for dir in &self.0 {
            for entry in Dir::read_from(dir)? {
                let entry = entry?;
                if entry.file_name() != c"." && entry.file_name() != c".." {
                    names.push(entry.file_name().to_owned());
                }
            }
        }
        Ok(names)
    }
}

enum Step {
    Directories(Vec<OwnedFd>),
    Other(OwnedFd),
    Nothing,
}

/// What `name` is in directories that are merged, top first.
fn step(merged: &[OwnedFd], name: &[u8]) -> io::Result<Step> {
    let mut next = Vec::new();
    for dir in merged {
        let stat = match statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => continue,
            Err(e) => return Err(e.into()),
        };
        if whiteout::is_whiteout(&stat) {
            break;
        }
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            if next.is_empty() {
                return Ok(Step::Other(dir.try_clone()?));
            }
            break;
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let child = openat(dir, name, flags, Mode::empty())?;
        let opaque = whiteout::is_opaque(child.as_fd())?;
        next.push(child);
        if opaque {
            break;
        }
    }
    Ok(if next.is_empty() { Step::Nothing } else { Step::Directories(next) })
}
