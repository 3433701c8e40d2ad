//! A byte count that cannot be confused with any other number.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A quantity of bytes.
#[derive(
    Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize,
)]
#[serde(transparent)]
pub struct Bytes(u64);

impl Bytes {
    /// `bytes` bytes.
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// `kib` kibibytes (2¹⁰ bytes each).
    pub const fn kib(kib: u64) -> Self {
        Self(kib << 10)
    }

    /// `mib` mebibytes (2²⁰ bytes each).
    pub const fn mib(mib: u64) -> Self {
        Self(mib << 20)
    }

    /// The plain number, for the edge of the program where numbers are all there is.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The sum, or `None` past 2⁶⁴.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => write!(f, "0B"),
            n if n.is_multiple_of(1 << 30) => write!(f, "{}GiB", n >> 30),
            n if n.is_multiple_of(1 << 20) => write!(f, "{}MiB", n >> 20),
            n => write!(f, "{n}B"),
        }
    }
}
