//! Room on a disk, asked for before it is used: what does not fit is refused while everybody else
//! can still write.

use std::io;
use std::os::fd::AsFd;

use rustix::fs::fstatvfs;

/// Part of a file system that one writer may use.
#[derive(Default)]
pub(crate) struct Space {
    /// Bytes and files that were there at the last look.
    bytes: u64,
    files: u64,
}

/// How much is used before the next look, at most.
const BYTES_STEP: u64 = 64 << 20;
const FILES_STEP: u64 = 4_096;

/// What stays free, so that records, logs and guests go on: a twentieth, at most 256 MiB
/// and 4,096 files.
const KEPT_MAX: u64 = 256 << 20;

impl Space {
    /// Takes room for one more file of this length on the file system of `on`.
    pub(crate) fn file(&mut self, on: impl AsFd, bytes: u64) -> io::Result<()> {
        if self.files == 0 {
            self.look(&on)?;
        }
        if self.files == 0 {
            return Err(full("no more files can be made on this file system"));
        }
        // An empty one takes a block for its name or itself somewhere.
        self.bytes(
            on,
            bytes.saturating_add(1).checked_next_multiple_of(4_096).unwrap_or(u64::MAX),
        )?;
        self.files -= 1;
        Ok(())
    }

    /// Takes room for so many bytes on the file system of `on`.
    pub(crate) fn bytes(&mut self, on: impl AsFd, bytes: u64) -> io::Result<()> {
        if self.bytes < bytes {
            let free = self.look(on)?;
            if free < bytes {
                return Err(full(&format!("{bytes} bytes are needed and {free} may be used")));
            }
            self.bytes = free.min(bytes.saturating_add(BYTES_STEP));
        }
        self.bytes -= bytes;
        Ok(())
    }

    /// Counts files anew and says how many bytes there are.
    fn look(&mut self, on: impl AsFd) -> io::Result<u64> {
        let now = fstatvfs(on)?;
        let kept = now.f_blocks.saturating_mul(now.f_frsize) / 20;
        let free = now.f_bavail.saturating_mul(now.f_frsize).saturating_sub(kept.min(KEPT_MAX));
        // Some file systems (btrfs) make inodes as they need them, and count none.
        let files = now.f_favail.saturating_sub((now.f_files / 20).min(FILES_STEP));
        self.files = if now.f_files == 0 { FILES_STEP } else { files.min(FILES_STEP) };
        Ok(free)
    }
}

fn full(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::StorageFull, format!("not enough space: {why}"))
}
