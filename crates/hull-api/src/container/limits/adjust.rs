//! What Docker checks before it looks at anything, and what it drops with a warning because the host
//! cannot do it.
//!
//! moby `daemon/daemon_unix.go`, `verifyPlatformContainerResources`, in its order and words.

use hull_model::cpu::{self, CpuSet};
use hull_model::limits::Supported;
use hull_model::memory::Memory;

use super::number;
use crate::container::host_config::HostConfig;
use crate::refusal::{Refusal, Result};

/// Takes what this host cannot do out of `host`, saying so in `warnings`. `cpus` is how many
/// processors there are.
pub(in crate::container) fn adjust(
    host: &mut HostConfig,
    supported: &Supported,
    cpus: u32,
    warnings: &mut Vec<String>,
) -> Result<()> {
    memory(host, supported, warnings)?;
    swap_and_kernel(host, supported, warnings)?;
    pids(host, supported, warnings);
    processors(host, supported, cpus, warnings)?;
    sets(host, supported, warnings)?;
    block(host, supported, warnings)
}

/// Zeroes `value` and warns if something is asked for that is not `supported`.
fn drop_unless<T: Default + PartialEq>(
    supported: bool,
    value: &mut T,
    warnings: &mut Vec<String>,
    warning: &str,
) {
    if !supported && *value != T::default() {
        *value = T::default();
        warnings.push(warning.to_owned());
    }
}

fn memory(host: &mut HostConfig, supported: &Supported, warnings: &mut Vec<String>) -> Result<()> {
    let least = number(Memory::MIN.get());
    if host.memory != 0 && host.memory < least {
        return Err(Refusal::invalid("Minimum memory limit allowed is 6MB"));
    }
    if host.memory > 0 && !supported.memory {
        warnings.push(
            "Your kernel does not support memory limit capabilities or the cgroup is not mounted. \
             Limitation discarded."
                .to_owned(),
        );
        (host.memory, host.memory_swap) = (0, -1);
    }
    if host.memory > 0 && host.memory_swap != -1 && !supported.swap {
        warnings.push(
            "Your kernel does not support swap limit capabilities or the cgroup is not mounted. \
             Memory limited without swap."
                .to_owned(),
        );
        host.memory_swap = -1;
    }
    drop_unless(
        supported.reservation,
        &mut host.memory_reservation,
        warnings,
        "Your kernel does not support memory soft limit capabilities or the cgroup is not mounted. \
         Limitation discarded.",
    );
    let soft = host.memory_reservation;
    if soft != 0 && soft < least {
        return Err(Refusal::invalid("Minimum memory reservation allowed is 6MB"));
    }
    if host.memory > 0 && soft > host.memory {
        return Err(Refusal::invalid(
            "Minimum memory limit can not be less than memory reservation limit, see usage",
        ));
    }
    Ok(())
}

fn swap_and_kernel(
    host: &mut HostConfig,
    supported: &Supported,
    warnings: &mut Vec<String>,
) -> Result<()> {
    host.memory_swappiness = host.memory_swappiness.filter(|value| *value != -1);
    drop_unless(
        supported.swappiness,
        &mut host.memory_swappiness,
        warnings,
        "Your kernel does not support memory swappiness capabilities or the cgroup is not mounted. \
         Memory swappiness discarded.",
    );
    // -1 is "no limit", which is what there is.
    (host.kernel_memory, host.kernel_memory_tcp) =
        (host.kernel_memory.max(0), host.kernel_memory_tcp.max(0));
    drop_unless(
        false,
        &mut host.kernel_memory,
        warnings,
        "Specifying a kernel memory limit is deprecated: kernels since Linux 5.16 have none. \
         Limitation discarded.",
    );
    drop_unless(
        supported.kernel_tcp,
        &mut host.kernel_memory_tcp,
        warnings,
        "Your kernel does not support kernel memory TCP limit capabilities or the cgroup is not \
         mounted. Limitation discarded.",
    );
    if host.oom_kill_disable == Some(true) && !supported.oom_kill_disable {
        warnings.push(
            "Your kernel does not support OomKillDisable. OomKillDisable discarded.".to_owned(),
        );
        host.oom_kill_disable = None;
    }
    if host.oom_kill_disable == Some(true) && host.memory == 0 {
        warnings.push(
            "OOM killer is disabled for the container, but no memory limit is set, this can \
             result in the system running out of resources."
                .to_owned(),
        );
    }
    Ok(())
}

fn pids(host: &mut HostConfig, supported: &Supported, warnings: &mut Vec<String>) {
    if supported.pids {
        return;
    }
    if host.pids_limit.is_some_and(|pids| pids > 0) {
        warnings.push(
            "Your kernel does not support PIDs limit capabilities or the cgroup is not mounted. \
             PIDs limit discarded."
                .to_owned(),
        );
    }
    host.pids_limit = None;
}

