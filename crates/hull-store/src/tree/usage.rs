//! How much a tree takes.

use std::collections::HashSet;
use std::ffi::CStr;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Stat, fstat, statat};

use super::walk::{Visit, walk};
use crate::disk::{DiskError, open_dir};

/// What a tree takes. Files with several names count once.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Usage {
    /// The lengths of all files, as Docker's sizes: holes count.
    pub bytes: u64,
    /// What the file system gave for them: holes do not count, blocks are whole.
    pub allocated: u64,
    /// Files and directories.
    pub entries: u64,
}

/// Measures the tree at `path`.
pub fn usage(path: &Path) -> Result<Usage, DiskError> {
    measure(open_dir(path)?).map_err(|(at, e)| DiskError::new("measure", path.join(at), e))
}

fn measure(root: OwnedFd) -> Result<Usage, (std::path::PathBuf, io::Error)> {
    let mut meter = Meter::default();
    walk(root, &mut meter).map_err(|e| (e.path, e.source))?;
    Ok(meter.usage)
}

#[derive(Default)]
struct Meter {
    usage: Usage,
    /// Inodes with several names that were counted already.
    seen: HashSet<(u64, u64)>,
}

impl Meter {
    fn add(&mut self, stat: &Stat, length: u64) {
        if stat.st_nlink > 1 && length > 0 && !self.seen.insert((stat.st_dev, stat.st_ino)) {
            return;
        }
        self.usage.bytes = self.usage.bytes.saturating_add(length);
        let blocks = u64::try_from(stat.st_blocks).unwrap_or(0);
        self.usage.allocated = self.usage.allocated.saturating_add(blocks.saturating_mul(512));
        self.usage.entries += 1;
    }
}

impl Visit for Meter {
    fn file(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> io::Result<()> {
        let stat = match statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            // Removed since it was listed: the tree is in use.
            Err(rustix::io::Errno::NOENT) => return Ok(()),
            Err(e) => return Err(e.into()),
        };
        self.add(&stat, u64::try_from(stat.st_size).unwrap_or(0));
        Ok(())
    }

    fn enter(&mut self, _name: &CStr, dir: BorrowedFd<'_>) -> io::Result<()> {
        self.add(&fstat(dir)?, 0);
        Ok(())
    }

    fn leave(&mut self, _parent: BorrowedFd<'_>, _name: &CStr) -> io::Result<()> {
        Ok(())
    }
}
