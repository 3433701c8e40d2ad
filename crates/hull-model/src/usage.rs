//! What a guest uses of the machine, at one moment.
//!
//! `None` and empty lists mean that this kernel does not account it, never zero.

use std::collections::BTreeMap;

/// Everything that is accounted for one guest.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Usage {
    /// The generation of the hierarchy that the controllers are in; what some fields mean and which
    /// of them there are depends on it.
    pub generation: Generation,
    /// Processors.
    pub cpu: Option<Cpu>,
    /// Memory.
    pub memory: Option<Memory>,
    /// Processes and threads.
    pub pids: Option<Pids>,
    /// Block devices.
    pub block: Block,
    /// Network interfaces of its own namespace, the loopback excepted; none if it has the host's.
    pub interfaces: Vec<Interface>,
    /// How much of the time it was held up for want of something.
    pub pressure: Pressures,
}

/// Which generation of control groups the controllers are in.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Generation {
    /// A hierarchy for each controller.
    V1,
    /// One hierarchy.
    #[default]
    V2,
}

/// Processor time since the guest started, in nanoseconds.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Cpu {
    /// All of it.
    pub total: u64,
    /// The part spent in programs.
    pub user: u64,
    /// The part spent in the kernel.
    pub system: u64,
    /// `total` by processor; v1 only.
    pub each: Vec<u64>,
    /// How it was held back by its quota.
    pub throttling: Throttling,
}

/// How a guest was held back by its quota of processor time.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Throttling {
    /// Periods in which a quota was in force.
    pub periods: u64,
    /// Those in which it was used up.
    pub throttled_periods: u64,
    /// How long it stood still for that, in nanoseconds.
    pub throttled_time: u64,
}

/// Bytes of memory.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Memory {
    /// In use, page cache included.
    pub used: u64,
    /// The most there ever was.
    pub peak: Option<u64>,
    /// How often the limit was reached; v1 only.
    pub failures: Option<u64>,
    /// The limit; `None` for no limit.
    pub limit: Option<u64>,
    /// The kernel's `memory.stat`, by its own names, which differ between generations.
    pub details: BTreeMap<String, u64>,
}

/// Processes and threads.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Pids {
    /// How many there are.
    pub current: u64,
    /// How many there may be; `None` for no limit.
    pub limit: Option<u64>,
}

/// Traffic with block devices, by device and kind. The lists that this kernel does not keep are empty.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Block {
    /// Bytes.
    pub bytes: Vec<BlockEntry>,
    /// Requests.
    pub requests: Vec<BlockEntry>,
    /// Requests that wait.
    pub queued: Vec<BlockEntry>,
    /// Nanoseconds from dispatch to completion.
    pub service_time: Vec<BlockEntry>,
    /// Nanoseconds spent waiting in the scheduler.
    pub wait_time: Vec<BlockEntry>,
    /// Requests merged into others.
    pub merged: Vec<BlockEntry>,
    /// Milliseconds of the device.
    pub time: Vec<BlockEntry>,
    /// Sectors of 512 bytes.
    pub sectors: Vec<BlockEntry>,
}

/// One number of one block device.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct BlockEntry {
    /// The device.
    pub major: u64,
    /// The device.
    pub minor: u64,
    /// `Read`, `Write` and others in v1, `read` and `write` in v2; empty where there are no kinds.
    pub kind: String,
    /// The number.
    pub value: u64,
}

/// Counters of a network interface since it was made.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Interface {
    /// Its name inside the guest.
    pub name: String,
    /// What came in.
    pub received: Traffic,
    /// What went out.
    pub sent: Traffic,
}

/// One direction of a network interface.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Traffic {
    /// Bytes.
    pub bytes: u64,
    /// Packets.
    pub packets: u64,
    /// Packets that were wrong.
    pub errors: u64,
    /// Packets for which there was no room.
    pub dropped: u64,
}

