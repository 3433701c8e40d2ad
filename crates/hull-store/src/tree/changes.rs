//! What a writable layer changes in the tree below it, read from its directory on disk.

use std::ffi::{CStr, CString, OsStr};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat, fstat, openat, openat2, statat,
};
use rustix::io::Errno;

use super::ids::Ids;
use super::pack::Packer;
use super::walk::{Visit, WalkError, Way, walk_by};
use crate::disk::{DiskError, open_dir};
use crate::layer::{is_opaque, is_whiteout};

/// How a path differs from what is below.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum ChangeKind {
    /// There, and different.
    Changed,
    /// Not there below.
    Added,
    /// Only there below.
    Deleted,
}

/// One changed path.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Change {
    /// From the root, beginning with a slash.
    pub path: PathBuf,
    /// How.
    pub kind: ChangeKind,
}

/// The changes that the directory `upper` makes in the tree `below`, in the order of their paths.
///
/// `made` are paths that a launch makes so that something can be mounted there: where they are
/// empty and new, they are no change.
pub fn changes(upper: &Path, below: OwnedFd, made: &[&str]) -> Result<Vec<Change>, DiskError> {
    let mut found = Vec::new();
    compare(upper, below, made, &mut |entry: &Entry<'_>| {
        let path = Path::new("/").join(OsStr::from_bytes(entry.path));
        found.push(Change { path, kind: entry.kind });
        Ok(())
    })?;
    found.sort_unstable();
    Ok(found)
}

/// Writes the changes as a layer's archive (OCI image specification, `layer.md`): what is new as it
/// is, what is gone as whiteouts. The same changes give the same bytes.
pub fn pack_changes(
    upper: &Path,
    below: OwnedFd,
    made: &[&str],
    out: impl Write,
) -> Result<(), DiskError> {
    let mut packer = Packer::new(out, Ids::default());
    compare(upper, below, made, &mut |entry: &Entry<'_>| match (&entry.at, entry.kind) {
        (At::Directory(dir), _) => packer.directory(*dir, &[entry.path, b"/"].concat()),
        (At::Name(_, name), ChangeKind::Deleted) => {
            let directory = &entry.path[..entry.path.len() - name.to_bytes().len()];
            packer.gone(directory, name.to_bytes())
        }
        (At::Name(dir, name), ChangeKind::Added | ChangeKind::Changed) => {
            packer.entry(*dir, name, entry.path)
        }
    })?;
    packer.finish().map_err(|e| DiskError::new("archive", upper, e))
}

/// A change, and where it is.
struct Entry<'a> {
    /// Relative to the root.
    path: &'a [u8],
    kind: ChangeKind,
    at: At<'a>,
}

enum At<'a> {
    Directory(BorrowedFd<'a>),
    Name(BorrowedFd<'a>, &'a CStr),
}

type Tell<'a> = &'a mut dyn FnMut(&Entry<'_>) -> io::Result<()>;

fn compare(upper: &Path, below: OwnedFd, made: &[&str], tell: Tell<'_>) -> Result<(), DiskError> {
    let failed = |e: WalkError| DiskError::new("compare", upper.join(e.path), e.source);
    let root = open_dir(upper)?;
    let top = root.try_clone().map_err(|e| DiskError::new("open", upper, e))?;
    let here = below.try_clone().map_err(|e| DiskError::new("open", upper, e))?;
    let mut comparison = Comparison {
        top,
        below,
        here: Some(here),
        path: Vec::new(),
        levels: Vec::new(),
        made,
        tell,
    };
    walk_by(Way::Sorted, root, &mut comparison).map_err(failed)
}

/// The walk through a writable layer.
struct Comparison<'a> {
    top: OwnedFd,
    below: OwnedFd,
    /// The directory below that the walk is in; `None` where there is none.
    here: Option<OwnedFd>,
    /// Of the directory the walk is in.
    path: Vec<u8>,
    levels: Vec<Level>,
    made: &'a [&'a str],
    tell: Tell<'a>,
}

/// A directory on the way from the root to where the walk is.
struct Level {
    /// How long the path is up to the directory it is in.
    end: usize,
    /// What it is once something in it changed; `None` if that was told already.
    untold: Option<ChangeKind>,
}

