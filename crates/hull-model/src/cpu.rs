//! How much processor time a guest may use, and on which processors.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::limits::Max;

/// A guest's share of the processors. The default limits nothing. Times are microseconds.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Cpu {
    /// Relative weight against other guests, in cgroup v1 shares (2 to 262,144; 1,024 is one part).
    pub shares: Option<Shares>,
    /// Processor time in every period.
    pub quota_us: Option<Max>,
    /// The length of a period; the kernel's own is [`PERIOD_US`].
    pub period_us: Option<u64>,
    /// What of an unused quota may be used on top later.
    pub burst_us: Option<u64>,
    /// The length of a period for real-time processes (cgroup v1 only).
    pub realtime_period_us: Option<u64>,
    /// What they may run in it; without, there can be none.
    pub realtime_runtime_us: Option<i64>,
    /// Whether it only gets what nobody else wants (`SCHED_IDLE`).
    pub idle: Option<bool>,
    /// The processors it may run on; `None` for all.
    pub cpus: Option<CpuSet>,
    /// The memory nodes it may allocate from; `None` for all.
    pub mems: Option<CpuSet>,
}

/// The kernel's default period, 100 ms.
pub const PERIOD_US: u64 = 100_000;

/// cgroup v1 `cpu.shares`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Shares(u64);

impl Shares {
    /// Clamped by the kernel to 2 – 262,144 (`kernel/sched/core.c`, `MIN_SHARES`, `MAX_SHARES`), so
    /// it is clamped here too and `inspect` shows what is in effect.
    pub fn new(shares: u64) -> Self {
        Self(shares.clamp(2, 262_144))
    }

    /// The v1 number.
    pub fn get(self) -> u64 {
        self.0
    }
}

/// Why a processor limit makes no sense.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CpuError {
    /// Outside of what the kernel takes.
    #[error(
        "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000), got {0}"
    )]
    Period(u64),
    /// Outside of what the kernel takes.
    #[error("CPU cfs quota can not be less than 1ms (i.e. 1000), got {0}")]
    Quota(u64),
    /// Not a list of numbers and ranges.
    #[error("invalid cpu list {0:?}: expected numbers and ranges such as 0-2,7")]
    List(String),
}

/// Checks a quota and the period it belongs to, each if it is given.
///
/// The limits are the kernel's (`kernel/sched/core.c`, `tg_set_cfs_bandwidth`).
pub fn check_quota(quota_us: Option<u64>, period_us: Option<u64>) -> Result<(), CpuError> {
    if let Some(period) = period_us.filter(|period| !(1_000..=1_000_000).contains(period)) {
        return Err(CpuError::Period(period));
    }
    match quota_us.filter(|quota| *quota < 1_000) {
        Some(quota) => Err(CpuError::Quota(quota)),
        None => Ok(()),
    }
}

/// A set of processor or memory node numbers, as `cpuset(7)` writes them.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(into = "String", try_from = "String")]
pub struct CpuSet(BTreeSet<u32>);

impl CpuSet {
    /// The highest number a set may hold: the kernel's own ceiling (`CONFIG_NR_CPUS`, 8,192).
    const MAX: u32 = 8_191;

    /// The numbers, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().copied()
    }

    /// Whether `other` has nothing that this does not.
    pub fn contains(&self, other: &Self) -> bool {
        self.0.is_superset(&other.0)
    }
}

impl FromStr for CpuSet {
    type Err = CpuError;

    fn from_str(text: &str) -> Result<Self, CpuError> {
        let bad = || CpuError::List(text.to_owned());
        let mut set = BTreeSet::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let first: u32 = first.trim().parse().map_err(|_not_a_number| bad())?;
            let last: u32 = last.trim().parse().map_err(|_not_a_number| bad())?;
            if first > last || last > Self::MAX {
                return Err(bad());
            }
            set.extend(first..=last);
        }
        Ok(Self(set))
    }
}

impl fmt::Display for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut numbers = self.0.iter().copied().peekable();
        let mut separator = "";
        while let Some(first) = numbers.next() {
            let mut last = first;
            while numbers.next_if_eq(&(last + 1)).is_some() {
                last += 1;
            }
            match last - first {
                0 => write!(f, "{separator}{first}")?,
                _ => write!(f, "{separator}{first}-{last}")?,
            }
            separator = ",";
        }
        Ok(())
    }
}

impl From<CpuSet> for String {
    fn from(set: CpuSet) -> Self {
        set.to_string()
    }
}

impl TryFrom<String> for CpuSet {
    type Error = CpuError;

    fn try_from(text: String) -> Result<Self, CpuError> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> String {
        text.parse::<CpuSet>().map_or_else(|e| e.to_string(), |s| s.to_string())
    }

    #[test]
    fn lists_are_read_and_written_as_the_kernel_does() {
        assert_eq!(list("0"), "0");
        assert_eq!(list("3,0-1,2"), "0-3");
        assert_eq!(list("0-2,7"), "0-2,7");
        for bad in ["", "a", "3-1", "0-", "0-99999999", "1,,2", "-1"] {
            assert!(list(bad).starts_with("invalid cpu list"), "{bad}: {}", list(bad));
        }
    }

    #[test]
    fn quotas_stay_within_what_the_kernel_takes() {
        assert_eq!(check_quota(Some(50_000), Some(PERIOD_US)), Ok(()));
        assert_eq!(check_quota(None, None), Ok(()));
        assert_eq!(check_quota(Some(999), None), Err(CpuError::Quota(999)));
        assert_eq!(check_quota(None, Some(999)), Err(CpuError::Period(999)));
        assert_eq!(Shares::new(1).get(), 2);
    }
}
