//! Cgroups below a cgroup, however many and however deep a guest has made them.
//!
//! One descriptor at a time and no recursion: neither depth nor length of a path is limited, and a
//! guest chooses both.

use std::ffi::CString;
use std::fs;
use std::io::{self, ErrorKind, Read};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::Pid;

use super::CgroupError;

/// The most processes gathered at a time, and the most cgroups looked at for them.
const PROCESSES_MAX: usize = 65_536;
const DIRECTORIES_MAX: usize = 65_536;
/// The most read of one list of processes.
const LIST_BYTES_MAX: u64 = 1 << 20;

/// Removes the cgroup at `path` after those below it. EBUSY if there are processes in one.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_dir(path) {
        // That says processes or children; only then is it worth looking for children.
        Err(error) if error.kind() == ErrorKind::ResourceBusy => {}
        other => return other,
    }
    let mut at = open(path)?;
    let mut names: Vec<CString> = Vec::new();
    loop {
        if let Some(child) = children(&at)?.pop() {
            match openat(&at, &child) {
                Ok(below) => {
                    at = below;
                    names.push(child);
                }
                // Somebody else removes it as well.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            continue;
        }
        let Some(name) = names.pop() else { return fs::remove_dir(path) };
        at = openat(&at, c"..")?;
        match rustix::fs::unlinkat(&at, &name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// The processes of the cgroup at `top` and of those below it; none if it does not exist.
pub(super) fn processes(top: &Path) -> Result<Vec<Pid>, CgroupError> {
    let failed =
        |source| CgroupError::Path { doing: "read processes of", path: top.to_owned(), source };
    let mut found = Vec::new();
    let mut at = match open(top) {
        Ok(at) => at,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(found),
        Err(error) => return Err(failed(error)),
    };
    list(&at, &mut found).map_err(failed)?;
    // For each level, what is still to be looked at.
    let mut left = vec![children(&at).map_err(failed)?];
    let mut seen = 0;
    while let Some(level) = left.last_mut() {
        let Some(child) = level.pop().filter(|_| seen < DIRECTORIES_MAX) else {
            left.pop();
            if !left.is_empty() {
                at = openat(&at, c"..").map_err(failed)?;
            }
            continue;
        };
        seen += 1;
        match openat(&at, &child) {
            Ok(below) => {
                list(&below, &mut found).map_err(failed)?;
                left.push(children(&below).map_err(failed)?);
                at = below;
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(found)
}

fn list(directory: &OwnedFd, found: &mut Vec<Pid>) -> io::Result<()> {
    let mut text = String::new();
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let read = rustix::fs::openat(directory, c"cgroup.procs", flags, Mode::empty())
        .map_err(io::Error::from)
        .and_then(|file| fs::File::from(file).take(LIST_BYTES_MAX).read_to_string(&mut text));
    match read {
        Ok(_length) => {}
        // Removed meanwhile, or a threaded v2 cgroup, whose processes its domain lists.
        Err(error)
            if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Unsupported)
                || error.raw_os_error() == Some(Errno::NODEV.raw_os_error()) => {}
        Err(error) => return Err(error),
    }
    let room = PROCESSES_MAX.saturating_sub(found.len());
    let pids = text.lines().filter_map(|line| line.parse().ok().and_then(Pid::from_raw));
    found.extend(pids.take(room));
    Ok(())
}

/// The names of the cgroups right below; none if it is gone.
fn children(directory: &OwnedFd) -> io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = match entry {
            Ok(entry) => entry,
            Err(Errno::NOENT) => break,
            Err(error) => return Err(error.into()),
        };
        let name = entry.file_name();
        if entry.file_type() == FileType::Directory && name != c"." && name != c".." {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

fn open(path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::openat(CWD, path, DIRECTORY, Mode::empty())?)
}

fn openat(directory: &OwnedFd, name: &std::ffi::CStr) -> io::Result<OwnedFd> {
    Ok(rustix::fs::openat(directory, name, DIRECTORY, Mode::empty())?)
}
