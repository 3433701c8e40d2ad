//! Limits of `HostConfig`. Sizes are bytes, times microseconds; 0 is "not given".

use hull_model::bytes::Bytes;
use hull_model::cpu::{Cpu, CpuSet, Quota, Shares};
use hull_model::limits::{Limits, Pids, Resource, Rlimit};
use hull_model::memory::{Memory, Swap};

use super::host_config::{HostConfig, Ulimit};
use crate::refusal::{Refusal, Result};

/// The limits that `host` asks for on a machine with `cpus` processors.
pub(super) fn read(host: &HostConfig, cpus: u32) -> Result<Limits> {
    Ok(Limits {
        memory: read_memory(host)?,
        cpu: Cpu {
            shares: read_shares(host.cpu_shares)?,
            quota: read_quota(host, cpus)?,
            cpus: read_set("cpus", &host.cpuset_cpus)?,
            mems: read_set("mems", &host.cpuset_mems)?,
        },
        pids: host.pids_limit.and_then(|pids| u64::try_from(pids).ok()).and_then(Pids::new),
        oom_kill_disabled: host.oom_kill_disable.unwrap_or(false),
        oom_score_adj: match i16::try_from(host.oom_score_adj) {
            Ok(adj @ -1_000..=1_000) => adj,
            _ => {
                return Err(Refusal::invalid(format_args!(
                    "Invalid value {}, range for oom score adj is [-1000, 1000]",
                    host.oom_score_adj
                )));
            }
        },
        rlimits: read_rlimits(host.ulimits.as_deref().unwrap_or_default())?,
    })
}

/// Writes `limits` where [`read`] finds them.
pub(super) fn write(limits: &Limits, host: &mut HostConfig) {
    if let Some(memory) = &limits.memory {
        host.memory = number(memory.max().get());
        host.memory_swap = match memory.swap() {
            Swap::UpTo(swap) => number(memory.max().get().saturating_add(swap.get())),
            Swap::Unlimited => -1,
        };
        host.memory_reservation = memory.reservation().map_or(0, |bytes| number(bytes.get()));
    }
    let cpu = &limits.cpu;
    host.cpu_shares = cpu.shares.map_or(0, |shares| number(shares.get()));
    if let Some(quota) = cpu.quota {
        host.cpu_quota = number(quota.quota_us());
        host.cpu_period = number(quota.period_us());
    }
    host.cpuset_cpus = cpu.cpus.as_ref().map(CpuSet::to_string).unwrap_or_default();
    host.cpuset_mems = cpu.mems.as_ref().map(CpuSet::to_string).unwrap_or_default();
    host.pids_limit = limits.pids.map(|pids| number(pids.get()));
    host.oom_kill_disable = Some(limits.oom_kill_disabled);
    host.oom_score_adj = limits.oom_score_adj.into();
    host.ulimits = Some(limits.rlimits.iter().map(write_rlimit).collect());
}

