//! Ranges of host user ids, one for each running guest that has a user namespace.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// 65,536 consecutive host ids (users and groups alike) that stand for 0 – 65,535 inside.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct IdRange {
    /// The host id of the guest's root.
    pub base: u32,
}

impl IdRange {
    /// How many ids a range holds.
    pub const SIZE: u32 = 65_536;
}

/// The ids the engine may hand out: `count` ranges from `base`.
///
/// Files never carry these ids (mounts are idmapped), so a range is needed only while a guest runs.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct IdPool {
    base: u32,
    count: u32,
}

/// Why a pool cannot be used or has nothing to give.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum IdPoolError {
    /// It would contain host users, or ids that do not exist.
    #[error(
        "user id pool {base}:{count}: it must start at 65536 or above and end below 4294967295"
    )]
    Bounds {
        /// First id.
        base: u32,
        /// Number of ranges.
        count: u32,
    },
    /// All ranges are in use.
    #[error(
        "no free user ids: all {count} ranges of the pool from {base} are used by running guests; \
         hint: stop guests or enlarge the pool with --userns-pool BASE:COUNT"
    )]
    Exhausted {
        /// First id.
        base: u32,
        /// Number of ranges.
        count: u32,
    },
}

impl Default for IdPool {
    /// 4,096 ranges from 1,879,048,192: systemd's table of ids (`UIDS-GIDS.md`) leaves
    /// 1,879,048,192 – 2,147,483,647 unused, and higher ones break programs that store ids signed.
    fn default() -> Self {
        Self { base: 0x7000_0000, count: 4_096 }
    }
}

impl IdPool {
    /// `count` ranges from `base`.
    pub fn new(base: u32, count: u32) -> Result<Self, IdPoolError> {
        let bounds = IdPoolError::Bounds { base, count };
        let length = count.checked_mul(IdRange::SIZE).ok_or_else(|| bounds.clone())?;
        match base.checked_add(length) {
            // The last id, 2³² - 1, means "no change" to chown(2) and does not exist.
            Some(end) if base >= IdRange::SIZE && end < u32::MAX => Ok(Self { base, count }),
            _ => Err(bounds),
        }
    }

    /// The lowest range that is not `taken`.
    pub fn free(&self, taken: &BTreeSet<IdRange>) -> Result<IdRange, IdPoolError> {
        (0..self.count)
            .map(|index| IdRange { base: self.base + index * IdRange::SIZE })
            .find(|range| !taken.contains(range))
            .ok_or(IdPoolError::Exhausted { base: self.base, count: self.count })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_given_lowest_first_until_there_are_none() {
        let pool = IdPool::new(65_536, 2).unwrap();
        let first = pool.free(&BTreeSet::new()).unwrap();
        let second = pool.free(&BTreeSet::from([first])).unwrap();
        assert_eq!((first.base, second.base), (65_536, 131_072));
        let none = pool.free(&BTreeSet::from([first, second])).unwrap_err();
        assert!(none.to_string().starts_with("no free user ids: all 2 ranges"), "{none}");
    }

    #[test]
    fn pools_never_contain_the_hosts_own_users() {
        assert!(IdPool::new(0, 1).is_err());
        assert!(IdPool::new(65_535, 1).is_err());
        assert!(IdPool::new(u32::MAX - 65_536, 1).is_err());
        assert!(IdPool::new(65_536, u32::MAX).is_err());
        let pool = IdPool::default();
        assert!(IdPool::new(pool.base, pool.count).is_ok());
    }
}
