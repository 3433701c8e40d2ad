//! Which ranges of host ids are in use.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use hull_model::id_range::{IdPool, IdPoolError, IdRange};

/// Hands out ranges of the pool. What is taken is also in the guests' records.
#[derive(Debug)]
pub(crate) struct IdRanges {
    pool: IdPool,
    /// How many guests run under each: more than one where they share namespaces.
    taken: Mutex<BTreeMap<IdRange, u32>>,
}

impl IdRanges {
    /// The pool, of which each of `taken` is in use by one guest.
    pub(crate) fn new(pool: IdPool, taken: impl Iterator<Item = IdRange>) -> Self {
        let ranges = Self { pool, taken: Mutex::default() };
        taken.for_each(|range| ranges.share(range));
        ranges
    }

    /// A range for one guest alone.
    pub(crate) fn take(&self) -> Result<IdRange, IdPoolError> {
        let mut taken = self.lock();
        let range = self.pool.free(&taken.keys().copied().collect::<BTreeSet<_>>())?;
        taken.insert(range, 1);
        Ok(range)
    }

    /// One more guest runs under `range`.
    pub(crate) fn share(&self, range: IdRange) {
        *self.lock().entry(range).or_default() += 1;
    }

    /// One guest less runs under `range`.
    pub(crate) fn give_back(&self, range: IdRange) {
        let mut taken = self.lock();
        if let Some(count) = taken.get_mut(&range) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&range);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<IdRange, u32>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shared_range_is_free_when_the_last_guest_gave_it_back() {
        let ranges = IdRanges::new(IdPool::new(65_536, 1).unwrap(), std::iter::empty());
        let range = ranges.take().unwrap();
        ranges.share(range);
        ranges.give_back(range);
        assert!(ranges.take().is_err());
        ranges.give_back(range);
        assert_eq!(ranges.take(), Ok(range));
    }
}