/// As much of `n` as Docker's signed numbers hold.
pub(super) fn number(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// moby `daemon/daemon_unix.go`, `verifyPlatformContainerResources`; swap not given means as much
/// swap as memory (`adaptContainerSettings`).
fn read_memory(host: &HostConfig) -> Result<Option<Memory>> {
    let (memory, total, soft) = (host.memory, host.memory_swap, host.memory_reservation);
    if soft < 0 || (soft > 0 && soft < number(Memory::MIN.get())) {
        return Err(Refusal::invalid("Minimum memory reservation allowed is 6MB"));
    }
    if total < -1 {
        return Err(Refusal::invalid(format_args!(
            "invalid MemorySwap {total}: use -1 for unlimited swap"
        )));
    }
    if memory == 0 {
        return match (total, soft) {
            (-1 | 0, 0) => Ok(None),
            (-1 | 0, soft) => {
                Err(Refusal::unsupported("HostConfig.MemoryReservation without Memory", soft))
            }
            _ => Err(Refusal::invalid(
                "You should always set the Memory limit when using Memoryswap limit, see usage",
            )),
        };
    }
    let max = Bytes::new(u64::try_from(memory).unwrap_or(0));
    let swap = match u64::try_from(total) {
        Ok(0) => Swap::UpTo(max),
        Ok(total) => match total.checked_sub(max.get()) {
            Some(swap) => Swap::UpTo(Bytes::new(swap)),
            None => {
                return Err(Refusal::invalid(
                    "Minimum memoryswap limit should be larger than memory limit, see usage",
                ));
            }
        },
        Err(_unlimited) => Swap::Unlimited,
    };
    let limit = Memory::new(max, swap).map_err(Refusal::invalid)?;
    match u64::try_from(soft) {
        Ok(soft) if soft > 0 => {
            limit.with_reservation(Bytes::new(soft)).map(Some).map_err(Refusal::invalid)
        }
        _ => Ok(Some(limit)),
    }
}

fn read_shares(shares: i64) -> Result<Option<Shares>> {
    match u64::try_from(shares) {
        Ok(0) => Ok(None),
        Ok(shares) => Ok(Some(Shares::new(shares))),
        Err(_negative) => Err(Refusal::invalid(format_args!(
            "invalid CPU shares ({shares}): value must be a positive integer"
        ))),
    }
}

/// `NanoCpus` (billionths of a processor), or `CpuQuota` in each `CpuPeriod`; never both.
///
/// A period without a quota limits nothing, and a negative quota is the kernel's "no limit".
fn read_quota(host: &HostConfig, cpus: u32) -> Result<Option<Quota>> {
    let (nano, period, quota) = (host.nano_cpus, host.cpu_period, host.cpu_quota);
    if nano != 0 {
        if period != 0 {
            return Err(Refusal::invalid(
                "Conflicting options: Nano CPUs and CPU Period cannot both be set",
            ));
        }
        if quota != 0 {
            return Err(Refusal::invalid(
                "Conflicting options: Nano CPUs and CPU Quota cannot both be set",
            ));
        }
        let microseconds = nano / (1_000_000_000 / number(Quota::PERIOD_US));
        return match u64::try_from(microseconds) {
            Ok(quota @ 1_000..) if nano <= i64::from(cpus) * 1_000_000_000 => {
                Quota::new(quota, Quota::PERIOD_US).map(Some).map_err(Refusal::invalid)
            }
            _ => Err(Refusal::invalid(format_args!(
                "range of CPUs is from 0.01 to {cpus}.00, as there are only {cpus} CPUs available"
            ))),
        };
    }
    let period = match u64::try_from(period) {
        Ok(0) => Quota::PERIOD_US,
        Ok(period) => period,
        Err(_negative) => 1,
    };
    // Checked with any quota, so that a wrong period is refused on its own as well.
    Quota::new(1_000, period).map_err(Refusal::invalid)?;
    match u64::try_from(quota) {
        Ok(0) | Err(_) => Ok(None),
        Ok(quota) => Quota::new(quota, period).map(Some).map_err(Refusal::invalid),
    }
}

fn read_set(what: &str, text: &str) -> Result<Option<CpuSet>> {
    if text.is_empty() {
        return Ok(None);
    }
    let bad = |e| Refusal::invalid(format_args!("Invalid value {text} for cpuset {what}: {e}"));
    text.parse().map(Some).map_err(bad)
}

fn read_rlimits(ulimits: &[Ulimit]) -> Result<Vec<Rlimit>> {
    let mut limits: Vec<Rlimit> = Vec::new();
    for Ulimit { name, hard, soft } in ulimits {
        let resource = Resource::from_name(name)
            .ok_or_else(|| Refusal::invalid(format_args!("invalid ulimit type: {name}")))?;
        if limits.iter().any(|known| known.resource == resource) {
            return Err(Refusal::invalid(format_args!("duplicate ulimit: {name}")));
        }
        let bound = |n: i64| match n {
            -1 => Ok(None),
            n => u64::try_from(n).map(Some).map_err(|_negative| {
                Refusal::invalid(format_args!("invalid ulimit {name}: {n}; -1 is no limit"))
            }),
        };
        let limit = Rlimit { resource, soft: bound(*soft)?, hard: bound(*hard)? };
        if limit.soft.unwrap_or(u64::MAX) > limit.hard.unwrap_or(u64::MAX) {
            return Err(Refusal::invalid(format_args!(
                "ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}"
            )));
        }
        limits.push(limit);
    }
    Ok(limits)
}

fn write_rlimit(limit: &Rlimit) -> Ulimit {
    let bound = |n: Option<u64>| n.map_or(-1, number);
    Ulimit {
        name: limit.resource.name().to_owned(),
        hard: bound(limit.hard),
        soft: bound(limit.soft),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: i64 = 1 << 20;

    fn memory(memory: i64, memory_swap: i64, memory_reservation: i64) -> String {
        let host = HostConfig { memory, memory_swap, memory_reservation, ..HostConfig::default() };
        match read(&host, 4) {
            Ok(Limits { memory: None, .. }) => "none".to_owned(),
            Ok(limits) => {
                let mut back = HostConfig::default();
                write(&limits, &mut back);
                let mib = |n: i64| if n > 0 { n / MIB } else { n };
                format!("{} {}", mib(back.memory), mib(back.memory_swap))
            }
            Err(refusal) => refusal.message,
        }
    }

    #[test]
    fn memory_is_read_and_written_as_in_docker() {
        assert_eq!(memory(0, 0, 0), "none");
        assert_eq!(memory(0, -1, 0), "none");
        assert_eq!(memory(512 * MIB, 0, 0), "512 1024");
        assert_eq!(memory(512 * MIB, 512 * MIB, 256 * MIB), "512 512");
        assert_eq!(memory(512 * MIB, -1, 0), "512 -1");
        assert!(memory(MIB, 0, 0).starts_with("Minimum memory limit allowed is 6MB"));
        assert!(memory(-1, 0, 0).starts_with("Minimum memory limit allowed is 6MB"));
        assert!(memory(0, 512 * MIB, 0).starts_with("You should always set the Memory limit"));
        assert!(memory(512 * MIB, 256 * MIB, 0).starts_with("Minimum memoryswap limit"));
        assert!(memory(512 * MIB, 0, MIB).starts_with("Minimum memory reservation"));
        assert!(memory(8 * MIB, 0, 9 * MIB).contains("less than memory reservation limit"));
        assert!(memory(0, 0, 9 * MIB).contains("MemoryReservation without Memory"));
        assert!(memory(8 * MIB, -2, 0).contains("MemorySwap -2"));
        assert_eq!(memory(i64::MAX, 0, 0), format!("{0} {0}", i64::MAX / MIB));
    }

    fn cpu(nano_cpus: i64, cpu_period: i64, cpu_quota: i64) -> String {
        let host = HostConfig { nano_cpus, cpu_period, cpu_quota, ..HostConfig::default() };
        match read(&host, 4) {
            Ok(limits) => limits.cpu.quota.map_or("none".to_owned(), |quota| {
                format!("{} in {}", quota.quota_us(), quota.period_us())
            }),
            Err(refusal) => refusal.message,
        }
    }

    #[test]
    fn processor_time_is_read_as_in_docker() {
        assert_eq!(cpu(0, 0, 0), "none");
        assert_eq!(cpu(1_500_000_000, 0, 0), "150000 in 100000");
        assert_eq!(cpu(10_000_000, 0, 0), "1000 in 100000");
        assert_eq!(cpu(0, 0, 50_000), "50000 in 100000");
        assert_eq!(cpu(0, 20_000, 5_000), "5000 in 20000");
        assert_eq!(cpu(0, 20_000, 0), "none");
        assert_eq!(cpu(0, 0, -1), "none");
        assert!(cpu(1, 1, 0).contains("Nano CPUs and CPU Period"));
        assert!(cpu(1, 0, 1).contains("Nano CPUs and CPU Quota"));
        for nano in [1, -1, 4_000_000_001, i64::MAX, i64::MIN] {
            assert!(cpu(nano, 0, 0).starts_with("range of CPUs is from 0.01 to 4.00"), "{nano}");
        }
        assert!(cpu(0, 999, 0).contains("CPU cfs period"));
        assert!(cpu(0, -5, 0).contains("CPU cfs period"));
        assert!(cpu(0, 0, 5).contains("CPU cfs quota"));
    }

    #[test]
    fn the_other_limits_keep_to_their_ranges() {
        let check = |host: HostConfig| read(&host, 4).map_err(|refusal| refusal.message);
        let zero = HostConfig::default();
        let pids = |n| {
            let host = HostConfig { pids_limit: Some(n), ..HostConfig::default() };
            check(host).unwrap().pids.map(Pids::get)
        };
        assert_eq!((pids(0), pids(-1), pids(7)), (None, None, Some(7)));
        let bad = check(HostConfig { oom_score_adj: 1_001, ..zero.clone() }).unwrap_err();
        assert_eq!(bad, "Invalid value 1001, range for oom score adj is [-1000, 1000]");
        let bad = check(HostConfig { cpuset_cpus: "0-x".to_owned(), ..zero.clone() }).unwrap_err();
        assert!(bad.starts_with("Invalid value 0-x for cpuset cpus"), "{bad}");
        assert!(check(HostConfig { cpu_shares: -1, ..zero }).is_err());
    }

    #[test]
    fn ulimits_survive_the_way_there_and_back() {
        let limit = |name: &str, soft, hard| Ulimit { name: name.to_owned(), hard, soft };
        let good = [limit("nofile", 1_024, 2_048), limit("core", 0, -1)];
        let back: Vec<_> = read_rlimits(&good).unwrap().iter().map(write_rlimit).collect();
        assert_eq!(back, good);
        for bad in
            [limit("nofile", 3, 2), limit("nofile", -1, 2), limit("x", 1, 1), limit("core", -2, 1)]
        {
            assert!(read_rlimits(&[bad]).is_err());
        }
        assert!(read_rlimits(&[limit("core", 1, 1), limit("core", 1, 1)]).is_err());
    }
}
