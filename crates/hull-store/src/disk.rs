//! Files and directories of the store: opened, made and named aside.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use rustix::fs::{CWD, Mode, OFlags, RenameFlags};

use crate::error::{Kind, io_kind};

/// A system call on a path failed.
#[derive(Debug, thiserror::Error)]
#[error("{doing} {}", path.display())]
pub struct DiskError {
    doing: &'static str,
    path: PathBuf,
    source: io::Error,
}

impl DiskError {
    pub(crate) fn new(doing: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self { doing, path: path.into(), source }
    }

    pub(crate) fn kind(&self) -> Kind {
        io_kind(&self.source)
    }
}

/// Says what was attempted, where a plain error would not.
pub(crate) trait At<T> {
    fn at(self, doing: &'static str, path: impl AsRef<Path>) -> Result<T, DiskError>;
}

impl<T, E: Into<io::Error>> At<T> for Result<T, E> {
    fn at(self, doing: &'static str, path: impl AsRef<Path>) -> Result<T, DiskError> {
        self.map_err(|e| DiskError::new(doing, path.as_ref(), e.into()))
    }
}

/// Makes `path` with `mode` (whatever the umask) unless it is a directory already.
pub(crate) fn make_dir(path: &Path, mode: u32) -> Result<(), DiskError> {
    match rustix::fs::mkdir(path, Mode::from_raw_mode(mode)) {
        Ok(()) => rustix::fs::chmod(path, Mode::from_raw_mode(mode)).at("set the mode of", path),
        Err(rustix::io::Errno::EXIST) if path.is_dir() => Ok(()),
        Err(e) => Err(DiskError::new("make directory", path, e.into())),
    }
}

/// Opens a directory of the store; a symlink in its place is refused.
pub(crate) fn open_dir(path: &Path) -> Result<OwnedFd, DiskError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).at("open directory", path)
}

/// A name no other file has: when this process first asked, and a number.
pub(crate) fn unique_name(prefix: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    static FIRST: OnceLock<u128> = OnceLock::new();
    let since = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let first = FIRST.get_or_init(|| since().as_nanos());
    format!("{prefix}-{}-{first:x}-{:x}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Renames unless `to` exists. Returns whether it did.
pub(crate) fn rename_new(from: &Path, to: &Path) -> Result<bool, DiskError> {
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::EXIST) => Ok(false),
        Err(e) => Err(DiskError::new("rename into", to, e.into())),
    }
}

/// Waits until everything written to the file system of `dir` so far is on the disk.
pub(crate) fn sync(dir: impl AsFd, path: &Path) -> Result<(), DiskError> {
    rustix::fs::syncfs(dir).at("flush the file system of", path)
}

/// Whether `path` exists; a symlink exists wherever it points.
pub(crate) fn exists(path: &Path) -> Result<bool, DiskError> {
    match rustix::fs::lstat(path) {
        Ok(_) => Ok(true),
        Err(rustix::io::Errno::NOENT) => Ok(false),
        Err(e) => Err(DiskError::new("look at", path, e.into())),
    }
}

/// Names in a directory, without `.` and `..`. A missing directory is empty.
pub(crate) fn names(path: &Path) -> Result<Vec<std::ffi::OsString>, DiskError> {
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(DiskError::new("list", path, e)),
    };
    entries.map(|entry| Ok(entry.at("list", path)?.file_name())).collect()
}
