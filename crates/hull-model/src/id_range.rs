//! Ranges of host user ids, one for each running guest that has a user namespace.

use serde::{Deserialize, Serialize};

/// Consecutive host ids that stand for 0 and up inside a guest.
///
/// Groups have as many, and mostly the same.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(from = "Stored")]
pub struct IdRange {
    /// The host id of the guest's root user.
    pub base: u32,
    /// The host id of the guest's root group.
    pub gid_base: u32,
    /// How many.
    pub size: u32,
    /// A user of the host who is the same inside, beside the range.
    pub kept: Option<Kept>,
}

/// A user and group of the host that a guest knows by these ids (`--userns=keep-id`).
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Kept {
    /// User id inside.
    pub uid: u32,
    /// Group id inside.
    pub gid: u32,
    /// User id on the host.
    pub host_uid: u32,
    /// Group id on the host.
    pub host_gid: u32,
}

/// How records have it: once it was the first id alone.
#[derive(Deserialize)]
#[serde(untagged)]
enum Stored {
    Base(u32),
    Whole { base: u32, gid_base: u32, size: u32, kept: Option<Kept> },
}

impl From<Stored> for IdRange {
    fn from(stored: Stored) -> Self {
        match stored {
            Stored::Base(base) => Self::new(base, Self::SIZE),
            Stored::Whole { base, gid_base, size, kept } => Self { base, gid_base, size, kept },
        }
    }
}

/// Consecutive ids inside and on the host.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Segment {
    /// First id inside.
    pub inside: u32,
    /// First id on the host.
    pub outside: u32,
    /// How many.
    pub count: u32,
}

impl IdRange {
    /// How many ids a range holds that nobody asked a size for: what Docker's and Podman's hold, and
    /// what a 16 bit id can be.
    pub const SIZE: u32 = 65_536;

    /// `size` ids, users and groups alike.
    pub fn new(base: u32, size: u32) -> Self {
        Self { base, gid_base: base, size, kept: None }
    }

    /// The host's ids that users inside are, by rising id inside.
    pub fn users(&self) -> Vec<Segment> {
        segments(self.base, self.size, self.kept.map(|kept| (kept.uid, kept.host_uid)))
    }

    /// The same for groups.
    pub fn groups(&self) -> Vec<Segment> {
        segments(self.gid_base, self.size, self.kept.map(|kept| (kept.gid, kept.host_gid)))
    }

    /// The range itself.
    pub fn without_kept(self) -> Self {
        Self { kept: None, ..self }
    }

    /// The host ids that belong to the guest alone.
    pub fn span(&self) -> Span {
        Span { start: self.base.into(), end: u64::from(self.base) + u64::from(self.size) }
    }
}

/// The range, but for one id inside that is another id of the host.
fn segments(base: u32, size: u32, kept: Option<(u32, u32)>) -> Vec<Segment> {
    let Some((inside, host)) = kept else {
        return vec![Segment { inside: 0, outside: base, count: size }];
    };
    let below = inside.min(size);
    let above = size.saturating_sub(inside.saturating_add(1));
    let all = [
        Segment { inside: 0, outside: base, count: below },
        Segment { inside, outside: host, count: 1 },
        Segment {
            inside: inside.saturating_add(1),
            outside: base.saturating_add(below).saturating_add(1),
            count: above,
        },
    ];
    all.into_iter().filter(|one| one.count > 0).collect()
}

/// Host ids from `start` up to but not including `end`.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
#[expect(missing_docs, reason = "said above")]
pub struct Span {
    pub start: u64,
    pub end: u64,
}

