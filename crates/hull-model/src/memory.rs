//! How much memory a guest may use.

use serde::{Deserialize, Serialize};

use crate::bytes::Bytes;
use crate::limits::Max;

/// A guest's memory allowance, in bytes. The default limits nothing.
///
/// Swap is counted on its own, as the kernel's cgroup v2 does; Docker's and cgroup v1's
/// "memory plus swap" exists only in the functions that speak those formats.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Memory {
    /// Memory without swap.
    pub max: Option<Max>,
    /// Swap on top of it; 0 forbids swapping. A number needs a number in `max`.
    pub swap: Option<Max>,
    /// What the kernel reclaims down to under pressure.
    pub reservation: Option<Max>,
    /// How eagerly the kernel swaps, 0 to 100 (cgroup v1 only).
    pub swappiness: Option<u64>,
    /// Buffers of TCP (cgroup v1 only).
    pub kernel_tcp: Option<Max>,
    /// Whether the kernel lets processes wait instead of killing one when the memory is used up
    /// (cgroup v1 only).
    pub oom_kill_disabled: bool,
    /// Whether an update that would take away memory in use is refused.
    pub keep_used: bool,
}

impl Memory {
    /// The least memory a guest can start with.
    ///
    /// 6 MiB, as in Docker (moby `daemon/daemon_unix.go`, `linuxMinMemory`).
    pub const MIN: Bytes = Bytes::mib(6);

    /// `max` of memory and `swap` of swap on top.
    pub fn new(max: Bytes, swap: Max) -> Self {
        Self { max: Some(Max::At(max.get())), swap: Some(swap), ..Self::default() }
    }

    /// Memory and swap together, as cgroup v1 and Docker count; `None` if swap is not limited.
    pub fn total(&self) -> Option<Max> {
        Some(match (self.max, self.swap?) {
            (Some(Max::At(max)), Max::At(swap)) => {
                max.checked_add(swap).map_or(Max::Unlimited, Max::At)
            }
            (_, Max::Unlimited) | (None | Some(Max::Unlimited), Max::At(_)) => Max::Unlimited,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_memory_and_swap() {
        let total = |swap| Memory::new(Bytes::new(10), swap).total();
        assert_eq!(total(Max::At(5)), Some(Max::At(15)));
        assert_eq!(total(Max::At(u64::MAX)), Some(Max::Unlimited));
        assert_eq!(total(Max::Unlimited), Some(Max::Unlimited));
        assert_eq!(Memory::default().total(), None);
    }
}
