//! Writes the members of an archive under one directory, and nowhere else: a new layer, or a tree
//! that is in use already (see [`super::tree`]).
//!
//! Every directory is reached by `openat2` with `RESOLVE_IN_ROOT`, so symlinks of the archive lead
//! around inside the layer at most; every last component is made anew (`O_EXCL`, `mknodat`,
//! `symlinkat`), so nothing is written through one.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, ResolveFlags, Timespec, linkat, makedev, mkdirat, mknodat,
    openat, openat2, statat, symlinkat, unlinkat,
};
use rustix::io::Errno;

use super::LayerError;
use super::budget::Budget;
use super::path::{MemberPath, show};
use super::tree::Tree;
use super::whiteout::{self, Name};
use crate::error::Result;
use crate::space::Space;
use crate::tarball::{Limits, Member, MemberKind, TarError};
use crate::tree::{Ids, Meta, remove_at, write_attributes};

/// A layer or tree being written.
pub(super) struct Extract {
    pub(super) root: OwnedFd,
    pub(super) pending: Pending,
    /// `None` for a layer.
    tree: Option<Tree>,
    /// The directory of the last member: most members are in the same one as the one before.
    parent: Option<(MemberPath, OwnedFd)>,
    budget: Budget,
    space: Space,
    buffer: Vec<u8>,
}

/// What must wait until all members are written, or until the layers below are known.
#[derive(Default)]
pub(super) struct Pending {
    /// Directories that the archive uses without saying what they are like.
    pub(super) implied: BTreeSet<MemberPath>,
    /// Second names of files that are not in this layer: name and target.
    pub(super) links: Vec<(MemberPath, MemberPath)>,
    /// Times of directories, which writing in them changes.
    pub(super) times: BTreeMap<MemberPath, Timespec>,
    /// Whether everything below is hidden.
    pub(super) opaque_root: bool,
}

/// How directories are opened under a layer's root.
const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
const INSIDE: ResolveFlags =
    ResolveFlags::IN_ROOT.union(ResolveFlags::NO_MAGICLINKS).union(ResolveFlags::NO_XDEV);

impl Extract {
    /// Writes into the empty directory `root`.
    pub(super) fn new(root: OwnedFd, limits: Limits) -> Self {
        let mut pending = Pending::default();
        pending.implied.insert(MemberPath::default());
        let (budget, space) = (Budget::new(limits), Space::default());
        let buffer = vec![0; 128 << 10];
        Self { root, pending, tree: None, parent: None, budget, space, buffer }
    }

    /// Writes into `tree`, whose directory is `directory`.
    pub(super) fn into_tree(directory: OwnedFd, tree: Tree, limits: Limits) -> Self {
        Self { tree: Some(tree), ..Self::new(directory, limits) }
    }

    /// Writes one member, whose contents are what `data` reads.
    pub(super) fn member(&mut self, member: &Member, data: &mut impl Read) -> Result<()> {
        self.budget.make()?;
        self.space
            .file(&self.root, length(member))
            .map_err(|e| refused(member, "find room for it", e))?;
        let path = MemberPath::new(&member.path)?;
        let Some((parent, name)) = path.split() else {
            return self.root_member(member);
        };
        let special = if self.tree.is_some() { Name::Plain } else { Name::of(name)? };
        if special == Name::Ignored {
            return Ok(());
        }
        let failed = |doing| {
            let path = show(&member.path);
            move |e: Errno| LayerError::Member { path, doing, source: e.into() }
        };
        let dir = self.directory(&parent)?;
        match special {
            Name::Gone(hidden) => {
                whiteout::hide(dir.as_fd(), &hidden).map_err(failed("make a whiteout"))?;
            }
            Name::Opaque if parent.is_root() => self.pending.opaque_root = true,
            Name::Opaque => {
                whiteout::make_opaque(dir.as_fd()).map_err(failed("make the directory opaque"))?;
            }
            Name::Plain | Name::Ignored => {
                let place = Place { dir: dir.as_fd(), name, path: &path };
                self.place(&place, member, data)?;
            }
        }
        // Only now: what was placed may have replaced a directory on the way there.
        if self.parent.is_none() {
            self.parent = Some((parent, dir));
        }
        Ok(())
    }

    fn root_member(&mut self, member: &Member) -> Result<()> {
        let path = MemberPath::default();
        if member.kind != MemberKind::Directory {
            let why = "the root can only be a directory";
            return Err(LayerError::Path { path: show(&member.path), why }.into());
        }
        if self.tree.is_some() {
            // It is somebody else's; only what is in it was asked for.
            return Ok(());
        }
        let root = self.root.as_fd();
        self.dress(root, member).map_err(|e| refused(member, "set attributes", e))?;
        self.pending.implied.remove(&path);
        self.pending.times.insert(path, time_of(member));
        Ok(())
    }

