//! An archive into a tree that is in use, perhaps by somebody hostile.
//!
//! The members go to a directory of the tree; whatever is on the way to them is looked up in the whole
//! tree's root each time, so that links lead where they lead inside, and never out of it.

use std::ffi::{CStr, CString};
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, OFlags, StatxFlags, statat, statx};
use rustix::io::Errno;

use super::LayerError;
use super::extract::Extract;
use super::path::{MemberPath, show};
use crate::codec::{Accepted, Decompressor};
use crate::disk::At as _;
use crate::error::Result;
use crate::tarball::{Limits, Member, MemberKind, Reader, TarError};
use crate::tree::{Ids, is_kernels, open_in};

/// How an archive goes into a tree.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The users and groups of the tree.
    pub ids: Ids,
    /// Whose the files become.
    pub owner: Owner,
    /// Refuse to put a directory in the place of anything else, and the other way round.
    pub keep_kinds: bool,
    /// The first part of each name as it is in the archive, and what it becomes.
    pub rename: Option<(Vec<u8>, Vec<u8>)>,
}

/// Whose files become that come from an archive. Ids are those inside the tree.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Owner {
    /// Whose they are in the archive.
    Archived,
    /// This user's and group's.
    Given(u32, u32),
}

/// Unpacks the archive `source`, plain or compressed, into `directory` of the tree `root`. `check` is
/// asked at each member whether to go on.
///
/// What is there already is replaced, except that directories stay and get the attributes of those in
/// the archive. After an error a part of it is there.
pub fn unpack_into(
    root: OwnedFd,
    directory: &str,
    rules: Rules,
    source: impl Read,
    check: &mut dyn FnMut() -> io::Result<()>,
) -> Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let target = open_in(root.as_fd(), directory, flags).at("open directory", directory)?;
    let limits = Limits::default();
    let rename = rules.rename.clone();
    let tree = Tree { root, directory: directory.as_bytes().to_vec(), rules };
    let mut extract = Extract::into_tree(target, tree, limits);
    let mut members = Reader::new(Decompressor::accepting(Accepted::All, source)?, limits);
    while let Some(mut member) = members.next_member()? {
        check().at("unpack into", directory)?;
        if let Some((from, to)) = &rename {
            renamed(&mut member.path, from, to);
            if let MemberKind::Hardlink(target) = &mut member.kind {
                renamed(target, from, to);
            }
        }
        extract.member(&member, &mut members)?;
    }
    // Read to its end: a client that is cut off while it sends would think it was refused.
    let (marked, at) = (members.ended_with_mark(), members.position());
    members.into_source().finish()?;
    // An empty body is an empty archive to Docker.
    if !marked && at > 0 {
        return Err(TarError::Truncated(at).into());
    }
    extract.set_times().at("set times in", directory)?;
    Ok(())
}

/// Puts `to` in the place of `from` at the beginning of a name. What is in the root begins with a slash
/// alone.
fn renamed(path: &mut Vec<u8>, from: &[u8], to: &[u8]) {
    let rest = match path.strip_prefix(from) {
        Some(rest) if from == b"/" => rest,
        Some(rest) if rest.is_empty() || rest.starts_with(b"/") => rest,
        _ => return,
    };
    let rest = rest.strip_prefix(b"/").unwrap_or(rest);
    *path = [to, b"/", rest].concat();
}

/// A tree, and the directory in it that an archive goes to.
pub(super) struct Tree {
    root: OwnedFd,
    directory: Vec<u8>,
    rules: Rules,
}

impl Tree {
    pub(super) fn ids(&self) -> &Ids {
        &self.rules.ids
    }

    /// Opens the directory `path` of those the archive goes to.
    pub(super) fn open(&self, path: &MemberPath, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let full = [self.directory.as_slice(), b"/", path.as_c_str().to_bytes()].concat();
        let full = CString::new(full).map_err(|_nul| Errno::INVAL)?;
        let errno = |e: io::Error| Errno::from_io_error(&e).unwrap_or(Errno::IO);
        let opened = open_in(self.root.as_fd(), full.as_c_str(), flags).map_err(errno)?;
        // The kernel's own file systems answer to writing, and are not the guest's to fill.
        if is_kernels(opened.as_fd()).map_err(errno)? { Err(Errno::ROFS) } else { Ok(opened) }
    }

    /// The host's user and group that a member becomes.
    pub(super) fn owner(&self, member: &Member) -> io::Result<(u32, u32)> {
        let (uid, gid) = match self.rules.owner {
            Owner::Archived => (member.uid, member.gid),
            Owner::Given(uid, gid) => (uid, gid),
        };
        let missing = |what, id| {
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("the container's user namespace has no {what} {id}"),
            )
        };
        let user = self.rules.ids.users.outside(uid).ok_or_else(|| missing("user", uid))?;
        let group = self.rules.ids.groups.outside(gid).ok_or_else(|| missing("group", gid))?;
        Ok((user, group))
    }

    /// Whether a member may take the place of what is called `name` in `dir`.
    pub(super) fn check(
        &self,
        dir: BorrowedFd<'_>,
        name: &CStr,
        member: &Member,
    ) -> Result<(), LayerError> {
        let refused = |e: Errno| LayerError::Member {
            path: show(&member.path),
            doing: "replace what is there",
            source: e.into(),
        };
        let stat = match statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(()),
            stat => stat.map_err(refused)?,
        };
        let was = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        let is = member.kind == MemberKind::Directory;
        let change = |old, new| LayerError::KindChanges { path: show(&member.path), old, new };
        match (was, is, self.rules.keep_kinds) {
            (true, true, _) => return Ok(()),
            (true, false, true) => return Err(change("directory", "non-directory")),
            (false, true, true) => return Err(change("non-directory", "directory")),
            (true, false, false) | (false, ..) => {}
        }
        // The kernel would let us remove what something is mounted on in another mount namespace
        // than ours, and take the mount away with it.
        let mount = |at: BorrowedFd<'_>, name: &CStr, flags| {
            statx(at, name, flags, StatxFlags::MNT_ID).map(|found| found.stx_mnt_id)
        };
        let there = mount(dir, name, AtFlags::SYMLINK_NOFOLLOW).map_err(refused)?;
        let here = mount(dir, c"", AtFlags::EMPTY_PATH).map_err(refused)?;
        if there == here { Ok(()) } else { Err(refused(Errno::BUSY)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_part_of_names_is_renamed() {
        for (path, from, to, want) in [
            ("d/f", "d", "new", "new/f"),
            ("d/", "d", "new", "new/"),
            ("f", "f", "new", "new/"),
            ("dd/f", "d", "new", "dd/f"),
            ("/bin/sh", "/", "new", "new/bin/sh"),
            ("./f", ".", "new", "new/f"),
        ] {
            let mut path = path.as_bytes().to_vec();
            renamed(&mut path, from.as_bytes(), to.as_bytes());
            assert_eq!(String::from_utf8(path).unwrap(), want);
        }
    }
}
