//! Limits as the files of cgroups, v1 and v2 side by side.

use std::path::{Path, PathBuf};

use hull_model::cpu::Cpu;
use hull_model::limits::Limits;
use hull_model::memory::{Memory, Swap};

use super::device_program;
use crate::cgroup::{Cgroup, Directory, Hierarchy, Missing, Write};
use crate::host::{CgroupMount, GrantedDevice, HostFacts};

/// v2 controllers that are handed down to guests where the host has them.
const DELEGATED: [&str; 5] = ["cpu", "cpuset", "io", "memory", "pids"];

/// The guest's cgroup at `path` (relative to each mount), with `limits` and, unless privileged,
/// a filter that lets it use the usual devices and those `granted`.
pub(super) fn guest(
    limits: &Limits,
    granted: Option<&[GrantedDevice]>,
    path: &Path,
    host: &HostFacts,
) -> Cgroup {
    let mut cgroup = self::limits(limits, path, host);
    let Some(granted) = granted else { return cgroup };
    let v1_filter = cgroup.v1("devices").is_some();
    for directory in &mut cgroup.directories {
        match directory.hierarchy {
            Hierarchy::V1(_) if directory.has("devices") => {
                let write = |file: &str, value| Write {
                    file: file.to_owned(),
                    value,
                    missing: Missing::Fail,
                };
                directory.writes.push(write("devices.deny", "a".to_owned()));
                let allowed = device_program::v1(granted).into_iter();
                directory.writes.extend(allowed.map(|line| write("devices.allow", line)));
            }
            Hierarchy::V2 if !v1_filter => directory.devices = device_program::v2(granted),
            Hierarchy::V1(_) | Hierarchy::V2 => {}
        }
    }
    cgroup
}

/// The guest's cgroup at `path` with nothing but `limits`: also what an update writes.
pub fn limits(limits: &Limits, path: &Path, host: &HostFacts) -> Cgroup {
    let directories = host.cgroups.iter().map(|one| directory(limits, path, one)).collect();
    Cgroup { directories }
}

fn directory(limits: &Limits, path: &Path, one: &CgroupMount) -> Directory {
    let mut directory = Directory {
        mount: one.mount.clone(),
        path: PathBuf::from(path),
        hierarchy: one.hierarchy.clone(),
        parents: Vec::new(),
        inherit: Vec::new(),
        writes: Vec::new(),
        devices: Vec::new(),
    };
    let mut files = Files(&mut directory.writes);
    match &one.hierarchy {
        Hierarchy::V1(names) => {
            for name in names {
                match name.as_str() {
                    "memory" => files.memory_v1(limits),
                    "cpu" => files.cpu_v1(&limits.cpu),
                    "cpuset" => files.cpuset(&limits.cpu),
                    "pids" => files.pids(limits),
                    _ => {}
                }
            }
            if names.iter().any(|name| name == "cpuset") {
                directory.inherit = vec!["cpuset.cpus".to_owned(), "cpuset.mems".to_owned()];
            }
        }
        Hierarchy::V2 => {
            let has = |name: &&str| one.controllers.iter().any(|known| known == name);
            for name in DELEGATED.iter().filter(|name| has(name)) {
                match *name {
                    "memory" => files.memory_v2(limits),
                    "cpu" => files.cpu_v2(&limits.cpu),
                    "cpuset" => files.cpuset(&limits.cpu),
                    "pids" => files.pids(limits),
                    _ => {}
                }
                directory.parents.push(Write {
                    file: "cgroup.subtree_control".to_owned(),
                    value: format!("+{name}"),
                    missing: Missing::Fail,
                });
            }
        }
    }
    directory
}

struct Files<'a>(&'a mut Vec<Write>);