/// Pressure stall information (`Documentation/accounting/psi.rst`), where the kernel keeps it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Pressures {
    /// Waiting for a processor.
    pub cpu: Option<Pressure>,
    /// Waiting for memory.
    pub memory: Option<Pressure>,
    /// Waiting for block devices.
    pub io: Option<Pressure>,
}

/// How much of the time something waited.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Pressure {
    /// At least one process did.
    pub some: Stall,
    /// All that had work to do did.
    pub full: Stall,
}

/// One line of pressure.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Stall {
    /// Hundredths of a percent of the last 10 seconds.
    pub avg10: u32,
    /// Hundredths of a percent of the last minute.
    pub avg60: u32,
    /// Hundredths of a percent of the last five minutes.
    pub avg300: u32,
    /// Microseconds since the guest started.
    pub total: u64,
}

impl Memory {
    /// Without page cache that was not used lately: what Docker's clients show.
    ///
    /// The names are those of docker's CLI (`cli/command/container/stats_helpers.go`,
    /// `calculateMemUsageUnixNoCache`).
    pub fn without_cache(&self) -> u64 {
        let detail = |name: &str| self.details.get(name).copied();
        let cache = detail("total_inactive_file").or_else(|| detail("inactive_file"));
        cache.and_then(|cache| self.used.checked_sub(cache)).unwrap_or(self.used)
    }
}

impl Block {
    /// Bytes read and bytes written, of all devices together.
    pub fn read_and_written(&self) -> (u64, u64) {
        let sum = |kind: &str| {
            let entries = self.bytes.iter().filter(|entry| entry.kind.eq_ignore_ascii_case(kind));
            entries.fold(0, |sum: u64, entry| sum.saturating_add(entry.value))
        };
        (sum("read"), sum("write"))
    }
}

/// Processor time of one guest beside that of the whole host, at one moment.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct CpuShare {
    /// The guest's, in nanoseconds.
    pub guest: u64,
    /// That of all processors together, idle or not, in nanoseconds.
    pub host: u64,
}

impl CpuShare {
    /// What part of one processor the guest used since `before`, in hundredths of a percent: 20000
    /// for two whole processors. Zero if no time has passed.
    pub fn hundredths_since(self, before: Self, processors: u32) -> u64 {
        let guest = u128::from(self.guest.saturating_sub(before.guest));
        let host = u128::from(self.host.saturating_sub(before.host));
        let share = (guest * u128::from(processors) * 10_000).checked_div(host);
        share.and_then(|share| u64::try_from(share).ok()).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_without_cache_is_what_dockers_client_shows() {
        let memory = |used, details: &[(&str, u64)]| {
            let details = details.iter().map(|(name, value)| ((*name).to_owned(), *value));
            Memory { used, details: details.collect(), ..Memory::default() }.without_cache()
        };
        assert_eq!(memory(100, &[("inactive_file", 1), ("total_inactive_file", 30)]), 70);
        assert_eq!(memory(100, &[("inactive_file", 40)]), 60);
        assert_eq!(memory(100, &[("inactive_file", 400)]), 100);
        assert_eq!(memory(100, &[]), 100);
    }

    #[test]
    fn shares_count_whole_processors_and_never_divide_by_nothing() {
        let at = |guest, host| CpuShare { guest, host };
        assert_eq!(at(1_500, 3_000).hundredths_since(at(500, 1_000), 2), 10_000);
        assert_eq!(at(2_500, 3_000).hundredths_since(at(500, 1_000), 2), 20_000);
        assert_eq!(at(5, 5).hundredths_since(at(1, 5), 2), 0);
        assert_eq!(at(1, 9).hundredths_since(at(5, 5), 2), 0, "a guest that was started again");
        assert_eq!(
            at(u64::MAX, u64::MAX).hundredths_since(at(0, 0), u32::MAX) / 10_000,
            u64::from(u32::MAX)
        );
    }
}