    /// The directory at `path`, made with its parents where it is missing.
    pub(super) fn directory(&mut self, path: &MemberPath) -> Result<OwnedFd> {
        if let Some((known, dir)) = self.parent.take()
            && known == *path
        {
            return Ok(dir);
        }
        match self.open(path) {
            Ok(dir) => Ok(dir),
            Err(Errno::NOENT | Errno::NOTDIR) => self.make_directory(path),
            Err(e) => Err(lost(path, e).into()),
        }
    }

    /// Makes the directory `path`, which is not there, and those it is in.
    fn make_directory(&mut self, path: &MemberPath) -> Result<OwnedFd> {
        let ancestry: Vec<_> = path.ancestry().collect();
        let root = MemberPath::default();
        let mut dir = self.open(&root).map_err(|e| lost(&root, e))?;
        // Where one is, so are those it is in: halving finds the first that is missing with few
        // walks through a deep tree, where going down or up would take one for each.
        let (mut there, mut missing) = (0, ancestry.len());
        while there + 1 < missing {
            let middle = usize::midpoint(there, missing);
            let here = &ancestry[middle - 1];
            match self.open(here) {
                Ok(found) => (dir, there) = (found, middle),
                Err(Errno::NOENT | Errno::NOTDIR) => missing = middle,
                Err(e) => return Err(lost(here, e).into()),
            }
        }
        for (here, name) in ancestry.into_iter().zip(path.components()).skip(there) {
            self.budget.make()?;
            self.budget.remember(&here)?;
            self.space.file(&dir, 0).map_err(|e| no_room(&here, e))?;
            dir = imply(dir.as_fd(), name).map_err(|e| lost(&here, e))?;
            if self.tree.is_none() {
                self.pending.implied.insert(here);
            }
        }
        Ok(dir)
    }

    /// Opens the directory `path`. Symlinks lead around inside.
    fn open(&self, path: &MemberPath) -> rustix::io::Result<OwnedFd> {
        match &self.tree {
            None => openat2(&self.root, path.as_c_str(), DIRECTORY, Mode::empty(), INSIDE),
            Some(tree) => tree.open(path, DIRECTORY),
        }
    }

    /// Opens what is at `path`, if it is a directory there.
    pub(super) fn existing(&self, path: &MemberPath) -> Option<OwnedFd> {
        let flags = DIRECTORY | OFlags::NOFOLLOW;
        match &self.tree {
            None => openat2(&self.root, path.as_c_str(), flags, Mode::empty(), INSIDE).ok(),
            Some(tree) => tree.open(path, flags).ok(),
        }
    }

    /// Sets the times of directories; last, since writing in them changes them.
    pub(super) fn set_times(&self) -> io::Result<()> {
        for (path, time) in &self.pending.times {
            // Not there any more if a later member replaced it.
            let Some(dir) = self.existing(path) else { continue };
            let times = rustix::fs::Timestamps { last_access: *time, last_modification: *time };
            rustix::fs::futimens(dir, &times)?;
        }
        Ok(())
    }

    /// Owner, mode and time as they will be on disk.
    fn meta_of(&self, member: &Member) -> io::Result<Meta> {
        let (uid, gid) = match &self.tree {
            None => (member.uid, member.gid),
            Some(tree) => tree.owner(member)?,
        };
        Ok(Meta { uid, gid, mode: member.mode, mtime: time_of(member) })
    }

    /// Owner, mode and attributes, in the order in which the kernel keeps them.
    fn dress(&self, file: BorrowedFd<'_>, member: &Member) -> io::Result<()> {
        self.meta_of(member)?.apply(file)?;
        if member.xattrs.is_empty() {
            return Ok(());
        }
        Ok(match &self.tree {
            None => write_attributes(file, &member.xattrs, &Ids::default()),
            Some(tree) => write_attributes(file, &member.xattrs, tree.ids()),
        }?)
    }

