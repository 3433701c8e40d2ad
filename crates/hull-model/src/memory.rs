//! How much memory a guest may use.

use serde::{Deserialize, Serialize};

use crate::bytes::Bytes;

/// A guest's memory allowance.
///
/// Swap is counted on its own, as the kernel's cgroup v2 does; Docker's and cgroup v1's
/// "memory plus swap" exists only in the functions that speak those formats.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Memory {
    max: Bytes,
    swap: Swap,
    reservation: Option<Bytes>,
}

/// Swap a guest may use on top of its memory.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Swap {
    /// At most this much; `Bytes::new(0)` forbids swapping.
    UpTo(Bytes),
    /// As much as the host has.
    Unlimited,
}

/// Why a [`Memory`] could not be made.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum MemoryError {
    /// Below what the kernel needs to start any process at all.
    #[error("Minimum memory limit allowed is 6MB, got {given}")]
    TooSmall {
        /// What was asked for.
        given: Bytes,
    },
    /// A soft limit above the hard one can never take effect.
    #[error(
        "Minimum memory limit can not be less than memory reservation limit: \
         memory {max}, reservation {reservation}"
    )]
    ReservationAboveMax {
        /// The hard limit.
        max: Bytes,
        /// The soft limit.
        reservation: Bytes,
    },
}

impl Memory {
    /// The least memory a guest can start with.
    ///
    /// 6 MiB, as in Docker (moby `daemon/daemon_unix.go`, `linuxMinMemory`).
    pub const MIN: Bytes = Bytes::mib(6);

    /// An allowance of `max` bytes plus `swap`.
    pub fn new(max: Bytes, swap: Swap) -> Result<Self, MemoryError> {
        if max < Self::MIN {
            return Err(MemoryError::TooSmall { given: max });
        }
        Ok(Self { max, swap, reservation: None })
    }

    /// The same allowance, with a soft limit the kernel reclaims down to under pressure.
    pub fn with_reservation(self, reservation: Bytes) -> Result<Self, MemoryError> {
        if reservation > self.max {
            return Err(MemoryError::ReservationAboveMax { max: self.max, reservation });
        }
        Ok(Self { reservation: Some(reservation), ..self })
    }

    /// Memory without swap.
    pub fn max(&self) -> Bytes {
        self.max
    }

    /// Swap on top of [`Memory::max`].
    pub fn swap(&self) -> Swap {
        self.swap
    }

    /// The soft limit, if any.
    pub fn reservation(&self) -> Option<Bytes> {
        self.reservation
    }
}
