//! How much processor time a guest may use, and on which processors.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A guest's share of the processors. The default limits nothing.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Cpu {
    /// Relative weight against other guests, in cgroup v1 shares (2 to 262,144; 1,024 is one part).
    pub shares: Option<Shares>,
    /// A hard ceiling.
    pub quota: Option<Quota>,
    /// The processors it may run on; `None` for all.
    pub cpus: Option<CpuSet>,
    /// The memory nodes it may allocate from; `None` for all.
    pub mems: Option<CpuSet>,
}

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

/// At most `quota` microseconds of processor time in every `period` microseconds.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Quota {
    quota_us: u64,
    period_us: u64,
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

impl Quota {
    /// The kernel's default period, 100 ms.
    pub const PERIOD_US: u64 = 100_000;

    /// The limits are the kernel's (`kernel/sched/core.c`, `tg_set_cfs_bandwidth`).
    pub fn new(quota_us: u64, period_us: u64) -> Result<Self, CpuError> {
        if !(1_000..=1_000_000).contains(&period_us) {
            return Err(CpuError::Period(period_us));
        }
        if quota_us < 1_000 {
            return Err(CpuError::Quota(quota_us));
        }
        Ok(Self { quota_us, period_us })
    }

    /// Microseconds of processor time in each period.
    pub fn quota_us(self) -> u64 {
        self.quota_us
    }

    /// Length of a period in microseconds.
    pub fn period_us(self) -> u64 {
        self.period_us
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
        assert!(Quota::new(50_000, Quota::PERIOD_US).is_ok());
        assert_eq!(Quota::new(999, 100_000), Err(CpuError::Quota(999)));
        assert_eq!(Quota::new(5_000, 999), Err(CpuError::Period(999)));
        assert_eq!(Shares::new(1).get(), 2);
    }
}
