//! Limits of `HostConfig`. Sizes are bytes, times microseconds; 0 is "not given".

mod adjust;
mod block;
mod device_rules;

pub(super) use adjust::adjust;
pub(super) use device_rules::{read as read_device_rules, write as write_device_rules};

use hull_model::cpu::{self, Cpu, CpuSet, Shares};
use hull_model::limits::{Limits, Max, Resource, Rlimit};
use hull_model::memory::Memory;

use super::host_config::{HostConfig, Ulimit};
use crate::refusal::{Refusal, Result};

/// The limits that `host` asks for, after [`adjust`].
pub(super) fn read(host: &HostConfig) -> Result<Limits> {
    Ok(Limits {
        memory: read_memory(host)?,
        cpu: read_cpu(host)?,
        // Docker's "no limit" is any number that is none.
        pids: host.pids_limit.map(|pids| match u64::try_from(pids) {
            Ok(pids @ 1..) => Max::At(pids),
            Ok(0) | Err(_) => Max::Unlimited,
        }),
        block: block::read(host)?,
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
        ..Limits::default()
    })
}

/// Writes `limits` where [`read`] finds them.
pub(super) fn write(limits: &Limits, host: &mut HostConfig) {
    let memory = &limits.memory;
    host.memory = memory.max.map_or(0, signed);
    host.memory_swap = memory.total().map_or(0, signed);
    host.memory_reservation = memory.reservation.map_or(0, signed);
    host.memory_swappiness = memory.swappiness.map(number);
    host.kernel_memory_tcp = memory.kernel_tcp.map_or(0, signed);
    host.oom_kill_disable = Some(memory.oom_kill_disabled);
    let cpu = &limits.cpu;
    host.cpu_shares = cpu.shares.map_or(0, |shares| number(shares.get()));
    host.cpu_quota = cpu.quota_us.map_or(0, signed);
    host.cpu_period = cpu.period_us.map_or(0, number);
    host.cpu_realtime_period = cpu.realtime_period_us.map_or(0, number);
    host.cpu_realtime_runtime = cpu.realtime_runtime_us.unwrap_or(0);
    host.cpuset_cpus = cpu.cpus.as_ref().map(CpuSet::to_string).unwrap_or_default();
    host.cpuset_mems = cpu.mems.as_ref().map(CpuSet::to_string).unwrap_or_default();
    host.pids_limit = limits.pids.map(|pids| pids.at().map_or(0, number));
    block::write(&limits.block, host);
    host.oom_score_adj = limits.oom_score_adj.into();
    host.ulimits = Some(limits.rlimits.iter().map(write_rlimit).collect());
}

/// As much of `n` as Docker's signed numbers hold.
pub(super) fn number(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn signed(max: Max) -> i64 {
    max.at().map_or(-1, number)
}

/// Swap not given means as much swap as memory (moby `daemon/daemon_unix.go`,
/// `adaptContainerSettings`).
fn read_memory(host: &HostConfig) -> Result<Memory> {
    let given = |value: i64| u64::try_from(value).ok().filter(|value| *value > 0);
    let (max, total) = (given(host.memory), host.memory_swap);
    if total < -1 {
        return Err(Refusal::invalid(format_args!(
            "invalid MemorySwap {total}: use -1 for unlimited swap"
        )));
    }
    let swap = match (max, u64::try_from(total)) {
        (None, Ok(0) | Err(_)) => None,
        (None, Ok(_)) => {
            return Err(Refusal::invalid(
                "You should always set the Memory limit when using Memoryswap limit, see usage",
            ));
        }
        (Some(max), Ok(0)) => Some(Max::At(max)),
        (Some(max), Ok(total)) => match total.checked_sub(max) {
            Some(swap) => Some(Max::At(swap)),
            None => {
                return Err(Refusal::invalid(
                    "Minimum memoryswap limit should be larger than memory limit, see usage",
                ));
            }
        },
        (Some(_), Err(_unlimited)) => Some(Max::Unlimited),
    };
    let swappiness = match host.memory_swappiness {
        None | Some(-1) => None,
        Some(value) => match u64::try_from(value) {
            Ok(value @ 0..=100) => Some(value),
            Ok(_) | Err(_) => {
                return Err(Refusal::invalid(format_args!(
                    "Invalid value: {value}, valid memory swappiness range is 0-100"
                )));
            }
        },
    };
    Ok(Memory {
        max: max.map(Max::At),
        swap,
        reservation: given(host.memory_reservation).map(Max::At),
        swappiness,
        kernel_tcp: given(host.kernel_memory_tcp).map(Max::At),
        oom_kill_disabled: host.oom_kill_disable.unwrap_or(false),
        keep_used: false,
    })
}

fn read_cpu(host: &HostConfig) -> Result<Cpu> {
    let (quota_us, period_us) = read_quota(host)?;
    Ok(Cpu {
        shares: read_shares(host.cpu_shares)?,
        quota_us,
        period_us,
        realtime_period_us: match u64::try_from(host.cpu_realtime_period) {
            Ok(0) => None,
            Ok(period) => Some(period),
            Err(_negative) => {
                return Err(Refusal::invalid(format_args!(
                    "invalid CPU real-time period ({}): value must be a positive integer",
                    host.cpu_realtime_period
                )));
            }
        },
        realtime_runtime_us: Some(host.cpu_realtime_runtime).filter(|runtime| *runtime != 0),
        cpus: read_set("cpus", &host.cpuset_cpus)?,
        mems: read_set("mems", &host.cpuset_mems)?,
        ..Cpu::default()
    })
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

/// `NanoCpus` (billionths of a processor), or `CpuQuota` in each `CpuPeriod`; never both. A negative
/// quota is the kernel's "no limit".
fn read_quota(host: &HostConfig) -> Result<(Option<Max>, Option<u64>)> {
    let nano = u64::try_from(host.nano_cpus).unwrap_or(0);
    if nano != 0 {
        let quota = nano / (1_000_000_000 / cpu::PERIOD_US);
        return Ok((Some(Max::At(quota)), Some(cpu::PERIOD_US)));
    }
    let period = match u64::try_from(host.cpu_period) {
        Ok(0) => None,
        Ok(period) => Some(period),
        // As wrong as one that is too short.
        Err(_negative) => Some(1),
    };
    let quota = match u64::try_from(host.cpu_quota) {
        Ok(0) => None,
        Ok(quota) => Some(Max::At(quota)),
        Err(_negative) => Some(Max::Unlimited),
    };
    cpu::check_quota(quota.and_then(Max::at), period).map_err(Refusal::invalid)?;
    Ok((quota, period))
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
