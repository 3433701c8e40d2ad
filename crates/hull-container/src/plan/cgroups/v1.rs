//! Limits as the files of cgroup v1 (kernel `Documentation/admin-guide/cgroup-v1`).

use hull_model::block::{Block, Disk, Throttle};
use hull_model::cpu::Cpu;
use hull_model::limits::{Limits, Max};
use hull_model::memory::Memory;

use super::{LimitError, either, may, must, plain};
use crate::cgroup::Write;

/// What `limits` writes into the directory of `controller`.
pub(super) fn writes(controller: &str, limits: &Limits) -> Result<Vec<Write>, LimitError> {
    Ok(match controller {
        "memory" => memory(&limits.memory),
        "cpu" => cpu(&limits.cpu),
        "cpuset" => cpuset(&limits.cpu),
        "pids" => pids(limits),
        "blkio" => block(&limits.block)?,
        "hugetlb" => huge_pages(limits)?,
        "rdma" => rdma(limits)?,
        "net_cls" => limits.marks.class.map(|id| must("net_cls.classid", id)).into_iter().collect(),
        "net_prio" => priorities(limits)?,
        _ => Vec::new(),
    })
}

fn number(max: Max) -> String {
    max.at().map_or("-1".to_owned(), |number| number.to_string())
}

/// Without a limit there is nothing that a missing file would fail to keep.
fn limit(file: &str, max: Max) -> Write {
    match max {
        Max::At(_) => must(file, number(max)),
        Max::Unlimited => may(file, number(max)),
    }
}

fn memory(memory: &Memory) -> Vec<Write> {
    let mut writes = Vec::new();
    writes.extend(memory.max.map(|max| limit("memory.limit_in_bytes", max)));
    writes.extend(memory.total().map(|total| limit("memory.memsw.limit_in_bytes", total)));
    let soft = memory.reservation.map(|max| limit("memory.soft_limit_in_bytes", max));
    writes.extend(soft);
    writes.extend(memory.kernel_tcp.map(|max| limit("memory.kmem.tcp.limit_in_bytes", max)));
    writes.extend(memory.swappiness.map(|value| must("memory.swappiness", value)));
    if memory.oom_kill_disabled {
        writes.push(must("memory.oom_control", 1));
    }
    writes
}

fn cpu(cpu: &Cpu) -> Vec<Write> {
    let mut writes = Vec::new();
    writes.extend(cpu.idle.map(|idle| must("cpu.idle", u8::from(idle))));
    // The kernel gives idle groups the weight it thinks fit.
    let shares = cpu.shares.filter(|_| cpu.idle != Some(true));
    writes.extend(shares.map(|shares| must("cpu.shares", shares.get())));
    writes.extend(cpu.period_us.map(|period| must("cpu.cfs_period_us", period)));
    writes.extend(cpu.quota_us.map(|quota| limit("cpu.cfs_quota_us", quota)));
    writes.extend(cpu.burst_us.map(|burst| must("cpu.cfs_burst_us", burst)));
    writes.extend(cpu.realtime_period_us.map(|period| must("cpu.rt_period_us", period)));
    writes.extend(cpu.realtime_runtime_us.map(|runtime| must("cpu.rt_runtime_us", runtime)));
    writes
}

pub(super) fn cpuset(cpu: &Cpu) -> Vec<Write> {
    let cpus = cpu.cpus.as_ref().map(|cpus| must("cpuset.cpus", cpus));
    let mems = cpu.mems.as_ref().map(|mems| must("cpuset.mems", mems));
    cpus.into_iter().chain(mems).collect()
}

pub(super) fn pids(limits: &Limits) -> Vec<Write> {
    let write = |max| match max {
        Max::At(number) => must("pids.max", number),
        Max::Unlimited => may("pids.max", "max"),
    };
    limits.pids.map(write).into_iter().collect()
}

fn block(block: &Block) -> Result<Vec<Write>, LimitError> {
    let mut writes = Vec::new();
    // Two schedulers, two names: CFQ was gone with Linux 5.0, and BFQ came with files of its own.
    let weight =
        |file: &str, bfq: &str, value: String| either(must(file, &value), must(bfq, &value));
    writes.extend(
        block.weight.map(|w| weight("blkio.weight", "blkio.bfq.weight", w.get().to_string())),
    );
    writes.extend(block.leaf_weight.map(|weight| must("blkio.leaf_weight", weight.get())));
    for device in &block.devices {
        let disk = numbers(&device.disk)?;
        if let Some(value) = device.weight {
            let value = format!("{disk} {}", value.get());
            writes.push(weight("blkio.weight_device", "blkio.bfq.weight_device", value));
        }
        if let Some(value) = device.leaf_weight {
            writes.push(must("blkio.leaf_weight_device", format!("{disk} {}", value.get())));
        }
    }
    for (file, throttles) in [
        ("blkio.throttle.read_bps_device", &block.read_bps),
        ("blkio.throttle.write_bps_device", &block.write_bps),
        ("blkio.throttle.read_iops_device", &block.read_iops),
        ("blkio.throttle.write_iops_device", &block.write_iops),
    ] {
        for Throttle { disk, rate } in throttles {
            writes.push(must(file, format!("{} {rate}", numbers(disk)?)));
        }
    }
    Ok(writes)
}

pub(super) fn numbers(disk: &Disk) -> Result<String, LimitError> {
    match disk {
        Disk::Number { .. } => Ok(disk.to_string()),
        Disk::Path(_) => Err(LimitError::Disk(disk.to_string())),
    }
}

fn huge_pages(limits: &Limits) -> Result<Vec<Write>, LimitError> {
    let mut writes = Vec::new();
    for (size, max) in &limits.huge_pages {
        plain("huge page size", size)?;
        writes.push(must(&format!("hugetlb.{size}.limit_in_bytes"), number(*max)));
        // Reservations are counted on their own since Linux 5.7.
        writes.push(may(&format!("hugetlb.{size}.rsvd.limit_in_bytes"), number(*max)));
    }
    Ok(writes)
}

pub(super) fn rdma(limits: &Limits) -> Result<Vec<Write>, LimitError> {
    let mut writes = Vec::new();
    for (device, rdma) in &limits.rdma {
        plain("RDMA device", device)?;
        let part = |name: &str, max: Option<Max>| {
            let text = |max: Max| max.at().map_or("max".to_owned(), |number| number.to_string());
            max.map_or(String::new(), |max| format!(" {name}={}", text(max)))
        };
        let (handles, objects) =
            (part("hca_handle", rdma.handles), part("hca_object", rdma.objects));
        writes.push(must("rdma.max", format!("{device}{handles}{objects}")));
    }
    Ok(writes)
}

fn priorities(limits: &Limits) -> Result<Vec<Write>, LimitError> {
    let mut writes = Vec::new();
    for (interface, priority) in &limits.marks.priorities {
        plain("network interface", interface)?;
        writes.push(must("net_prio.ifpriomap", format!("{interface} {priority}")));
    }
    Ok(writes)
}
