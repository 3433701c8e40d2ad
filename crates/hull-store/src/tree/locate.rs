//! Finding a path in a tree that somebody hostile arranges meanwhile: never outside of it.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, Stat, fstat, openat2, readlinkat};
use rustix::io::Errno;

/// Inside whatever links say; a link of procfs, which can lead anywhere, is an error.
const INSIDE: ResolveFlags = ResolveFlags::IN_ROOT.union(ResolveFlags::NO_MAGICLINKS);

/// Links that are followed before it is called a loop: the kernel's own limit.
const LINKS_MAX: u32 = 40;

/// Something in a tree, held.
#[derive(Debug)]
pub struct Located {
    /// Opened with `O_PATH`: neither read nor disturbed.
    pub file: OwnedFd,
    /// What it is.
    pub stat: Stat,
}

impl Located {
    /// Whether it is a directory.
    pub fn is_directory(&self) -> bool {
        FileType::from_raw_mode(self.stat.st_mode) == FileType::Directory
    }

    /// Whether it is a symbolic link.
    pub fn is_symlink(&self) -> bool {
        FileType::from_raw_mode(self.stat.st_mode) == FileType::Symlink
    }
}

/// What is at `path` under `root`. A symlink at its end is what is found, unless a slash follows.
pub fn locate(root: BorrowedFd<'_>, path: &str) -> io::Result<Located> {
    find(root, path, OFlags::PATH | OFlags::NOFOLLOW)
}

/// As [`locate`], and a symlink at the end is followed.
pub fn locate_followed(root: BorrowedFd<'_>, path: &str) -> io::Result<Located> {
    find(root, path, OFlags::PATH)
}

fn find(root: BorrowedFd<'_>, path: &str, flags: OFlags) -> io::Result<Located> {
    let file = open_in(root, path, flags)?;
    let stat = fstat(&file)?;
    Ok(Located { file, stat })
}

/// Opens the directory that was located, for listing.
pub fn open_located(directory: &Located) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(&directory.file, c".", flags, Mode::empty())?)
}

/// Opens `path` under `root`.
pub(crate) fn open_in(
    root: BorrowedFd<'_>,
    path: impl rustix::path::Arg + Copy,
    flags: OFlags,
) -> io::Result<OwnedFd> {
    // The kernel asks for another try when a rename raced with `..`.
    for _ in 0..64 {
        match openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), INSIDE) {
            Err(Errno::AGAIN) => {}
            opened => return Ok(opened?),
        }
    }
    Err(io::Error::other("directories on the way were renamed again and again"))
}

/// The absolute path that `path` means once all its symlinks are followed, as far as it exists; the
/// rest as written. For messages and clients only: what it names may be another thing by then.
pub fn evaluate(root: BorrowedFd<'_>, path: &str) -> io::Result<String> {
    let mut links = 0;
    let mut done: Vec<String> = Vec::new();
    let mut todo: Vec<String> = parts(path).rev().collect();
    while let Some(part) = todo.pop() {
        if part == ".." {
            done.pop();
            continue;
        }
        done.push(part);
        let here = format!("/{}", done.join("/"));
        let Ok(found) = locate(root, &here) else { continue };
        if !found.is_symlink() {
            continue;
        }
        links += 1;
        if links > LINKS_MAX {
            return Err(Errno::LOOP.into());
        }
        let target = readlinkat(found.file.as_fd(), c"", Vec::new())?;
        let target = target.to_string_lossy().into_owned();
        done.pop();
        if target.starts_with('/') {
            done.clear();
        }
        todo.extend(parts(&target).rev());
    }
    Ok(format!("/{}", done.join("/")))
}

fn parts(path: &str) -> impl DoubleEndedIterator<Item = String> {
    path.split('/').filter(|part| !matches!(*part, "" | ".")).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_lead_around_inside() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::create_dir_all(at("a/b")).unwrap();
        std::fs::write(at("a/file"), "x").unwrap();
        for (link, to) in [
            ("absolute", "/a/file"),
            ("up", "../../../../a/b"),
            ("dangling", "/no/such"),
            ("loop", "loop"),
            ("a/b/back", "../file"),
        ] {
            symlink(to, at(link)).unwrap();
        }
        let root = std::fs::File::open(dir.path()).unwrap();
        let real = |path: &str| evaluate(root.as_fd(), path).map_err(|e| e.raw_os_error());
        for (path, to) in [
            ("/absolute", "/a/file"),
            ("up/back", "/a/file"),
            ("/dangling", "/no/such"),
            ("/a/../..", "/"),
            ("/a/new/x", "/a/new/x"),
        ] {
            assert_eq!(real(path).as_deref(), Ok(to), "{path}");
        }
        assert_eq!(real("/loop"), Err(Some(Errno::LOOP.raw_os_error())));
        assert!(locate(root.as_fd(), "absolute").unwrap().is_symlink());
        assert_eq!(locate_followed(root.as_fd(), "absolute").unwrap().stat.st_size, 1);
        assert!(locate(root.as_fd(), "up/").unwrap().is_directory());
        let outside = locate_followed(root.as_fd(), "dangling").unwrap_err();
        assert_eq!(outside.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn links_of_procfs_lead_nowhere() {
        let root = std::fs::File::open("/proc/self").unwrap();
        for path in ["root", "root/etc", "cwd", "fd/0"] {
            assert!(locate_followed(root.as_fd(), path).is_err(), "{path}");
        }
    }
}
