//! Limits as files of both generations of cgroups, as tables.

use hull_model::block::{Block, DeviceWeight, Disk, Throttle, Weight};
use hull_model::bytes::Bytes;
use hull_model::cpu::{Cpu, Shares};
use hull_model::limits::{Max, Rdma};
use hull_model::memory::Memory;

use super::*;

fn host(v1: &[&str], v2: &[&str]) -> HostFacts {
    let one = |name: &str, hierarchy, controllers: &[&str]| CgroupMount {
        mount: Path::new("/sys/fs/cgroup").join(name),
        hierarchy,
        controllers: controllers.iter().map(|&name| name.to_owned()).collect(),
        links: Vec::new(),
    };
    let names = |names: &str| Hierarchy::V1(names.split(',').map(str::to_owned).collect());
    let mut cgroups: Vec<_> = v1.iter().map(|text| one(text, names(text), &[])).collect();
    cgroups.push(one(if v1.is_empty() { "" } else { "unified" }, Hierarchy::V2, v2));
    HostFacts { cgroups, ..HostFacts::default() }
}

fn old() -> HostFacts {
    host(&["memory", "cpu,cpuacct", "cpuset", "pids", "devices", "blkio"], &[])
}

fn new() -> HostFacts {
    host(&[], &["cpu", "cpuset", "io", "memory", "pids", "hugetlb", "rdma", "misc"])
}

fn common() -> Limits {
    Limits {
        memory: Memory {
            reservation: Some(Max::At(32 << 20)),
            ..Memory::new(Bytes::mib(64), Max::At(64 << 20))
        },
        cpu: Cpu {
            shares: Some(Shares::new(1_024)),
            quota_us: Some(Max::At(50_000)),
            period_us: Some(100_000),
            burst_us: Some(10_000),
            cpus: Some("0-1".parse().unwrap()),
            mems: Some("0".parse().unwrap()),
            ..Cpu::default()
        },
        pids: Some(Max::At(100)),
        block: Block {
            weight: Weight::new(500),
            devices: vec![DeviceWeight {
                disk: Disk::Number { major: 8, minor: 0 },
                weight: Weight::new(300),
                leaf_weight: None,
            }],
            read_bps: throttle(1_048_576),
            write_bps: throttle(0),
            read_iops: throttle(100),
            write_iops: throttle(200),
            ..Block::default()
        },
        ..Limits::default()
    }
}

fn throttle(rate: u64) -> Vec<Throttle> {
    vec![Throttle { disk: Disk::Number { major: 8, minor: 0 }, rate }]
}

fn lines(limits: &Limits, host: &HostFacts) -> Vec<String> {
    match super::limits(limits, Path::new("hull/x"), host) {
        Ok(cgroup) => text(&cgroup),
        Err(error) => vec![error.to_string()],
    }
}

fn text(cgroup: &Cgroup) -> Vec<String> {
    let show = |one: &Directory| {
        let at = one.full().strip_prefix("/sys/fs/cgroup").unwrap().to_owned();
        let line = |write: &Write| {
            let or = match &write.missing {
                Missing::Instead(other) => format!(" or {}={}", other.file, other.value),
                Missing::Fail | Missing::Ignore => String::new(),
            };
            format!("{}/{}={}{or}", at.display(), write.file, write.value)
        };
        one.writes.iter().map(line).collect::<Vec<_>>()
    };
    cgroup.directories.iter().flat_map(show).collect()
}

#[test]
fn v1_spreads_limits_over_the_hierarchies() {
    assert_eq!(
        lines(&common(), &old()),
        [
            "memory/hull/x/memory.limit_in_bytes=67108864",
            "memory/hull/x/memory.memsw.limit_in_bytes=134217728",
            "memory/hull/x/memory.soft_limit_in_bytes=33554432",
            "cpu,cpuacct/hull/x/cpu.shares=1024",
            "cpu,cpuacct/hull/x/cpu.cfs_period_us=100000",
            "cpu,cpuacct/hull/x/cpu.cfs_quota_us=50000",
            "cpu,cpuacct/hull/x/cpu.cfs_burst_us=10000",
            "cpuset/hull/x/cpuset.cpus=0-1",
            "cpuset/hull/x/cpuset.mems=0",
            "pids/hull/x/pids.max=100",
            "blkio/hull/x/blkio.weight=500 or blkio.bfq.weight=500",
            "blkio/hull/x/blkio.weight_device=8:0 300 or blkio.bfq.weight_device=8:0 300",
            "blkio/hull/x/blkio.throttle.read_bps_device=8:0 1048576",
            "blkio/hull/x/blkio.throttle.write_bps_device=8:0 0",
            "blkio/hull/x/blkio.throttle.read_iops_device=8:0 100",
            "blkio/hull/x/blkio.throttle.write_iops_device=8:0 200",
        ]
    );
}

