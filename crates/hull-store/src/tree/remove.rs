//! Removes a tree that may resist: very deep, very wide, immutable, full of symlinks.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{
    AtFlags, FileType, IFlags, Mode, OFlags, fstat, ioctl_getflags, ioctl_setflags, openat,
    unlinkat,
};
use rustix::io::Errno;

use super::walk::{Visit, WalkError, open_child, walk};
use crate::disk::{At, DiskError, open_dir};

/// Removes whatever is at `path`; nothing there is no error. Goes on after a failure and reports
/// the first. Never follows a symlink and never enters another mount.
pub fn remove(path: &Path) -> Result<(), DiskError> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(DiskError::new("remove", path, io::ErrorKind::InvalidInput.into()));
    };
    let parent = match open_dir(parent) {
        Ok(parent) => parent,
        Err(_) if !crate::disk::exists(parent)? => return Ok(()),
        Err(e) => return Err(e),
    };
    let name = std::ffi::CString::new(name.as_bytes()).at("remove", path)?;
    remove_at(parent.as_fd(), &name)
        .map_err(|e| DiskError::new("remove", path.join(e.path), e.source))
}

/// As [`remove`], for `name` in `parent`.
pub(crate) fn remove_at(parent: BorrowedFd<'_>, name: &CStr) -> Result<(), WalkError> {
    let failed = |e: io::Error| WalkError { path: std::path::PathBuf::new(), source: e };
    let root = match open_child(parent, name) {
        Ok(root) => root,
        Err(Errno::NOENT) => return Ok(()),
        Err(Errno::NOTDIR | Errno::LOOP) => {
            return unlink(parent, name, AtFlags::empty()).map_err(failed);
        }
        Err(e) => return Err(failed(e.into())),
    };
    let mut remover = Remover { first: None };
    walk(root, &mut remover)?;
    match remover.first {
        Some(first) => Err(first),
        None => unlink(parent, name, AtFlags::REMOVEDIR).map_err(failed),
    }
}

struct Remover {
    first: Option<WalkError>,
}

impl Visit for Remover {
    fn file(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> io::Result<()> {
        unlink(dir, name, AtFlags::empty())
    }

    fn enter(&mut self, _name: &CStr, _dir: BorrowedFd<'_>) -> io::Result<()> {
        Ok(())
    }

    fn leave(&mut self, parent: BorrowedFd<'_>, name: &CStr) -> io::Result<()> {
        unlink(parent, name, AtFlags::REMOVEDIR)
    }

    fn failed(&mut self, error: WalkError) -> Result<(), WalkError> {
        self.first.get_or_insert(error);
        Ok(())
    }
}

fn unlink(dir: BorrowedFd<'_>, name: &CStr, flags: AtFlags) -> io::Result<()> {
    match unlinkat(dir, name, flags) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(Errno::PERM | Errno::ACCESS) => {
            // A guest with CAP_LINUX_IMMUTABLE may have marked the file, or its directory.
            thaw(dir, name);
            thaw(dir, c".");
            Ok(unlinkat(dir, name, flags)?)
        }
        Err(e) => Err(e.into()),
    }
}

/// Takes away `immutable` and `append only`, as far as possible: the second attempt to remove
/// tells whether it helped.
///
/// Only files and directories are opened for reading; opening a device does what its driver
/// pleases.
fn thaw(dir: BorrowedFd<'_>, name: &CStr) {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let Ok(named) = openat(dir, name, flags, Mode::empty()) else { return };
    let kind = fstat(&named).map(|stat| FileType::from_raw_mode(stat.st_mode));
    if !matches!(kind, Ok(FileType::RegularFile | FileType::Directory)) {
        return;
    }
    // Through the descriptor: the name may mean something else by now.
    let same = format!("/proc/self/fd/{}", named.as_raw_fd());
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let Ok(file) = rustix::fs::open(same, flags, Mode::empty()) else { return };
    if let Ok(marks) = ioctl_getflags(&file) {
        ioctl_setflags(&file, marks - IFlags::IMMUTABLE - IFlags::APPEND).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::fd::OwnedFd;

    #[test]
    fn symlinks_are_removed_and_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (kept, gone) = (dir.path().join("kept"), dir.path().join("gone"));
        fs::create_dir_all(kept.join("sub")).unwrap();
        fs::write(kept.join("sub/file"), "x").unwrap();
        fs::create_dir(&gone).unwrap();
        std::os::unix::fs::symlink(&kept, gone.join("link")).unwrap();
        std::os::unix::fs::symlink("..", gone.join("up")).unwrap();
        remove(&gone).unwrap();
        assert!(!gone.exists() && kept.join("sub/file").exists());
        std::os::unix::fs::symlink(&kept, &gone).unwrap();
        remove(&gone).unwrap();
        assert!(gone.symlink_metadata().is_err() && kept.exists());
        remove(&gone).unwrap();
        remove(&gone.join("no/such/parent")).unwrap();
    }

    #[test]
    fn a_tree_deeper_than_any_path_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().join("deep");
        fs::create_dir(&top).unwrap();
        let mut here: OwnedFd = open_dir(&top).unwrap();
        for _ in 0..5_000 {
            rustix::fs::mkdirat(&here, c"down", Mode::RWXU).unwrap();
            here = open_child(here.as_fd(), c"down").unwrap();
        }
        drop(here);
        assert_eq!(super::super::usage(&top).unwrap().entries, 5_000);
        remove(&top).unwrap();
        assert!(!top.exists());
    }

    #[test]
    fn immutable_files_and_directories_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().join("top");
        fs::create_dir_all(top.join("a")).unwrap();
        fs::write(top.join("a/f"), "x").unwrap();
        for path in [top.join("a/f"), top.join("a"), top.clone()] {
            let file = fs::File::open(path).unwrap();
            let marks = ioctl_getflags(&file).unwrap();
            if let Err(e) = ioctl_setflags(&file, marks | IFlags::IMMUTABLE) {
                // What cannot be marked immutable needs no test of its removal.
                assert_eq!(e, Errno::OPNOTSUPP);
                return;
            }
        }
        remove(&top).unwrap();
        assert!(!top.exists());
    }

    #[test]
    fn what_is_not_a_file_is_removed_unopened() {
        use rustix::fs::{CWD, inotify};
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().join("top");
        fs::create_dir(&top).unwrap();
        rustix::fs::mknodat(CWD, top.join("pipe"), FileType::Fifo, Mode::RWXU, 0).unwrap();
        let watch = inotify::init(inotify::CreateFlags::NONBLOCK).unwrap();
        inotify::add_watch(&watch, top.join("pipe"), inotify::WatchFlags::OPEN).unwrap();
        let file = fs::File::open(&top).unwrap();
        let marks = ioctl_getflags(&file).unwrap();
        if let Err(e) = ioctl_setflags(&file, marks | IFlags::IMMUTABLE) {
            // What cannot be marked immutable needs no test of its removal.
            assert_eq!(e, Errno::OPNOTSUPP);
            return;
        }
        remove(&top).unwrap();
        assert!(!top.exists());
        let mut buffer = [std::mem::MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(&watch, &mut buffer);
        while let Ok(event) = events.next() {
            assert!(!event.events().contains(inotify::ReadFlags::OPEN));
        }
    }
}
