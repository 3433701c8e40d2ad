//! What a guest has used, read from its cgroup.

use std::fs;
use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Cgroup;

/// Usage at one moment. `None` where the host does not account it.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Stats {
    /// Bytes of memory in use, page cache included.
    pub memory_bytes: Option<u64>,
    /// The part of it that is page cache not recently used, which Docker's clients subtract.
    pub memory_inactive_file_bytes: Option<u64>,
    /// The limit; `None` for no limit.
    pub memory_max_bytes: Option<u64>,
    /// Processor time since the start, in nanoseconds.
    pub cpu_total_ns: Option<u64>,
    /// The part spent in programs.
    pub cpu_user_ns: Option<u64>,
    /// The part spent in the kernel.
    pub cpu_system_ns: Option<u64>,
    /// Periods in which a quota was in force.
    pub cpu_periods: Option<u64>,
    /// Periods in which it was used up.
    pub cpu_throttled_periods: Option<u64>,
    /// How long it was held back for that, in nanoseconds.
    pub cpu_throttled_ns: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u64>,
    /// The limit; `None` for no limit.
    pub pids_max: Option<u64>,
    /// Bytes read from block devices.
    pub block_read_bytes: Option<u64>,
    /// Bytes written to block devices.
    pub block_written_bytes: Option<u64>,
    /// How often the kernel killed a process inside because the memory limit was reached.
    pub oom_kills: u64,
}

/// The most bytes read from one file; all of these are far smaller.
const FILE_BYTES_MAX: u64 = 64 << 10;
/// v1 says "no limit" with the largest multiple of a page below 2⁶³.
const V1_UNLIMITED: u64 = 1 << 62;

impl Cgroup {
    /// Reads the usage. Files that are missing leave `None`.
    pub fn stats(&self) -> Stats {
        let mut stats = Stats { oom_kills: self.oom_kills(), ..Stats::default() };
        if let Some(unified) = self.unified() {
            unified_stats(&unified.full(), &mut stats);
        }
        if let Some(memory) = self.v1("memory").map(super::Directory::full) {
            stats.memory_bytes = number(&memory, "memory.usage_in_bytes");
            stats.memory_max_bytes =
                number(&memory, "memory.limit_in_bytes").filter(|max| *max < V1_UNLIMITED);
            stats.memory_inactive_file_bytes = field(&memory, "memory.stat", "total_inactive_file");
        }
        if let Some(cpuacct) = self.v1("cpuacct").map(super::Directory::full) {
            stats.cpu_total_ns = number(&cpuacct, "cpuacct.usage");
            stats.cpu_user_ns = number(&cpuacct, "cpuacct.usage_user");
            stats.cpu_system_ns = number(&cpuacct, "cpuacct.usage_sys");
        }
        if let Some(cpu) = self.v1("cpu").map(super::Directory::full) {
            stats.cpu_periods = field(&cpu, "cpu.stat", "nr_periods");
            stats.cpu_throttled_periods = field(&cpu, "cpu.stat", "nr_throttled");
            stats.cpu_throttled_ns = field(&cpu, "cpu.stat", "throttled_time");
        }
        if let Some(pids) = self.v1("pids").map(super::Directory::full) {
            stats.pids = number(&pids, "pids.current");
            stats.pids_max = number(&pids, "pids.max");
        }
        if let Some(blkio) = self.v1("blkio").map(super::Directory::full) {
            let text = read(&blkio, "blkio.throttle.io_service_bytes_recursive");
            stats.block_read_bytes = text.as_deref().map(|text| v1_block_sum(text, "Read"));
            stats.block_written_bytes = text.as_deref().map(|text| v1_block_sum(text, "Write"));
        }
        stats
    }

    /// How often the kernel killed a process inside because the memory limit was reached.
    pub fn oom_kills(&self) -> u64 {
        let v1 = self.v1("memory").map(|memory| (memory.full(), "memory.oom_control"));
        let v2 = self.unified().map(|unified| (unified.full(), "memory.events"));
        v1.or(v2).and_then(|(at, file)| field(&at, file, "oom_kill")).unwrap_or(0)
    }
}

fn unified_stats(at: &Path, stats: &mut Stats) {
    stats.memory_bytes = number(at, "memory.current");
    stats.memory_max_bytes = number(at, "memory.max");
    stats.memory_inactive_file_bytes = field(at, "memory.stat", "inactive_file");
    let cpu = |name| field(at, "cpu.stat", name);
    stats.cpu_total_ns = cpu("usage_usec").map(|us| us.saturating_mul(1_000));
    stats.cpu_user_ns = cpu("user_usec").map(|us| us.saturating_mul(1_000));
    stats.cpu_system_ns = cpu("system_usec").map(|us| us.saturating_mul(1_000));
    stats.cpu_periods = cpu("nr_periods");
    stats.cpu_throttled_periods = cpu("nr_throttled");
    stats.cpu_throttled_ns = cpu("throttled_usec").map(|us| us.saturating_mul(1_000));
    stats.pids = number(at, "pids.current");
    stats.pids_max = number(at, "pids.max");
    let io = read(at, "io.stat");
    stats.block_read_bytes = io.as_deref().map(|text| v2_block_sum(text, "rbytes="));
    stats.block_written_bytes = io.as_deref().map(|text| v2_block_sum(text, "wbytes="));
}

fn read(at: &Path, file: &str) -> Option<String> {
    let mut text = String::new();
    fs::File::open(at.join(file)).ok()?.take(FILE_BYTES_MAX).read_to_string(&mut text).ok()?;
    Some(text)
}

fn number(at: &Path, file: &str) -> Option<u64> {
    read(at, file)?.trim().parse().ok()
}

/// The number after `name` on a line of its own.
fn field(at: &Path, file: &str, name: &str) -> Option<u64> {
    read(at, file)?
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

/// Lines such as `8:0 Read 4096`, summed over the devices.
fn v1_block_sum(text: &str, operation: &str) -> u64 {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split(' ').skip(1);
            (words.next()? == operation).then(|| words.next()?.parse::<u64>().ok())?
        })
        .fold(0, u64::saturating_add)
}

/// Lines such as `8:0 rbytes=4096 wbytes=0 …`, summed over the devices.
fn v2_block_sum(text: &str, key: &str) -> u64 {
    text.split_whitespace()
        .filter_map(|word| word.strip_prefix(key)?.parse::<u64>().ok())
        .fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_traffic_is_summed_over_devices() {
        let v1 = "8:0 Read 10\n8:0 Write 20\n8:16 Read 5\nTotal 35\n";
        assert_eq!((v1_block_sum(v1, "Read"), v1_block_sum(v1, "Write")), (15, 20));
        let v2 = "8:0 rbytes=10 wbytes=20 rios=1\n8:16 rbytes=5 wbytes=0\n";
        assert_eq!((v2_block_sum(v2, "rbytes="), v2_block_sum(v2, "wbytes=")), (15, 20));
    }
}
