//! What one layer may use up, however small its archive is.

use super::path::MemberPath;
use crate::tarball::{Limits, TarError};

/// Counts what a layer makes and what must be remembered of it.
pub(super) struct Budget {
    limits: Limits,
    entries: u64,
    remembered: u64,
}

/// What remembering a name takes besides its bytes: the allocation and its place in a map.
const OVERHEAD: u64 = 64;

impl Budget {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, entries: 0, remembered: 0 }
    }

    /// One more file or directory. One name can ask for many directories, so members alone are
    /// not what fills a disk's inodes.
    pub(super) fn make(&mut self) -> Result<(), TarError> {
        self.entries += 1;
        let max = self.limits.members;
        let what = "members and directories to put them in";
        if self.entries > max { Err(TarError::Limit { what, max }) } else { Ok(()) }
    }

    /// One more name to remember until the archive's end.
    pub(super) fn remember(&mut self, path: &MemberPath) -> Result<(), TarError> {
        self.remembered = self.remembered.saturating_add(path.weight() + OVERHEAD);
        let max = self.limits.names_bytes;
        let what = "bytes of names to remember";
        if self.remembered > max { Err(TarError::Limit { what, max }) } else { Ok(()) }
    }
}