fn processors(
    host: &mut HostConfig,
    supported: &Supported,
    cpus: u32,
    warnings: &mut Vec<String>,
) -> Result<()> {
    let nano = host.nano_cpus;
    if nano != 0 {
        for (other, what) in [(host.cpu_period, "Period"), (host.cpu_quota, "Quota")] {
            if other != 0 {
                return Err(Refusal::invalid(format_args!(
                    "Conflicting options: Nano CPUs and CPU {what} cannot both be set"
                )));
            }
        }
        if !supported.cpu_quota {
            return Err(Refusal::invalid(
                "NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler or the \
                 cgroup is not mounted",
            ));
        }
        // The least that the kernel takes as a quota.
        let least = 1_000 * (1_000_000_000 / number(cpu::PERIOD_US));
        if !(least..=i64::from(cpus) * 1_000_000_000).contains(&nano) {
            return Err(Refusal::invalid(format_args!(
                "range of CPUs is from 0.01 to {cpus}.00, as there are only {cpus} CPUs available"
            )));
        }
    }
    drop_unless(
        supported.cpu_shares,
        &mut host.cpu_shares,
        warnings,
        "Your kernel does not support CPU shares or the cgroup is not mounted. Shares discarded.",
    );
    let mut both = (host.cpu_period, host.cpu_quota);
    drop_unless(
        supported.cpu_quota,
        &mut both,
        warnings,
        "Your kernel does not support CPU CFS scheduler. CPU period/quota discarded.",
    );
    (host.cpu_period, host.cpu_quota) = both;
    drop_unless(
        false,
        &mut host.cpu_percent,
        warnings,
        "linux does not support CPU percent. Percent discarded.",
    );
    realtime(host, supported)
}

/// (moby `daemon/daemon_unix.go` of 20.10 and docker/cli's help have the first text.)
fn realtime(host: &HostConfig, supported: &Supported) -> Result<()> {
    let (period, runtime) = (host.cpu_realtime_period, host.cpu_realtime_runtime);
    if (period, runtime) != (0, 0) && !supported.cpu_realtime {
        return Err(Refusal::invalid(
            "not supported by this kernel: CPU real-time scheduling by cgroup needs the cpu \
             controller of cgroup v1 and CONFIG_RT_GROUP_SCHED",
        ));
    }
    if period != 0 && runtime > period {
        return Err(Refusal::invalid("cpu real-time runtime cannot be higher than its period"));
    }
    Ok(())
}

fn sets(host: &mut HostConfig, supported: &Supported, warnings: &mut Vec<String>) -> Result<()> {
    let (Some(cpus), Some(mems)) = (&supported.cpus, &supported.mems) else {
        let mut both =
            (std::mem::take(&mut host.cpuset_cpus), std::mem::take(&mut host.cpuset_mems));
        drop_unless(
            false,
            &mut both,
            warnings,
            "Your kernel does not support cpuset or the cgroup is not mounted. Cpuset discarded.",
        );
        return Ok(());
    };
    let check = |short: &str, long: &str, text: &str, there: &CpuSet| {
        let wanted = super::read_set(short, text)?;
        if wanted.is_none_or(|wanted| there.contains(&wanted)) {
            return Ok(());
        }
        Err(Refusal::invalid(format_args!(
            "Requested {long} are not available - requested {text}, available: {there}"
        )))
    };
    check("cpus", "CPUs", &host.cpuset_cpus, cpus)?;
    check("mems", "memory nodes", &host.cpuset_mems, mems)
}

fn block(host: &mut HostConfig, supported: &Supported, warnings: &mut Vec<String>) -> Result<()> {
    drop_unless(
        supported.block_weight,
        &mut host.blkio_weight,
        warnings,
        "Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight \
         discarded.",
    );
    if host.blkio_weight != 0 && !(10..=1_000).contains(&host.blkio_weight) {
        return Err(Refusal::invalid("Range of blkio weight is from 10 to 1000"));
    }
    if host.io_maximum_bandwidth != 0 || host.io_maximum_iops != 0 {
        return Err(Refusal::invalid(
            "Invalid QoS settings: linux does not support Maximum IO Bandwidth or Maximum IO IOps",
        ));
    }
    let weights = &mut host.blkio_weight_device;
    *weights = weights.take().filter(|list| !list.is_empty());
    drop_unless(
        supported.block_weight_device,
        weights,
        warnings,
        "Your kernel does not support Block I/O weight_device or the cgroup is not mounted. \
         Weight-device discarded.",
    );
    for (list, limit, short) in [
        (&mut host.blkio_device_read_bps, "BPS Block I/O read limit", "BPS read limit"),
        (&mut host.blkio_device_write_bps, "BPS Block I/O write limit", "BPS write limit"),
        (&mut host.blkio_device_read_iops, "IOPS Block read limit", "IOPS read limit"),
        (&mut host.blkio_device_write_iops, "IOPS Block write limit", "IOPS write limit"),
    ] {
        *list = list.take().filter(|list| !list.is_empty());
        drop_unless(
            supported.block_throttle,
            list,
            warnings,
            &format!(
                "Your kernel does not support {limit} or the cgroup is not mounted. Block I/O \
                 {short} discarded."
            ),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests;