impl Visit for Comparison<'_> {
    fn file(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> io::Result<()> {
        let stat = match statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(()),
            stat => stat?,
        };
        let below = self.lower(name)?;
        let kind = match (is_whiteout(&stat), below) {
            (true, None) => return Ok(()),
            (true, Some(_)) => ChangeKind::Deleted,
            (false, Some(_)) => ChangeKind::Changed,
            (false, None) if self.is_made(name, &stat) => return Ok(()),
            (false, None) => ChangeKind::Added,
        };
        self.tell_name(dir, name, kind)
    }

    fn enter(&mut self, name: &CStr, dir: BorrowedFd<'_>) -> io::Result<()> {
        let stat = fstat(dir)?;
        let below = self.lower(name)?;
        let is_made = below.is_none() && self.is_made(name, &stat);
        let end = self.path.len();
        if end > 0 {
            self.path.push(b'/');
        }
        self.path.extend_from_slice(name.to_bytes());
        let lower = self.here.take().map(|here| open_below(here.as_fd(), name));
        self.here = lower.transpose()?.flatten();
        let kind = if below.is_some() { ChangeKind::Changed } else { ChangeKind::Added };
        self.levels.push(Level { end, untold: Some(kind) });
        let same = match &below {
            Some(below) => self.is_same(below, &stat),
            // It becomes one if there is something in it.
            None => is_made,
        };
        let told = self.tell_entered(dir, (!same).then_some(kind));
        if told.is_err() {
            // The walk does not go into it, and goes on with the next.
            self.leave(dir, name)?;
        }
        told
    }

    fn leave(&mut self, _parent: BorrowedFd<'_>, _name: &CStr) -> io::Result<()> {
        if let Some(level) = self.levels.pop() {
            self.path.truncate(level.end);
        }
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let path: &[u8] = if self.path.is_empty() { b"." } else { &self.path };
        self.here = match openat2(&self.below, path, flags, Mode::empty(), resolve) {
            Ok(dir) => Some(dir),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => None,
            Err(e) => return Err(e.into()),
        };
        Ok(())
    }

    fn failed(&mut self, error: WalkError) -> Result<(), WalkError> {
        // Removed since it was listed: the layer is in use.
        if error.source.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
    }
}

impl Comparison<'_> {
    /// What is called `name` below.
    fn lower(&self, name: &CStr) -> io::Result<Option<Stat>> {
        let Some(here) = &self.here else { return Ok(None) };
        match statat(here, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) if is_whiteout(&stat) => Ok(None),
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    fn full(&self, name: &CStr) -> Vec<u8> {
        let slash: &[u8] = if self.path.is_empty() { b"" } else { b"/" };
        [self.path.as_slice(), slash, name.to_bytes()].concat()
    }

    /// Whether this is only there for something to be mounted on: a directory, or an empty file.
    fn is_made(&self, name: &CStr, stat: &Stat) -> bool {
        let full = self.full(name);
        let known = self.made.iter().any(|path| path.as_bytes() == full.as_slice());
        let kind = FileType::from_raw_mode(stat.st_mode);
        known
            && (kind == FileType::Directory || (kind == FileType::RegularFile && stat.st_size == 0))
    }

    /// Whether a directory is as it is below. Where something may have been made to mount on, its
    /// time says nothing.
    fn is_same(&self, below: &Stat, stat: &Stat) -> bool {
        let inside = [self.path.as_slice(), b"/"].concat();
        let made_in = self.made.iter().any(|path| path.as_bytes().starts_with(&inside));
        let time = |stat: &Stat| (stat.st_mtime, stat.st_mtime_nsec);
        (below.st_mode, below.st_uid, below.st_gid) == (stat.st_mode, stat.st_uid, stat.st_gid)
            && (made_in || time(below) == time(stat))
    }

    fn tell_name(&mut self, dir: BorrowedFd<'_>, name: &CStr, kind: ChangeKind) -> io::Result<()> {
        self.tell_parents(self.levels.len())?;
        let path = self.full(name);
        (self.tell)(&Entry { path: &path, kind, at: At::Name(dir, name) })
    }

    /// Tells what there is to tell of the directory that was just entered: what it is, unless it is
    /// as below, and what it hides.
    fn tell_entered(&mut self, dir: BorrowedFd<'_>, kind: Option<ChangeKind>) -> io::Result<()> {
        if let Some(kind) = kind {
            self.tell_way(dir, kind)?;
        }
        if is_opaque(dir)? { self.tell_hidden(dir) } else { Ok(()) }
    }

    /// Tells the directory that was just entered, after those it is in.
    fn tell_way(&mut self, dir: BorrowedFd<'_>, kind: ChangeKind) -> io::Result<()> {
        self.tell_parents(self.levels.len().saturating_sub(1))?;
        if let Some(level) = self.levels.last_mut() {
            level.untold = None;
        }
        (self.tell)(&Entry { path: &self.path, kind, at: At::Directory(dir) })
    }

    /// Tells the first `count` directories on the way that were not told yet: something in them
    /// changed.
    fn tell_parents(&mut self, count: usize) -> io::Result<()> {
        for index in 0..count {
            let Some(kind) = self.levels[index].untold.take() else { continue };
            let end = self.levels.get(index + 1).map_or(self.path.len(), |next| next.end);
            let path = &self.path[..end];
            let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let dir = openat2(&self.top, path, flags, Mode::empty(), resolve)?;
            (self.tell)(&Entry { path, kind, at: At::Directory(dir.as_fd()) })?;
        }
        Ok(())
    }

    /// Tells what an opaque directory hides: all that is below and not in it again.
    fn tell_hidden(&mut self, dir: BorrowedFd<'_>) -> io::Result<()> {
        let Some(here) = self.here.take() else { return Ok(()) };
        let mut hidden: Vec<CString> = Vec::new();
        for entry in Dir::read_from(&here)? {
            let entry = entry?;
            let name = entry.file_name();
            let again = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW);
            if name != c"." && name != c".." && again.is_err() {
                hidden.push(name.to_owned());
            }
        }
        self.here = Some(here);
        hidden.sort_unstable();
        for name in &hidden {
            if self.lower(name)?.is_some() {
                self.tell_name(dir, name, ChangeKind::Deleted)?;
            }
        }
        Ok(())
    }
}