    fn place(&mut self, place: &Place<'_>, member: &Member, data: &mut impl Read) -> Result<()> {
        let (dir, name) = (place.dir, place.name);
        if let Some(tree) = &self.tree {
            tree.check(dir, name, member)?;
        }
        let meta = self.meta_of(member).map_err(|e| refused(member, "find its owner", e))?;
        let node = |kind, device| move || mknodat(dir, name, kind, Mode::empty(), device);
        let made = match &member.kind {
            MemberKind::File => return self.file(place, member, data),
            MemberKind::Directory => return self.directory_member(place, member),
            MemberKind::Hardlink(target) => {
                let target = MemberPath::new(target)?;
                return self.hardlink(place, target, member);
            }
            MemberKind::Symlink(to) => make(place, || symlinkat(to.as_slice(), dir, name))
                .and_then(|()| Ok(meta.apply_at(dir, name, true)?)),
            MemberKind::Char(major, minor) => {
                make(place, node(FileType::CharacterDevice, makedev(*major, *minor)))
                    .and_then(|()| Ok(meta.apply_at(dir, name, false)?))
            }
            MemberKind::Block(major, minor) => {
                make(place, node(FileType::BlockDevice, makedev(*major, *minor)))
                    .and_then(|()| Ok(meta.apply_at(dir, name, false)?))
            }
            MemberKind::Fifo => make(place, node(FileType::Fifo, 0))
                .and_then(|()| Ok(meta.apply_at(dir, name, false)?)),
        };
        Ok(made.map_err(|e| refused(member, "make it", e))?)
    }

    fn file(&mut self, place: &Place<'_>, member: &Member, data: &mut impl Read) -> Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = || openat(place.dir, place.name, flags, Mode::RUSR | Mode::WUSR);
        let mut file = File::from(make(place, open).map_err(|e| refused(member, "make it", e))?);
        match &member.sparse {
            None => self.contents(&mut file, member, data)?,
            Some(pieces) => {
                file.set_len(member.size).map_err(|e| refused(member, "set its length", e))?;
                for (offset, length) in pieces {
                    let seek = file.seek(SeekFrom::Start(*offset));
                    seek.map_err(|e| refused(member, "write it", e))?;
                    self.contents(&mut file, member, &mut Read::take(&mut *data, *length))?;
                }
            }
        }
        self.dress(file.as_fd(), member)
            .and_then(|()| Ok(self.meta_of(member)?.apply_times(&file)?))
            .map_err(|e| refused(member, "set attributes", e))?;
        Ok(())
    }

    fn contents(&mut self, to: &mut File, member: &Member, data: &mut impl Read) -> Result<()> {
        loop {
            match data.read(&mut self.buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => {
                    let written = to.write_all(&self.buffer[..count]);
                    written.map_err(|e| refused(member, "write it", e))?;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(TarError::Read(e).into()),
            }
        }
    }

    fn directory_member(&mut self, place: &Place<'_>, member: &Member) -> Result<()> {
        let made = (|| {
            let hidden = match mkdirat(place.dir, place.name, Mode::RWXU) {
                Ok(()) => false,
                Err(Errno::EXIST) => replace_by_directory(place)?,
                Err(e) => return Err(e.into()),
            };
            let flags = DIRECTORY | OFlags::NOFOLLOW;
            let dir = openat(place.dir, place.name, flags, Mode::empty())?;
            if hidden {
                whiteout::make_opaque(dir.as_fd())?;
            }
            self.dress(dir.as_fd(), member)
        })();
        made.map_err(|e| refused(member, "make the directory", e))?;
        self.pending.implied.remove(place.path);
        self.budget.remember(place.path)?;
        self.pending.times.insert(place.path.clone(), time_of(member));
        Ok(())
    }

    fn hardlink(&mut self, place: &Place<'_>, target: MemberPath, member: &Member) -> Result<()> {
        let Some((parent, name)) = target.split() else {
            let why = "a link to the root cannot be";
            return Err(LayerError::Path { path: show(&member.path), why }.into());
        };
        let linked = self.open(&parent).and_then(|from| {
            let old = statat(&from, name, AtFlags::SYMLINK_NOFOLLOW)?;
            if let Ok(new) = statat(place.dir, place.name, AtFlags::SYMLINK_NOFOLLOW) {
                if (old.st_dev, old.st_ino) == (new.st_dev, new.st_ino) {
                    return Ok(());
                }
                clear(place).map_err(|_gone_or_mount| Errno::BUSY)?;
            }
            linkat(&from, name, place.dir, place.name, AtFlags::empty())
        });
        match linked {
            Ok(()) => Ok(()),
            Err(Errno::NOENT) if self.tree.is_some() => {
                let (path, target) = (show(&member.path), target.show());
                Err(LayerError::LinkTarget { path, target }.into())
            }
            Err(Errno::NOENT) => {
                self.budget.remember(place.path)?;
                self.budget.remember(&target)?;
                self.pending.links.push((place.path.clone(), target));
                Ok(())
            }
            Err(e) => Err(refused(member, "link it", e.into()).into()),
        }
    }
}

/// Where a member goes.
struct Place<'a> {
    dir: BorrowedFd<'a>,
    name: &'a CStr,
    path: &'a MemberPath,
}

/// Makes something, in the place of what an earlier member made there.
fn make<T>(place: &Place<'_>, mut create: impl FnMut() -> rustix::io::Result<T>) -> io::Result<T> {
    match create() {
        Err(Errno::EXIST) => {
            clear(place)?;
            Ok(create()?)
        }
        done => Ok(done?),
    }
}