/// A number or a text as a file takes it.
struct Value(String);

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self(number.to_string())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl Files<'_> {
    fn must(&mut self, file: &str, value: impl Into<Value>) {
        let (file, value) = (file.to_owned(), value.into().0);
        self.0.push(Write { file, value, missing: Missing::Fail });
    }

    fn may(&mut self, file: &str, value: impl Into<Value>) {
        let (file, value) = (file.to_owned(), value.into().0);
        self.0.push(Write { file, value, missing: Missing::Ignore });
    }

    fn memory_v1(&mut self, limits: &Limits) {
        if let Some(memory) = &limits.memory {
            self.must("memory.limit_in_bytes", memory.max().get());
            // Memory and swap together; the kernel wants it no smaller than memory, so it is second.
            self.may("memory.memsw.limit_in_bytes", with_swap(memory));
            if let Some(reservation) = memory.reservation() {
                self.must("memory.soft_limit_in_bytes", reservation.get());
            }
        }
        if limits.oom_kill_disabled {
            self.must("memory.oom_control", 1_u64);
        }
    }

    fn memory_v2(&mut self, limits: &Limits) {
        let Some(memory) = &limits.memory else { return };
        self.must("memory.max", memory.max().get());
        match memory.swap() {
            Swap::UpTo(bytes) => self.may("memory.swap.max", bytes.get()),
            Swap::Unlimited => self.may("memory.swap.max", "max".to_owned()),
        }
        if let Some(reservation) = memory.reservation() {
            self.must("memory.low", reservation.get());
        }
    }

    fn cpu_v1(&mut self, cpu: &Cpu) {
        if let Some(shares) = cpu.shares {
            self.must("cpu.shares", shares.get());
        }
        if let Some(quota) = cpu.quota {
            self.must("cpu.cfs_period_us", quota.period_us());
            self.must("cpu.cfs_quota_us", quota.quota_us());
        }
    }

    fn cpu_v2(&mut self, cpu: &Cpu) {
        if let Some(shares) = cpu.shares {
            // 2 – 262,144 to 1 – 10,000, as runc and crun convert (runc `ConvertCPUSharesToCgroupV2Value`).
            self.must("cpu.weight", 1 + (shares.get() - 2) * 9_999 / 262_142);
        }
        if let Some(quota) = cpu.quota {
            self.must("cpu.max", format!("{} {}", quota.quota_us(), quota.period_us()));
        }
    }

    fn cpuset(&mut self, cpu: &Cpu) {
        if let Some(cpus) = &cpu.cpus {
            self.must("cpuset.cpus", cpus.to_string());
        }
        if let Some(mems) = &cpu.mems {
            self.must("cpuset.mems", mems.to_string());
        }
    }

    fn pids(&mut self, limits: &Limits) {
        if let Some(pids) = limits.pids {
            self.must("pids.max", pids.get());
        }
    }
}