/// The directory `name` of `dir`, if it is one.
fn open_below(dir: BorrowedFd<'_>, name: &CStr) -> io::Result<Option<OwnedFd>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match openat(dir, name, flags, Mode::empty()) {
        Ok(dir) => Ok(Some(dir)),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tarball::{Limits, Reader};
    use rustix::fs::{CWD, makedev, mknodat};
    use std::fs;

    struct Ground {
        dir: tempfile::TempDir,
    }

    impl Ground {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            for name in ["upper", "below"] {
                fs::create_dir(dir.path().join(name)).unwrap();
            }
            Self { dir }
        }

        /// Directories end with a slash; both sides get the same times.
        fn make(&self, side: &str, paths: &[&str]) {
            for path in paths {
                let at = self.dir.path().join(side).join(path);
                if path.ends_with('/') {
                    fs::create_dir_all(at).unwrap();
                } else {
                    fs::create_dir_all(at.parent().unwrap()).unwrap();
                    fs::write(at, path).unwrap();
                }
            }
        }

        fn settle(&self, dirs: &[&str]) {
            let time = std::time::UNIX_EPOCH;
            for side in ["upper", "below"] {
                for dir in dirs {
                    if let Ok(dir) = fs::File::open(self.dir.path().join(side).join(dir)) {
                        dir.set_modified(time).unwrap();
                    }
                }
            }
        }

        fn gone(&self, path: &str) {
            let at = self.dir.path().join("upper").join(path);
            fs::create_dir_all(at.parent().unwrap()).unwrap();
            mknodat(CWD, at, FileType::CharacterDevice, Mode::empty(), makedev(0, 0)).unwrap();
        }

        fn opaque(&self, path: &str) {
            let dir = fs::File::open(self.dir.path().join("upper").join(path)).unwrap();
            let flags = rustix::fs::XattrFlags::empty();
            rustix::fs::fsetxattr(dir, "trusted.overlay.opaque", b"y", flags).unwrap();
        }

        fn below(&self) -> OwnedFd {
            open_dir(&self.dir.path().join("below")).unwrap()
        }

        fn changes(&self, made: &[&str]) -> Vec<String> {
            let all = changes(&self.dir.path().join("upper"), self.below(), made).unwrap();
            let letter = |kind| match kind {
                ChangeKind::Changed => 'C',
                ChangeKind::Added => 'A',
                ChangeKind::Deleted => 'D',
            };
            all.iter().map(|one| format!("{} {}", letter(one.kind), one.path.display())).collect()
        }

        fn members(&self, made: &[&str]) -> Vec<String> {
            let mut bytes = Vec::new();
            pack_changes(&self.dir.path().join("upper"), self.below(), made, &mut bytes).unwrap();
            let mut reader = Reader::new(bytes.as_slice(), Limits::default());
            let mut names = Vec::new();
            while let Some(member) = reader.next_member().unwrap() {
                names.push(String::from_utf8(member.path).unwrap());
            }
            names
        }
    }

    #[test]
    fn added_changed_and_deleted_paths_with_the_directories_they_are_in() {
        let ground = Ground::new();
        ground.make("below", &["etc/passwd", "etc/old", "usr/bin/sh", "same/"]);
        ground.make("upper", &["etc/passwd", "etc/new/deep/file", "usr/bin/", "same/"]);
        ground.gone("etc/old");
        ground.settle(&["etc", "usr", "usr/bin", "same"]);
        assert_eq!(
            ground.changes(&[]),
            [
                "C /etc",
                "A /etc/new",
                "A /etc/new/deep",
                "A /etc/new/deep/file",
                "D /etc/old",
                "C /etc/passwd",
            ]
        );
        assert_eq!(
            ground.members(&[]),
            ["etc/", "etc/.wh.old", "etc/passwd", "etc/new/", "etc/new/deep/", "etc/new/deep/file"]
        );
    }

    #[test]
    fn an_opaque_directory_deletes_what_is_not_in_it_again() {
        let ground = Ground::new();
        ground.make("below", &["d/a", "d/b", "d/sub/x"]);
        ground.make("upper", &["d/b"]);
        ground.opaque("d");
        assert_eq!(ground.changes(&[]), ["C /d", "D /d/a", "C /d/b", "D /d/sub"]);
        assert_eq!(ground.members(&[]), ["d/", "d/.wh.a", "d/.wh.sub", "d/b"]);
    }

    #[test]
    fn a_directory_whose_mode_or_time_changed_is_a_change_by_itself() {
        use std::os::unix::fs::PermissionsExt as _;
        let ground = Ground::new();
        ground.make("below", &["mode/", "time/", "same/"]);
        ground.make("upper", &["mode/", "time/", "same/"]);
        ground.settle(&["mode", "time", "same"]);
        let later = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1);
        let time = fs::File::open(ground.dir.path().join("upper/time")).unwrap();
        time.set_modified(later).unwrap();
        let mode = fs::Permissions::from_mode(0o700);
        fs::set_permissions(ground.dir.path().join("upper/mode"), mode).unwrap();
        assert_eq!(ground.changes(&[]), ["C /mode", "C /time"]);
    }

    #[test]
    fn places_made_to_mount_on_are_no_change_until_something_is_in_them() {
        let made = ["etc", "etc/hosts", "proc", "dev"];
        let ground = Ground::new();
        ground.make("upper", &["proc/", "dev/"]);
        fs::create_dir(ground.dir.path().join("upper/etc")).unwrap();
        fs::write(ground.dir.path().join("upper/etc/hosts"), "").unwrap();
        assert!(ground.changes(&made).is_empty() && ground.members(&made).is_empty());
        ground.make("upper", &["etc/mine"]);
        assert_eq!(ground.changes(&made), ["A /etc", "A /etc/mine"]);
        assert_eq!(ground.members(&made), ["etc/", "etc/mine"]);
    }

    #[test]
    fn a_directory_that_is_moved_meanwhile_does_not_lend_its_name_to_others() {
        let ground = Ground::new();
        ground.make("below", &["p/q/"]);
        ground.make("upper", &["p/f", "p/q/r/g", "zz/h"]);
        ground.settle(&["p/q"]);
        let upper = ground.dir.path().join("upper");
        let mut seen = Vec::new();
        compare(&upper, ground.below(), &[], &mut |entry| {
            seen.push(String::from_utf8(entry.path.to_vec()).unwrap());
            if entry.path == b"p/f" {
                fs::rename(upper.join("p"), upper.join("moved"))?;
            }
            Ok(())
        })
        .unwrap();
        assert_eq!(seen, ["p", "p/f", "zz", "zz/h"]);
    }
}
