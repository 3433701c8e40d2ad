//! Limits as the files of cgroup v2 (kernel `Documentation/admin-guide/cgroup-v2.rst`).

use hull_model::block::{Block, Disk, Throttle, Weight};
use hull_model::cpu::{self, Cpu, Shares};
use hull_model::limits::{Limits, Max};
use hull_model::memory::Memory;

use super::v1::{cpuset, numbers, pids, rdma};
use super::{LimitError, either, may, must, plain, unsupported};
use crate::cgroup::Write;

/// What `limits` writes into the directory because of `controller`.
pub(super) fn writes(controller: &str, limits: &Limits) -> Result<Vec<Write>, LimitError> {
    Ok(match controller {
        "memory" => memory(&limits.memory)?,
        "cpu" => self::cpu(&limits.cpu)?,
        "cpuset" => cpuset(&limits.cpu),
        "pids" => pids(limits),
        "io" => block(&limits.block)?,
        "hugetlb" => huge_pages(limits)?,
        "rdma" => rdma(limits)?,
        _ => Vec::new(),
    })
}

fn number(max: Max) -> String {
    max.at().map_or("max".to_owned(), |number| number.to_string())
}

fn memory(memory: &Memory) -> Result<Vec<Write>, LimitError> {
    const V1: &str = "cgroup v1: cgroup v2 has no such setting";
    if memory.swappiness.is_some() {
        return Err(unsupported("memory.swappiness", V1));
    }
    if memory.kernel_tcp.is_some() {
        return Err(unsupported("a limit of TCP buffers", V1));
    }
    if memory.oom_kill_disabled {
        return Err(unsupported("disabling the OOM killer", V1));
    }
    let mut writes = Vec::new();
    writes.extend(memory.max.map(|max| must("memory.max", number(max))));
    writes.extend(memory.swap.map(|swap| match swap {
        Max::At(1..) => must("memory.swap.max", number(swap)),
        // A kernel without swap has no file, and nothing to forbid.
        Max::At(0) | Max::Unlimited => may("memory.swap.max", number(swap)),
    }));
    writes.extend(memory.reservation.map(|max| must("memory.low", number(max))));
    Ok(writes)
}

fn cpu(cpu: &Cpu) -> Result<Vec<Write>, LimitError> {
    let is_realtime = |runtime: Option<i64>| runtime.is_some_and(|runtime| runtime != 0);
    if cpu.realtime_period_us.is_some() || is_realtime(cpu.realtime_runtime_us) {
        return Err(unsupported(
            "cpu.rt_runtime_us",
            "cgroup v1: cgroup v2 has no real-time scheduling",
        ));
    }
    let mut writes = Vec::new();
    writes.extend(cpu.idle.map(|idle| must("cpu.idle", u8::from(idle))));
    // The kernel gives idle groups the weight it thinks fit.
    let shares = cpu.shares.filter(|_| cpu.idle != Some(true));
    writes.extend(shares.map(|shares| must("cpu.weight", weight(shares))));
    if cpu.quota_us.is_some() || cpu.period_us.is_some() {
        let quota = number(cpu.quota_us.unwrap_or(Max::Unlimited));
        let period = cpu.period_us.unwrap_or(cpu::PERIOD_US);
        writes.push(must("cpu.max", format!("{quota} {period}")));
    }
    writes.extend(cpu.burst_us.map(|burst| must("cpu.max.burst", burst)));
    Ok(writes)
}

/// v1 shares as a v2 weight: 2, 1,024 and 262,144 become 1, 100 and 10,000, what is between lies on
/// the curve that runc (opencontainers/cgroups 0.0.3) and crun (1.23) draw through these.
pub(crate) fn weight(shares: Shares) -> u64 {
    let shares = shares.get().clamp(2, 262_144);
    #[expect(clippy::cast_precision_loss, reason = "at most 2¹⁸")]
    let log = (shares as f64).log2();
    let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
    // Less than an error of rounding does not make it the next number.
    let weight = (10_f64.powf(exponent) - 1e-9).ceil();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 1 and 10,000 by the clamps"
    )]
    let weight = weight.clamp(1.0, 10_000.0) as u64;
    weight
}

fn block(block: &Block) -> Result<Vec<Write>, LimitError> {
    const V1: &str = "cgroup v1 with the CFQ scheduler";
    let mut writes = Vec::new();
    if block.leaf_weight.is_some() || block.devices.iter().any(|one| one.leaf_weight.is_some()) {
        return Err(unsupported("blkio leaf weight", V1));
    }
    writes.extend(block.weight.map(|weight| {
        let default = format!("default {}", io_weight(weight));
        either(must("io.bfq.weight", weight.get()), must("io.weight", default))
    }));
    for device in &block.devices {
        let disk = numbers(&device.disk)?;
        writes.extend(device.weight.map(|weight| {
            let bfq = must("io.bfq.weight", format!("{disk} {}", weight.get()));
            either(bfq, must("io.weight", format!("{disk} {}", io_weight(weight))))
        }));
    }
    for (key, throttles) in [
        ("rbps", &block.read_bps),
        ("wbps", &block.write_bps),
        ("riops", &block.read_iops),
        ("wiops", &block.write_iops),
    ] {
        for Throttle { disk, rate } in throttles {
            writes.push(ceiling(disk, key, *rate)?);
        }
    }
    Ok(writes)
}

fn ceiling(disk: &Disk, key: &str, rate: u64) -> Result<Write, LimitError> {
    let rate = if rate == 0 { "max".to_owned() } else { rate.to_string() };
    Ok(must("io.max", format!("{} {key}={rate}", numbers(disk)?)))
}

/// 10 – 1,000 to 1 – 10,000, as runc and crun convert.
fn io_weight(weight: Weight) -> u64 {
    1 + (u64::from(weight.get()) - 10) * 9_999 / 990
}

fn huge_pages(limits: &Limits) -> Result<Vec<Write>, LimitError> {
    let mut writes = Vec::new();
    for (size, max) in &limits.huge_pages {
        plain("huge page size", size)?;
        writes.push(must(&format!("hugetlb.{size}.max"), number(*max)));
        writes.push(may(&format!("hugetlb.{size}.rsvd.max"), number(*max)));
    }
    Ok(writes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_become_weights_as_in_runc() {
        let weight = |shares| weight(Shares::new(shares));
        assert_eq!((weight(0), weight(2), weight(1_024)), (1, 1, 100));
        assert_eq!((weight(262_144), weight(u64::MAX)), (10_000, 10_000));
        assert_eq!((weight(512), weight(2_048)), (59, 174));
    }

    #[test]
    fn block_weights_span_the_range() {
        let weight = |weight| io_weight(Weight::new(weight).unwrap());
        assert_eq!((weight(10), weight(500), weight(1_000)), (1, 4_950, 10_000));
    }
}