#[test]
fn v2_has_one_directory_and_delegated_controllers() {
    assert_eq!(
        lines(&common(), &new()),
        [
            "hull/x/memory.max=67108864",
            "hull/x/memory.swap.max=67108864",
            "hull/x/memory.low=33554432",
            "hull/x/cpu.weight=100",
            "hull/x/cpu.max=50000 100000",
            "hull/x/cpu.max.burst=10000",
            "hull/x/cpuset.cpus=0-1",
            "hull/x/cpuset.mems=0",
            "hull/x/pids.max=100",
            "hull/x/io.bfq.weight=500 or io.weight=default 4950",
            "hull/x/io.bfq.weight=8:0 300 or io.weight=8:0 2930",
            "hull/x/io.max=8:0 rbps=1048576",
            "hull/x/io.max=8:0 wbps=max",
            "hull/x/io.max=8:0 riops=100",
            "hull/x/io.max=8:0 wiops=200",
        ]
    );
    let cgroup = cgroup(Path::new("hull/x"), &new());
    let enabled: Vec<_> =
        cgroup.directories[0].parents.iter().map(|write| write.value.as_str()).collect();
    assert_eq!(enabled, ["+cpu", "+cpuset", "+hugetlb", "+io", "+memory", "+pids", "+rdma"]);
}

#[test]
fn what_only_one_generation_has_is_written_there_and_refused_elsewhere() {
    let with = |change: fn(&mut Limits)| {
        let mut limits = Limits::default();
        change(&mut limits);
        (lines(&limits, &old()).join(" "), lines(&limits, &new()).join(" "))
    };
    let refused = |(v1, v2): (String, String), file: &str| {
        assert_eq!(v1, file);
        assert!(v2.starts_with("not supported by this kernel: "), "{v2}");
    };
    refused(with(|l| l.memory.swappiness = Some(7)), "memory/hull/x/memory.swappiness=7");
    refused(with(|l| l.memory.oom_kill_disabled = true), "memory/hull/x/memory.oom_control=1");
    refused(
        with(|l| l.memory.kernel_tcp = Some(Max::At(4_096))),
        "memory/hull/x/memory.kmem.tcp.limit_in_bytes=4096",
    );
    refused(
        with(|l| l.cpu.realtime_runtime_us = Some(950)),
        "cpu,cpuacct/hull/x/cpu.rt_runtime_us=950",
    );
    refused(with(|l| l.block.leaf_weight = Weight::new(10)), "blkio/hull/x/blkio.leaf_weight=10");
    let (v1, v2) = with(|l| {
        l.huge_pages.insert("2MB".to_owned(), Max::At(1 << 21));
    });
    assert!(v1.contains("hugetlb controller, which is not mounted"), "{v1}");
    assert_eq!(v2, "hull/x/hugetlb.2MB.max=2097152 hull/x/hugetlb.2MB.rsvd.max=2097152");
    let (v1, v2) = with(|l| {
        let rdma = Rdma { handles: Some(Max::At(3)), objects: Some(Max::Unlimited) };
        l.rdma.insert("mlx5_1".to_owned(), rdma);
    });
    assert!(v1.contains("rdma controller, which is not mounted"), "{v1}");
    assert_eq!(v2, "hull/x/rdma.max=mlx5_1 hca_handle=3 hca_object=max");
    let (v1, v2) = with(|l| l.marks.class = Some(0x10_0001));
    for text in [v1, v2] {
        assert!(text.contains("net_cls and net_prio controllers"), "{text}");
    }
    let marked = host(&["net_cls,net_prio"], &[]);
    let mut limits = Limits::default();
    limits.marks.class = Some(1);
    limits.marks.priorities.insert("eth0".to_owned(), 5);
    let at = "net_cls,net_prio/hull/x";
    assert_eq!(
        lines(&limits, &marked),
        [format!("{at}/net_cls.classid=1"), format!("{at}/net_prio.ifpriomap=eth0 5")]
    );
}

