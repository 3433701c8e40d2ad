//! Which limits the host's cgroups can keep.

use std::fs;
use std::path::Path;

use hull_model::cpu::CpuSet;
use hull_model::limits::Supported;

use super::CgroupMount;
use crate::cgroup::Hierarchy;

/// Looks at the files of the hierarchies' roots.
pub(super) fn supported(cgroups: &[CgroupMount]) -> Supported {
    let v1 = |controller: &str| {
        cgroups.iter().find(|one| {
            matches!(&one.hierarchy, Hierarchy::V1(names) if names.iter().any(|n| n == controller))
        })
    };
    let unified = cgroups.iter().find(|one| one.hierarchy == Hierarchy::V2);
    let v2 = |controller: &str| {
        unified.filter(|one| one.controllers.iter().any(|name| name == controller))
    };
    let file = |controller: &str, file: &str| {
        v1(controller).is_some_and(|one| one.mount.join(file).exists())
    };
    // Which limits of v2 there are does not show in its root, whose files are others.
    let either = |old: &str, name: &str, new: &str| file(old, name) || v2(new).is_some();
    let sets = v1("cpuset").is_some() || v2("cpuset").is_some();
    let set = |path: &str| online(path).filter(|_| sets);
    let throttle = either("blkio", "blkio.throttle.read_bps_device", "io");
    let weight = file("blkio", "blkio.weight")
        // Not in the root either, but others of the same scheduler are.
        || file("blkio", "blkio.bfq.io_service_bytes")
        || v2("io").is_some_and(|one| one.mount.join("io.cost.qos").exists() || has_bfq());
    Supported {
        memory: either("memory", "memory.limit_in_bytes", "memory"),
        swap: file("memory", "memory.memsw.limit_in_bytes")
            || (v2("memory").is_some() && Path::new("/proc/swaps").exists()),
        reservation: either("memory", "memory.soft_limit_in_bytes", "memory"),
        swappiness: file("memory", "memory.swappiness"),
        kernel_tcp: file("memory", "memory.kmem.tcp.limit_in_bytes"),
        oom_kill_disable: file("memory", "memory.oom_control"),
        pids: v1("pids").is_some() || v2("pids").is_some(),
        cpu_shares: either("cpu", "cpu.shares", "cpu"),
        cpu_quota: either("cpu", "cpu.cfs_quota_us", "cpu"),
        cpu_realtime: file("cpu", "cpu.rt_runtime_us"),
        cpus: set("/sys/devices/system/cpu/online"),
        mems: set("/sys/devices/system/node/online"),
        block_weight: weight,
        block_weight_device: weight,
        block_throttle: throttle,
    }
}

/// A kernel without memory nodes has no list of them, and one node.
fn online(path: &str) -> Option<CpuSet> {
    let text = fs::read_to_string(path).unwrap_or_else(|_no_such_list| "0".to_owned());
    text.trim().parse().ok()
}

fn has_bfq() -> bool {
    let disks = fs::read_dir("/sys/block").into_iter().flatten().flatten();
    disks.into_iter().any(|disk| {
        let schedulers = fs::read_to_string(disk.path().join("queue/scheduler"));
        schedulers.is_ok_and(|names| names.contains("bfq"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(dir: &Path, hierarchy: Hierarchy, controllers: &[&str]) -> CgroupMount {
        CgroupMount {
            mount: dir.to_owned(),
            hierarchy,
            controllers: controllers.iter().map(|&name| name.to_owned()).collect(),
            links: Vec::new(),
        }
    }

    #[test]
    fn files_of_v1_and_controllers_of_v2_tell() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(supported(&[]), Supported::default());
        let v1 = || Hierarchy::V1(vec!["memory".to_owned(), "cpu".to_owned()]);
        let bare = supported(&[mount(dir.path(), v1(), &[])]);
        assert!(!bare.memory && !bare.swap && !bare.cpu_shares && bare.cpus.is_none());
        for file in
            ["memory.limit_in_bytes", "memory.swappiness", "cpu.shares", "cpu.rt_runtime_us"]
        {
            fs::write(dir.path().join(file), "").unwrap();
        }
        let old = supported(&[mount(dir.path(), v1(), &[])]);
        assert!(old.memory && old.swappiness && old.cpu_shares && old.cpu_realtime);
        assert!(!old.swap && !old.cpu_quota && !old.block_throttle);
        let controllers = ["memory", "cpu", "cpuset", "io", "pids"];
        let new = supported(&[mount(dir.path(), Hierarchy::V2, &controllers)]);
        assert!(new.memory && new.reservation && new.cpu_quota && new.pids && new.block_throttle);
        assert!(!new.swappiness && !new.oom_kill_disable && !new.cpu_realtime && !new.kernel_tcp);
        assert!(new.cpus.is_some() && new.mems.is_some());
    }
}