impl Span {
    /// Whether they have an id in common.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.start < other.end && other.start < self.end
    }
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
        "no free user ids: no {size} in a row are left in the pool of {count} ranges from {base}, \
         which running guests of this and other engines and the entries of /etc/subuid and \
         /etc/subgid share; hint: stop guests, enlarge the pool with --userns-pool BASE:COUNT, or \
         give it an entry \"hull\" in /etc/subuid and /etc/subgid"
    )]
    Exhausted {
        /// First id.
        base: u32,
        /// Number of ranges.
        count: u32,
        /// How many ids were wanted.
        size: u32,
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

    /// All of its ids.
    pub fn span(&self) -> Span {
        let length = u64::from(self.count) * u64::from(IdRange::SIZE);
        Span { start: self.base.into(), end: u64::from(self.base) + length }
    }

    /// The lowest `size` ids in a row that none of `taken` overlaps.
    ///
    /// Ranges begin at multiples of [`IdRange::SIZE`] from the pool's first id, so that ranges of
    /// all sizes come and go without leaving gaps nobody can use.
    pub fn free(&self, size: u32, taken: &[Span]) -> Result<IdRange, IdPoolError> {
        let Span { start: first, end } = self.span();
        let unit = u64::from(IdRange::SIZE);
        let length = u64::from(size.max(1)).div_ceil(unit) * unit;
        let mut start = first;
        while start + length <= end {
            let candidate = Span { start, end: start + length };
            match taken.iter().filter(|span| span.overlaps(&candidate)).map(|span| span.end).max() {
                Some(behind) => start = first + (behind - first).div_ceil(unit) * unit,
                None => match u32::try_from(start) {
                    Ok(base) => return Ok(IdRange::new(base, size.max(1))),
                    Err(_) => break,
                },
            }
        }
        Err(IdPoolError::Exhausted { base: self.base, count: self.count, size })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans(spans: &[(u64, u64)]) -> Vec<Span> {
        spans.iter().map(|&(start, end)| Span { start, end }).collect()
    }

    #[test]
    fn ranges_are_given_lowest_first_until_there_are_none() {
        let pool = IdPool::new(65_536, 3).unwrap();
        let free = |size, taken: &[(u64, u64)]| {
            pool.free(size, &spans(taken)).map(|range| (range.base, range.size))
        };
        assert_eq!(free(65_536, &[]), Ok((65_536, 65_536)));
        assert_eq!(free(65_536, &[(65_536, 131_072)]), Ok((131_072, 65_536)));
        // A small one takes the whole place, and what is in part taken is.
        assert_eq!(free(10, &[(65_536, 65_546)]), Ok((131_072, 10)));
        assert_eq!(free(10, &[(0, 65_537), (140_000, 140_001)]), Ok((196_608, 10)));
        assert_eq!(free(131_072, &[(65_536, 65_537)]), Ok((131_072, 131_072)));
        assert!(free(131_072, &[(131_072, 131_073)]).is_err());
        let none = free(65_536, &[(0, u64::from(u32::MAX))]).unwrap_err().to_string();
        assert!(none.starts_with("no free user ids: no 65536 in a row"), "{none}");
        assert!(none.contains("--userns-pool"), "{none}");
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

    #[test]
    fn a_kept_user_is_the_same_inside_and_outside() {
        let show = |uid, size| {
            let kept = Some(Kept { uid, gid: 5, host_uid: 1_000, host_gid: 100 });
            let range = IdRange { kept, ..IdRange::new(200_000, size) };
            let line = |one: &Segment| format!("{}={}x{}", one.inside, one.outside, one.count);
            range.users().iter().map(line).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(show(1_000, 65_536), "0=200000x1000 1000=1000x1 1001=201001x64535");
        assert_eq!(show(0, 10), "0=1000x1 1=200001x9");
        assert_eq!(show(9, 10), "0=200000x9 9=1000x1");
        assert_eq!(show(70_000, 10), "0=200000x10 70000=1000x1");
    }

    #[test]
    fn records_of_the_first_version_are_read() {
        let old: IdRange = serde_json::from_str("1879048192").unwrap();
        assert_eq!(old, IdRange::new(1_879_048_192, 65_536));
        let new = serde_json::to_string(&old).unwrap();
        assert_eq!(serde_json::from_str::<IdRange>(&new).unwrap(), old);
    }
}
