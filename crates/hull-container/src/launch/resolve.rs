//! Finding and making places below a root whose content is hostile.
//!
//! Every path goes through `openat2` with `RESOLVE_IN_ROOT`: a link to `/etc` or any number of `..`
//! ends below the guest's root, never in the host's.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{
    FileType, Mode, OFlags, ResolveFlags, fstat, mkdirat, mknodat, openat2, readlinkat,
};
use rustix::io::Errno;

use crate::failure::{Failure, plain};
use crate::weakened::{Defence, stands};

/// What a place is to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Wanted {
    /// A directory.
    Directory,
    /// Anything that is no directory.
    File,
}

/// Whether links on the way count.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Links {
    /// Followed, within the root.
    Follow,
    /// Followed, but for the last part of the path.
    Cover,
    /// Refused.
    Refuse,
}

/// How many links may be followed while making a path; the kernel's own limit.
const LINKS_MAX: usize = 40;

/// The place at `path` below `root`, made with its parents if it is missing.
pub(crate) fn ensure(
    root: &OwnedFd,
    path: &str,
    wanted: Wanted,
    links: Links,
) -> Result<OwnedFd, Failure> {
    let place = make(root, path, wanted, links, &mut LINKS_MAX.clone())
        .map_err(|error| explain(path, links, error))?;
    let stat = fstat(&place).map_err(|error| explain(path, links, error))?;
    let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
    match (wanted, is_directory) {
        (Wanted::Directory, false) => Err(Failure::other(format!(
            "mount at {path}: not a directory: are you trying to mount a directory onto a file?"
        ))),
        (Wanted::File, true) => Err(Failure::other(format!(
            "mount at {path}: is a directory: are you trying to mount a file onto a directory?"
        ))),
        _ => Ok(place),
    }
}

/// The place at `path` below `root`, or `None` if there is none.
pub(crate) fn find(root: &OwnedFd, path: &str) -> Result<Option<OwnedFd>, Failure> {
    match open(root, path, Links::Follow) {
        Ok(place) => Ok(Some(place)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(error) => Err(explain(path, Links::Follow, error)),
    }
}

fn explain(path: &str, links: Links, error: Errno) -> Failure {
    if error == Errno::LOOP && links == Links::Refuse {
        return Failure::other(format!("mount at {path}: the image has a symbolic link there"));
    }
    Failure::other(format!("mount at {path}: {}", plain(&error.into())))
}

fn open(root: impl AsFd, path: &str, links: Links) -> rustix::io::Result<OwnedFd> {
    let mut resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let mut flags = OFlags::PATH | OFlags::CLOEXEC;
    match links {
        Links::Follow => {}
        Links::Cover => flags |= OFlags::NOFOLLOW,
        Links::Refuse => resolve |= ResolveFlags::NO_SYMLINKS,
    }
    if !stands(Defence::InRoot) {
        let path = if path == "/" { "." } else { path.trim_start_matches('/') };
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        return rustix::fs::openat(&root, path, flags, Mode::empty());
    }
    // The kernel asks for another try when a rename raced with `..`.
    for _ in 0..16 {
        match openat2(&root, path, flags, Mode::empty(), resolve) {
            Err(Errno::AGAIN) => {}
            other => return other,
        }
    }
    Err(Errno::AGAIN)
}

fn make(
    root: &OwnedFd,
    path: &str,
    wanted: Wanted,
    links: Links,
    links_left: &mut usize,
) -> rustix::io::Result<OwnedFd> {
    match open(root, path, links) {
        Err(Errno::NOENT) => {}
        other => return other,
    }
    let path = path.trim_end_matches('/');
    let (parent_path, name) = path.rsplit_once('/').unwrap_or(("", path));
    if matches!(name, "" | "." | "..") {
        return Err(Errno::NOENT);
    }
    let parent_or_root = if parent_path.is_empty() { "/" } else { parent_path };
    // Only the last part can be the one that is covered.
    let above = if links == Links::Cover { Links::Follow } else { links };
    let parent = make(root, parent_or_root, Wanted::Directory, above, links_left)?;
    let made = match wanted {
        Wanted::Directory => mkdirat(&parent, name, Mode::from_raw_mode(0o755)),
        Wanted::File => {
            mknodat(&parent, name, FileType::RegularFile, Mode::from_raw_mode(0o644), 0)
        }
    };
    match made {
        Ok(()) => open(root, path, links),
        // It exists and yet leads nowhere: a dangling link. What it names is made, as images that
        // link /etc/resolv.conf into /run expect.
        Err(Errno::EXIST) => {
            *links_left = links_left.checked_sub(1).ok_or(Errno::LOOP)?;
            let target = readlinkat(&parent, name, Vec::new())?;
            let target = target.to_str().map_err(|_not_utf8| Errno::NOENT)?;
            let next = if target.starts_with('/') {
                target.to_owned()
            } else {
                format!("{parent_path}/{target}")
            };
            make(root, &next, wanted, links, links_left)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::*;

    fn root_of(dir: &Path) -> OwnedFd {
        fs::File::open(dir).unwrap().into()
    }

    #[test]
    fn hostile_links_end_below_the_root() {
        let dir = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("etc")).unwrap();
        symlink(outside.path(), dir.path().join("out")).unwrap();
        symlink("../../../../../../etc", dir.path().join("up")).unwrap();
        let root = root_of(dir.path());
        ensure(&root, "/out/made", Wanted::Directory, Links::Follow).unwrap();
        ensure(&root, "/up/file", Wanted::File, Links::Follow).unwrap();
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
        assert!(dir.path().join("etc/file").is_file());
        let inside = outside.path().strip_prefix("/").unwrap();
        assert!(dir.path().join(inside).join("made").is_dir());
    }

    #[test]
    fn a_dangling_link_is_made_where_it_points() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("etc")).unwrap();
        symlink("../run/stub.conf", dir.path().join("etc/resolv.conf")).unwrap();
        symlink("loop", dir.path().join("loop")).unwrap();
        let root = root_of(dir.path());
        ensure(&root, "/etc/resolv.conf", Wanted::File, Links::Follow).unwrap();
        assert!(dir.path().join("run/stub.conf").is_file());
        let error = ensure(&root, "/loop", Wanted::File, Links::Follow).unwrap_err();
        assert!(error.message.contains("symbolic link"), "{error}");
    }

    #[test]
    fn links_are_refused_where_the_guest_must_not_choose() {
        let dir = tempfile::tempdir().unwrap();
        symlink("/tmp", dir.path().join("proc")).unwrap();
        let root = root_of(dir.path());
        let error = ensure(&root, "/proc", Wanted::Directory, Links::Refuse).unwrap_err();
        assert_eq!(error.message, "mount at /proc: the image has a symbolic link there");
    }

    #[test]
    fn files_and_directories_are_not_confused() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "").unwrap();
        let root = root_of(dir.path());
        assert!(ensure(&root, "/file", Wanted::Directory, Links::Follow).is_err());
        assert!(ensure(&root, "/", Wanted::File, Links::Follow).is_err());
        assert!(find(&root, "/file/below").unwrap().is_none());
        assert!(find(&root, "/file").unwrap().is_some());
    }
}