fn clear(place: &Place<'_>) -> io::Result<()> {
    remove_at(place.dir, place.name).map_err(|e| e.source)
}

/// Leaves a directory where something else may be. Returns whether that hid what is below.
fn replace_by_directory(place: &Place<'_>) -> io::Result<bool> {
    let stat = statat(place.dir, place.name, AtFlags::SYMLINK_NOFOLLOW)?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
        return Ok(false);
    }
    unlinkat(place.dir, place.name, AtFlags::empty())?;
    mkdirat(place.dir, place.name, Mode::RWXU)?;
    Ok(whiteout::is_whiteout(&stat))
}

/// Makes and opens a directory nobody described. A whiteout in its place means that it begins
/// empty.
fn imply(dir: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<OwnedFd> {
    let mut hidden = false;
    match mkdirat(dir, name, Mode::RWXU) {
        Ok(()) => {}
        Err(Errno::EXIST) => {
            let stat = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
            if !whiteout::is_whiteout(&stat) {
                return Err(Errno::NOTDIR);
            }
            unlinkat(dir, name, AtFlags::empty())?;
            mkdirat(dir, name, Mode::RWXU)?;
            hidden = true;
        }
        Err(e) => return Err(e),
    }
    let made = openat(dir, name, DIRECTORY | OFlags::NOFOLLOW, Mode::empty())?;
    if hidden {
        whiteout::make_opaque(made.as_fd())?;
    }
    rustix::fs::fchmod(&made, Mode::from_raw_mode(0o755))?;
    Ok(made)
}

fn time_of(member: &Member) -> Timespec {
    Timespec { tv_sec: member.mtime.0, tv_nsec: member.mtime.1.into() }
}

fn refused(member: &Member, doing: &'static str, source: io::Error) -> LayerError {
    LayerError::Member { path: show(&member.path), doing, source }
}

fn no_room(path: &MemberPath, source: io::Error) -> LayerError {
    LayerError::Member { path: path.show(), doing: "find room for the directory", source }
}

/// Bytes that a member takes on the disk; holes take none.
fn length(member: &Member) -> u64 {
    match &member.sparse {
        Some(pieces) => pieces.iter().map(|piece| piece.1).sum(),
        None => member.size,
    }
}

fn lost(path: &MemberPath, e: Errno) -> LayerError {
    LayerError::Member { path: path.show(), doing: "open the directory", source: e.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of `members` go into a layer with these limits, and how many directories it has
    /// then.
    fn accepted(limits: Limits, members: impl Iterator<Item = (MemberKind, String)>) -> (u64, u64) {
        let dir = tempfile::tempdir().unwrap();
        let root = std::fs::File::open(dir.path()).unwrap();
        let mut extract = Extract::new(root.into(), limits);
        let mut count = 0;
        for (kind, path) in members {
            let (path, size, xattrs) = (path.into_bytes(), 0, Vec::new());
            let (uid, gid, mode, mtime, sparse, offset) = (0, 0, 0o755, (0, 0), None, 0);
            let member = Member { path, kind, mode, uid, gid, mtime, size, xattrs, sparse, offset };
            match extract.member(&member, &mut io::empty()) {
                Ok(()) => count += 1,
                Err(e) => {
                    assert_eq!(e.kind(), crate::Kind::Invalid, "{e}");
                    assert!(e.to_string().contains("more than"), "{e}");
                    break;
                }
            }
        }
        (count, crate::tree::usage(dir.path()).unwrap().entries)
    }

    #[test]
    fn directories_nobody_described_count_as_members() {
        let limits = Limits { members: 1_000, ..Limits::default() };
        let deep = |n: u32| (MemberKind::File, format!("{n}/{}f", "a/".repeat(200)));
        let (members, entries) = accepted(limits, (0..100).map(deep));
        assert_eq!((members, entries), (4, 999));
    }

    #[test]
    fn names_to_remember_are_bounded() {
        let limits = Limits { names_bytes: 10_000, ..Limits::default() };
        let long = "n".repeat(200);
        for (kind, at_most) in
            [(MemberKind::Directory, 40), (MemberKind::Hardlink(b"below/or/nowhere".to_vec()), 30)]
        {
            let members = (0..100).map(|n| (kind.clone(), format!("{long}{n}")));
            let (members, _) = accepted(limits, members);
            assert!((20..at_most).contains(&members), "{kind:?}: {members}");
        }
        let one = (MemberKind::File, format!("{long}/").repeat(15) + "f");
        assert_eq!(accepted(limits, std::iter::once(one)).0, 0);
    }
}