#[test]
fn no_limit_is_written_too_so_that_an_update_can_raise_to_it() {
    let mut limits = Limits::default();
    limits.memory.max = Some(Max::Unlimited);
    limits.memory.swap = Some(Max::Unlimited);
    limits.cpu.quota_us = Some(Max::Unlimited);
    limits.pids = Some(Max::Unlimited);
    assert_eq!(
        lines(&limits, &old()),
        [
            "memory/hull/x/memory.limit_in_bytes=-1",
            "memory/hull/x/memory.memsw.limit_in_bytes=-1",
            "cpu,cpuacct/hull/x/cpu.cfs_quota_us=-1",
            "pids/hull/x/pids.max=max",
        ]
    );
    assert_eq!(
        lines(&limits, &new()),
        [
            "hull/x/memory.max=max",
            "hull/x/memory.swap.max=max",
            "hull/x/cpu.max=max 100000",
            "hull/x/pids.max=max",
        ]
    );
    // Where nothing can limit, no limit is what there is.
    let bare = host(&["memory"], &[]);
    limits.memory = Memory::default();
    limits.cpu = Cpu::default();
    assert_eq!(lines(&limits, &bare), [] as [&str; 0]);
    limits.pids = Some(Max::At(1));
    assert!(lines(&limits, &bare)[0].contains("pids controller, which is not mounted"));
}

#[test]
fn files_of_v2_can_be_named_but_lead_nowhere_else() {
    let unified = |file: &str, value: &str, host: &HostFacts| {
        let mut limits = Limits::default();
        limits.unified.insert(file.to_owned(), value.to_owned());
        lines(&limits, host)
    };
    assert_eq!(
        unified("io.max", "8:0 rbps=1\n8:16 rbps=2\n", &new()),
        ["hull/x/io.max=8:0 rbps=1", "hull/x/io.max=8:16 rbps=2"]
    );
    assert_eq!(unified("memory.high", "1", &new()), ["hull/x/memory.high=1"]);
    for bad in ["../memory.max", "memory/max", "", "nothing", "cgroup.kill", "cgroup.procs", "a\nb"]
    {
        assert!(unified(bad, "1", &new())[0].starts_with("invalid unified"), "{bad:?}");
    }
    for host in [old(), new()] {
        let refused = unified("dmem.max", "1", &host);
        assert!(refused[0].contains("unified dmem.max needs cgroup v2"), "{refused:?}");
    }
}

#[test]
fn names_of_pages_and_devices_are_single_words() {
    for bad in ["", "../2MB", "2 MB", "2MB\n"] {
        let mut limits = Limits::default();
        limits.huge_pages.insert(bad.to_owned(), Max::At(1));
        assert!(lines(&limits, &new())[0].starts_with("invalid huge page size"), "{bad:?}");
        let mut limits = Limits::default();
        limits.rdma.insert(bad.to_owned(), Rdma::default());
        assert!(lines(&limits, &new())[0].starts_with("invalid RDMA device"), "{bad:?}");
    }
    let mut limits = Limits::default();
    limits.block.read_bps = vec![Throttle { disk: Disk::Path("/dev/sda".into()), rate: 1 }];
    assert_eq!(lines(&limits, &old()), ["block device /dev/sda was not looked up"]);
}

#[test]
fn devices_are_filtered_once_unless_privileged() {
    let path = Path::new("hull/x");
    let none = Limits::default();
    let filters = |rules: Option<&[DeviceRule]>, host: &HostFacts| {
        let cgroup = guest(&none, rules, path, host).unwrap();
        let v1 = text(&cgroup).iter().filter(|line| line.contains("devices.")).count();
        let v2 = cgroup.directories.iter().filter(|one| !one.devices.is_empty()).count();
        (v1, v2)
    };
    let rules = crate::plan::device_rules::all(&[], &[]);
    assert_eq!(filters(Some(&rules), &old()), (12, 0));
    assert_eq!(filters(Some(&rules), &new()), (0, 1));
    assert_eq!(filters(None, &old()), (0, 0));
    assert_eq!(filters(None, &new()), (0, 0));
}

#[test]
fn memory_in_use_can_be_kept() {
    let mut limits = common();
    limits.memory.keep_used = true;
    let kept = |host: &HostFacts| {
        let cgroup = super::limits(&limits, Path::new("x"), host).unwrap();
        cgroup.directories.into_iter().find_map(|one| one.keep_used)
    };
    assert_eq!(kept(&old()), Some(("memory.usage_in_bytes".to_owned(), 64 << 20)));
    assert_eq!(kept(&new()), Some(("memory.current".to_owned(), 64 << 20)));
}