fn with_swap(memory: &Memory) -> String {
    match memory.swap() {
        Swap::UpTo(swap) => {
            memory.max().checked_add(swap).map_or("-1".to_owned(), |sum| sum.get().to_string())
        }
        Swap::Unlimited => "-1".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use hull_model::bytes::Bytes;
    use hull_model::cpu::{Quota, Shares};
    use hull_model::limits::Pids;

    use super::*;

    fn host(v2: bool) -> HostFacts {
        let one = |name: &str, hierarchy, controllers: &[&str]| CgroupMount {
            mount: Path::new("/sys/fs/cgroup").join(name),
            hierarchy,
            controllers: controllers.iter().map(|&name| name.to_owned()).collect(),
            links: Vec::new(),
        };
        let v1 = |names: &str| {
            one(names, Hierarchy::V1(names.split(',').map(str::to_owned).collect()), &[])
        };
        let cgroups = if v2 {
            vec![one("", Hierarchy::V2, &["cpu", "cpuset", "memory", "pids", "hugetlb"])]
        } else {
            let mut all: Vec<_> =
                ["memory", "cpu,cpuacct", "cpuset", "pids", "devices"].map(v1).into();
            all.push(one("unified", Hierarchy::V2, &[]));
            all
        };
        HostFacts { cgroups, ..HostFacts::default() }
    }

    fn full() -> Limits {
        let memory = Memory::new(Bytes::mib(64), Swap::UpTo(Bytes::mib(64))).unwrap();
        Limits {
            memory: Some(memory.with_reservation(Bytes::mib(32)).unwrap()),
            cpu: Cpu {
                shares: Some(Shares::new(1_024)),
                quota: Some(Quota::new(50_000, 100_000).unwrap()),
                cpus: Some("0-1".parse().unwrap()),
                mems: None,
            },
            pids: Pids::new(100),
            ..Limits::default()
        }
    }

    fn text(cgroup: &Cgroup) -> Vec<String> {
        let lines = |one: &Directory| {
            let at = one.full();
            let line = |write: &Write| format!("{}/{}={}", at.display(), write.file, write.value);
            one.writes.iter().map(line).collect::<Vec<_>>()
        };
        cgroup.directories.iter().flat_map(lines).collect()
    }

    #[test]
    fn v1_spreads_limits_over_the_hierarchies() {
        let lines = text(&limits(&full(), Path::new("hull/x"), &host(false)));
        assert_eq!(
            lines,
            [
                "/sys/fs/cgroup/memory/hull/x/memory.limit_in_bytes=67108864",
                "/sys/fs/cgroup/memory/hull/x/memory.memsw.limit_in_bytes=134217728",
                "/sys/fs/cgroup/memory/hull/x/memory.soft_limit_in_bytes=33554432",
                "/sys/fs/cgroup/cpu,cpuacct/hull/x/cpu.shares=1024",
                "/sys/fs/cgroup/cpu,cpuacct/hull/x/cpu.cfs_period_us=100000",
                "/sys/fs/cgroup/cpu,cpuacct/hull/x/cpu.cfs_quota_us=50000",
                "/sys/fs/cgroup/cpuset/hull/x/cpuset.cpus=0-1",
                "/sys/fs/cgroup/pids/hull/x/pids.max=100",
            ]
        );
    }

    #[test]
    fn v2_has_one_directory_and_delegated_controllers() {
        let cgroup = limits(&full(), Path::new("hull/x"), &host(true));
        assert_eq!(
            text(&cgroup),
            [
                "/sys/fs/cgroup/hull/x/cpu.weight=39",
                "/sys/fs/cgroup/hull/x/cpu.max=50000 100000",
                "/sys/fs/cgroup/hull/x/cpuset.cpus=0-1",
                "/sys/fs/cgroup/hull/x/memory.max=67108864",
                "/sys/fs/cgroup/hull/x/memory.swap.max=67108864",
                "/sys/fs/cgroup/hull/x/memory.low=33554432",
                "/sys/fs/cgroup/hull/x/pids.max=100",
            ]
        );
        let enabled: Vec<_> =
            cgroup.directories[0].parents.iter().map(|write| write.value.as_str()).collect();
        assert_eq!(enabled, ["+cpu", "+cpuset", "+memory", "+pids"]);
    }

    #[test]
    fn devices_are_filtered_once_unless_privileged() {
        let path = Path::new("hull/x");
        let none = Limits::default();
        let filters = |cgroup: &Cgroup| {
            let v1 = text(cgroup).iter().filter(|line| line.contains("devices.")).count();
            let v2 = cgroup.directories.iter().filter(|one| !one.devices.is_empty()).count();
            (v1, v2)
        };
        assert_eq!(filters(&guest(&none, Some(&[]), path, &host(false))), (12, 0));
        assert_eq!(filters(&guest(&none, Some(&[]), path, &host(true))), (0, 1));
        assert_eq!(filters(&guest(&none, None, path, &host(true))), (0, 0));
        assert_eq!(filters(&guest(&none, None, path, &host(false))), (0, 0));
    }
}
