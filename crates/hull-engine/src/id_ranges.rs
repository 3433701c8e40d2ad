//! Which ranges of host ids are in use: by guests of this engine, and by those of any other on the
//! host.
//!
//! Each id is one offset of an empty file that all engines know, and who uses ids holds a lock on
//! their offsets: the engine from the moment it picks a range, a guest's shim while it lives. So a
//! range is free when everybody who knew of it is gone, also by `kill -9`, and no longer.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hull_model::id_range::{IdPool, IdPoolError, IdRange, Span};
use hull_shim::plan::IdLock;
use hull_sys::lock::{Hold, hold, in_the_way};

/// Where engines meet, whatever their roots are. In a directory that only root can write to.
pub(crate) const LOCK_FILE: &str = "/run/hull-ids.lock";

/// Hands out ranges of the pool. What is taken is also in the guests' records.
#[derive(Debug)]
pub(crate) struct IdRanges {
    pool: IdPool,
    /// Never handed out: somebody else's.
    foreign: Vec<Span>,
    path: PathBuf,
    file: File,
    /// How many guests run under each: more than one where they share namespaces.
    taken: Mutex<BTreeMap<IdRange, u32>>,
}

/// No range can be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IdRangesError {
    /// All are in use.
    #[error(transparent)]
    Pool(#[from] IdPoolError),
    /// The locks do not work.
    #[error("{doing} {}", path.display())]
    File {
        /// What was attempted.
        doing: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl IdRanges {
    /// The pool without what is `foreign`, with the locks in the file at `path`, which is made if it
    /// is missing. Each of `running` is in use by one guest.
    pub(crate) fn open(
        pool: IdPool,
        foreign: Vec<Span>,
        path: &Path,
        running: impl Iterator<Item = IdRange>,
    ) -> Result<Self, IdRangesError> {
        let mut options = File::options();
        options.create(true).truncate(false).read(true).write(true).mode(0o600);
        let no_link = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).unwrap_or_default();
        let file =
            options.custom_flags(no_link).open(path).map_err(|source| IdRangesError::File {
                doing: "open the lock file of host ids",
                path: path.into(),
                source,
            })?;
        let ranges = Self { pool, foreign, path: path.into(), file, taken: Mutex::default() };
        running.for_each(|range| ranges.share(range));
        Ok(ranges)
    }

    /// A range of `size` ids for one guest alone.
    pub(crate) fn take(&self, size: u32) -> Result<IdRange, IdRangesError> {
        let mut taken = self.lock();
        let mut spans = self.foreign.clone();
        spans.extend(taken.keys().map(IdRange::span));
        loop {
            let range = self.pool.free(size, &spans)?;
            let Span { start, end } = range.span();
            // Nobody may pick the rest of a place whose first ids are in use.
            if self.set(range, Hold::Alone)? {
                // Atomic; from now on the guest's shim can share it, and nobody have it alone.
                self.set(range, Hold::Shared)?;
                taken.insert(range, 1);
                return Ok(range);
            }
            let other = in_the_way(self.file.as_fd(), start, end - start)
                .map_err(|source| self.failed("ask who uses host ids, in", source))?;
            // Gone meanwhile: the next try gets it.
            if let Some((start, length)) = other {
                spans.push(Span { start, end: start.saturating_add(length) });
            }
        }
    }

    /// One more guest runs under `range`.
    pub(crate) fn share(&self, range: IdRange) {
        let range = range.without_kept();
        let mut taken = self.lock();
        let count = taken.entry(range).or_default();
        *count += 1;
        if *count == 1 {
            match self.set(range, Hold::Shared) {
                Ok(true) => {}
                // Another engine is picking it, so this guest does not live: its shim would hold it.
                Ok(false) => tracing::warn!(?range, "host ids in a record are somebody else's"),
                Err(error) => tracing::warn!(%error, "cannot lock host ids"),
            }
        }
    }

    /// One guest less runs under `range`.
    pub(crate) fn give_back(&self, range: IdRange) {
        let range = range.without_kept();
        let mut taken = self.lock();
        let Some(count) = taken.get_mut(&range) else { return };
        *count -= 1;
        if *count > 0 {
            return;
        }
        taken.remove(&range);
        if let Err(error) = self.set(range, Hold::Not) {
            tracing::warn!(%error, "cannot unlock host ids");
        }
    }

    /// What the shim of a guest with `range` holds.
    pub(crate) fn lock_of(&self, range: IdRange) -> IdLock {
        let Span { start, end } = range.span();
        IdLock { path: self.path.clone(), start, length: end - start }
    }

    fn set(&self, range: IdRange, kind: Hold) -> Result<bool, IdRangesError> {
        let Span { start, end } = range.span();
        hold(self.file.as_fd(), start, end - start, kind)
            .map_err(|source| self.failed("lock host ids in", source))
    }

    fn failed(&self, doing: &'static str, source: io::Error) -> IdRangesError {
        IdRangesError::File { doing, path: self.path.clone(), source }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<IdRange, u32>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: u32 = IdRange::SIZE;

    fn engine(dir: &tempfile::TempDir, count: u32, foreign: &[Span]) -> IdRanges {
        let pool = IdPool::new(SIZE, count).unwrap();
        let path = dir.path().join("ids");
        IdRanges::open(pool, foreign.to_vec(), &path, std::iter::empty()).unwrap()
    }

    #[test]
    fn a_shared_range_is_free_when_the_last_guest_gave_it_back() {
        let dir = tempfile::tempdir().unwrap();
        let ranges = engine(&dir, 1, &[]);
        let range = ranges.take(SIZE).unwrap();
        ranges.share(range);
        ranges.give_back(range);
        assert!(ranges.take(SIZE).is_err());
        ranges.give_back(range);
        assert_eq!(ranges.take(SIZE).unwrap(), range);
    }

    #[test]
    fn two_engines_never_hand_out_the_same_ids() {
        let dir = tempfile::tempdir().unwrap();
        let (one, other) = (engine(&dir, 4, &[]), engine(&dir, 4, &[]));
        let bases: Vec<u32> = [&one, &other, &one, &other]
            .map(|ranges| ranges.take(SIZE).unwrap().base / SIZE)
            .to_vec();
        assert_eq!(bases, [1, 2, 3, 4]);
        assert!(matches!(one.take(1), Err(IdRangesError::Pool(_))));
        // One that is killed lets go of what no shim of its guests holds.
        drop(other);
        assert_eq!(one.take(SIZE).unwrap().base, 2 * SIZE);
    }

    #[test]
    fn a_shim_keeps_its_range_when_the_engine_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let (one, other) = (engine(&dir, 2, &[]), engine(&dir, 2, &[]));
        let range = one.take(SIZE).unwrap();
        let held = one.lock_of(range).hold().unwrap();
        drop(one);
        assert_eq!(other.take(SIZE).unwrap().base, 2 * SIZE);
        assert!(other.take(SIZE).is_err());
        // The next engine finds the guest in its record, beside its shim.
        let path = dir.path().join("ids");
        let pool = IdPool::new(SIZE, 2).unwrap();
        let again = IdRanges::open(pool, Vec::new(), &path, [range].into_iter()).unwrap();
        drop(held);
        assert!(other.take(SIZE).is_err());
        again.give_back(range);
        assert_eq!(other.take(SIZE).unwrap(), range);
    }

    #[test]
    fn other_peoples_ids_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let span = Span { start: 70_000, end: 70_001 };
        let ranges = engine(&dir, 2, &[span]);
        assert_eq!(ranges.take(10).unwrap().base, 2 * SIZE);
        assert!(ranges.take(10).unwrap_err().to_string().contains("--userns-pool"));
    }
}
