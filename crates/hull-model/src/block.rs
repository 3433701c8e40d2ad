//! How much a guest may read from and write to block devices.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A guest's share of the block devices. The default limits nothing.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Block {
    /// Relative weight against other guests.
    pub weight: Option<Weight>,
    /// The same against the cgroup's own children (cgroup v1 with CFQ only).
    pub leaf_weight: Option<Weight>,
    /// Other weights on single devices.
    pub devices: Vec<DeviceWeight>,
    /// Bytes read in a second.
    pub read_bps: Vec<Throttle>,
    /// Bytes written in a second.
    pub write_bps: Vec<Throttle>,
    /// Read operations in a second.
    pub read_iops: Vec<Throttle>,
    /// Write operations in a second.
    pub write_iops: Vec<Throttle>,
}

/// A weight of cgroup v1: 10 to 1,000.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Weight(u16);

impl Weight {
    /// `None` outside of 10 to 1,000.
    pub fn new(weight: u16) -> Option<Self> {
        (10..=1_000).contains(&weight).then_some(Self(weight))
    }

    /// The plain number.
    pub fn get(self) -> u16 {
        self.0
    }
}

/// Weights on one device.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct DeviceWeight {
    /// Which.
    pub disk: Disk,
    /// Instead of [`Block::weight`].
    pub weight: Option<Weight>,
    /// Instead of [`Block::leaf_weight`].
    pub leaf_weight: Option<Weight>,
}

/// A ceiling on one device.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Throttle {
    /// Which.
    pub disk: Disk,
    /// In a second; 0 is no ceiling.
    pub rate: u64,
}

/// A block device of the host.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub enum Disk {
    /// By its node; looked up when the guest starts.
    Path(PathBuf),
    /// By its number.
    Number {
        /// Of the driver.
        major: u32,
        /// Of the device.
        minor: u32,
    },
}

impl fmt::Display for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::Number { major, minor } => write!(f, "{major}:{minor}"),
        }
    }
}

impl Block {
    /// Every device named, to be replaced by its number.
    pub fn disks_mut(&mut self) -> impl Iterator<Item = &mut Disk> {
        let throttles =
            [&mut self.read_bps, &mut self.write_bps, &mut self.read_iops, &mut self.write_iops];
        let weights = self.devices.iter_mut().map(|one| &mut one.disk);
        weights.chain(throttles.into_iter().flatten().map(|one| &mut one.disk))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_keep_to_their_range() {
        assert_eq!(Weight::new(9), None);
        assert_eq!(Weight::new(10).map(Weight::get), Some(10));
        assert_eq!(Weight::new(1_001), None);
    }

    #[test]
    fn every_disk_is_found() {
        let disk = |n: u32| Disk::Number { major: n, minor: 0 };
        let throttle = |n| vec![Throttle { disk: disk(n), rate: 1 }];
        let mut block = Block {
            devices: vec![DeviceWeight { disk: disk(1), weight: None, leaf_weight: None }],
            read_bps: throttle(2),
            write_bps: throttle(3),
            read_iops: throttle(4),
            write_iops: throttle(5),
            ..Block::default()
        };
        assert_eq!(block.disks_mut().count(), 5);
    }
}
