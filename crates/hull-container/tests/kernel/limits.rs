//! Limits in effect.

use std::path::Path;
use std::time::Duration;

use hull_container::cgroup::{Missing, Write};
use hull_model::block::{Disk, Throttle, Weight};
use hull_model::bytes::Bytes;
use hull_model::cpu::Shares;
use hull_model::limits::Max;
use hull_model::memory::Memory;

use crate::Test;
use crate::fixture::Guest;

pub(crate) const TESTS: &[Test] = &[
    ("memory_is_limited_and_kills_are_counted", memory_is_limited),
    ("processes_are_limited", processes_are_limited),
    ("processors_are_limited_and_limits_change", processors_are_limited),
    ("a_guest_can_be_frozen", a_guest_can_be_frozen),
    ("every_limit_reaches_its_file", every_limit_reaches_its_file),
    ("an_update_is_all_or_nothing", an_update_is_all_or_nothing),
    ("cgroups_of_any_depth_are_removed", cgroups_of_any_depth_are_removed),
];

fn memory_is_limited() {
    let mut guest = Guest::new();
    guest.spec.limits.memory = Memory::new(Bytes::mib(24), Max::At(0));
    guest.shell("dd if=/dev/zero of=/dev/null bs=64M count=1");
    let live = guest.start().unwrap();
    let cgroup = live.plan.cgroup.clone();
    assert_eq!(cgroup.stats().memory_max_bytes, Some(24 << 20));
    let status = crate::fixture::wait(&live.running);
    assert_ne!(status, 0);
    assert!(cgroup.oom_kills() > 0);
}

fn processes_are_limited() {
    let mut guest = Guest::new();
    guest.spec.limits.pids = Some(Max::At(4));
    let script = "for i in 1 2 3 4 5 6; do sleep 2 & done; echo all";
    let out = guest.shell(script).run().unwrap();
    assert!(!out.output.contains("all") || out.output.contains("can't fork"), "{out:?}");
}

fn processors_are_limited() {
    let mut guest = Guest::new();
    guest.spec.limits.cpu.quota_us = Some(Max::At(20_000));
    guest.shell("i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; sleep 20");
    let live = guest.start().unwrap();
    std::thread::sleep(Duration::from_millis(500));
    let stats = live.plan.cgroup.stats();
    assert!(stats.cpu_throttled_periods.is_some_and(|count| count > 0), "{stats:?}");
    assert!(stats.cpu_total_ns.is_some_and(|ns| ns < 400_000_000), "{stats:?}");
    let mut limits = guest.spec.limits.clone();
    limits.pids = Some(Max::At(77));
    let path = &live.plan.cgroup.directories[0].path;
    // Up and down: of memory and memory with swap, one must come first each time.
    for (max, swap) in [(64, 64), (32, 0), (128, 256), (48, 16)] {
        limits.memory = Memory::new(Bytes::mib(max), Max::At(swap << 20));
        hull_container::plan::limits(&limits, path, &guest.host).unwrap().update().unwrap();
        assert_eq!(live.plan.cgroup.stats().memory_max_bytes, Some(max << 20));
    }
    let stats = live.plan.cgroup.stats();
    assert_eq!((stats.pids_max, stats.memory_max_bytes), (Some(77), Some(48 << 20)));
}

fn a_guest_can_be_frozen() {
    let mut guest = Guest::new();
    guest.shell("while :; do :; done");
    let live = guest.start().unwrap();
    let cgroup = &live.plan.cgroup;
    let used = || cgroup.stats().cpu_total_ns.unwrap();
    cgroup.freeze(Duration::from_secs(5)).unwrap();
    let before = used();
    std::thread::sleep(Duration::from_millis(100));
    assert!(used() - before < 20_000_000);
    cgroup.thaw(Duration::from_secs(5)).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    assert!(used() - before > 20_000_000);
    // A frozen guest can still be taken away.
    cgroup.freeze(Duration::from_secs(5)).unwrap();
    drop(live);
    assert!(guest.cgroups_left().is_empty());
}

/// Whether a write was understood: what the file says afterwards.
fn in_force(directory: &Path, write: &Write) -> Option<bool> {
    let write = match &write.missing {
        Missing::Instead(other) if !directory.join(&write.file).exists() => other,
        Missing::Instead(_) | Missing::Fail | Missing::Ignore => write,
    };
    let text = std::fs::read_to_string(directory.join(&write.file)).ok()?;
    // These say more than what is written, or only show a part of it.
    if write.file.starts_with("devices.") || write.file == "memory.oom_control" {
        return None;
    }
    let words =
        |text: &str| -> Vec<String> { text.split([' ', '\n']).map(str::to_owned).collect() };
    let shown = words(&text);
    Some(words(&write.value).iter().all(|word| shown.contains(word)))
}

fn every_limit_reaches_its_file() {
    let mut guest = Guest::new();
    let limits = &mut guest.spec.limits;
    limits.memory = Memory::new(Bytes::mib(64), Max::At(16 << 20));
    limits.memory.reservation = Some(Max::At(32 << 20));
    limits.cpu.shares = Some(Shares::new(512));
    limits.cpu.quota_us = Some(Max::At(25_000));
    limits.cpu.period_us = Some(50_000);
    limits.cpu.burst_us = Some(5_000);
    limits.cpu.cpus = Some("0".parse().unwrap());
    limits.cpu.mems = Some("0".parse().unwrap());
    limits.pids = Some(Max::At(50));
    let supported = &guest.host.limits;
    if supported.swappiness {
        limits.memory.swappiness = Some(7);
        limits.memory.kernel_tcp = Some(Max::At(1 << 20));
        limits.memory.oom_kill_disabled = true;
    }
    match disk().filter(|_| supported.block_throttle) {
        Some(disk) => {
            let throttle = |rate| vec![Throttle { disk: disk.clone(), rate }];
            limits.block.read_bps = throttle(1 << 20);
            limits.block.write_bps = throttle(2 << 20);
            limits.block.read_iops = throttle(100);
            limits.block.write_iops = throttle(200);
        }
        None => println!("skipped the throttles: no block device, or no controller for them"),
    }
    if supported.block_weight {
        limits.block.weight = Weight::new(300);
    }
    guest.shell("sleep 20");
    let live = guest.start().unwrap();
    let mut seen = 0;
    for directory in &live.plan.cgroup.directories {
        for write in &directory.writes {
            if let Some(in_force) = in_force(&directory.full(), write) {
                assert!(in_force, "{write:?}");
                seen += 1;
            }
        }
    }
    assert!(seen >= 9, "{seen}");
    // Idle groups have no weight of their own, and a group is idle or it is not.
    let mut idle = hull_model::limits::Limits::default();
    idle.cpu.idle = Some(true);
    let path = &live.plan.cgroup.directories[0].path;
    let idle = hull_container::plan::limits(&idle, path, &guest.host).unwrap();
    idle.update().unwrap();
    let (at, write) =
        idle.directories.iter().find_map(|one| Some((one.full(), one.writes.first()?))).unwrap();
    assert_eq!(in_force(&at, write), Some(true));
}

/// The first block device of the host.
fn disk() -> Option<Disk> {
    std::fs::read_dir("/sys/block").ok()?.flatten().find_map(|entry| {
        let text = std::fs::read_to_string(entry.path().join("dev")).ok()?;
        let (major, minor) = text.trim().split_once(':')?;
        Some(Disk::Number { major: major.parse().ok()?, minor: minor.parse().ok()? })
    })
}

fn an_update_is_all_or_nothing() {
    let mut guest = Guest::new();
    guest.spec.limits.memory = Memory::new(Bytes::mib(64), Max::At(0));
    guest.spec.limits.pids = Some(Max::At(50));
    guest.shell("sleep 20");
    let live = guest.start().unwrap();
    let path = &live.plan.cgroup.directories[0].path;
    let plan = |change: &dyn Fn(&mut hull_model::limits::Limits)| {
        let mut limits = hull_model::limits::Limits {
            memory: Memory::new(Bytes::mib(128), Max::At(0)),
            pids: Some(Max::At(9)),
            ..Default::default()
        };
        change(&mut limits);
        hull_container::plan::limits(&limits, path, &guest.host).unwrap()
    };
    let now = || {
        let stats = live.plan.cgroup.stats();
        (stats.memory_max_bytes, stats.pids_max)
    };
    // No such processor; refused by the kernel after memory was written.
    let refused = plan(&|limits| limits.cpu.cpus = Some("4095".parse().unwrap()));
    let error = refused.update().unwrap_err();
    assert!(error.to_string().contains("cpuset.cpus"), "{error}");
    assert_eq!(now(), (Some(64 << 20), Some(50)));
    // In use, and wanted to be kept.
    let kept = plan(&|limits| {
        limits.memory.max = Some(Max::At(4_096));
        limits.memory.keep_used = true;
    });
    let error = kept.update().unwrap_err();
    assert!(error.to_string().contains("more than the new limit"), "{error}");
    assert_eq!(now(), (Some(64 << 20), Some(50)));
    let changed = plan(&|_| {}).update().unwrap();
    assert_eq!(now(), (Some(128 << 20), Some(9)));
    changed.undo();
    assert_eq!(now(), (Some(64 << 20), Some(50)));
}

fn cgroups_of_any_depth_are_removed() {
    let mut guest = Guest::new();
    guest.shell("sleep 20");
    let live = guest.start().unwrap();
    let cgroup = live.plan.cgroup.clone();
    let top = cgroup.directories.iter().find(|one| one.has("pids")).or_else(|| cgroup.unified());
    let mut at = top.unwrap().full();
    for _ in 0..120 {
        at.push("d");
        std::fs::create_dir(&at).unwrap();
        std::fs::create_dir(at.with_file_name("beside")).unwrap();
    }
    // At the bottom, where a walk of limited depth would not look.
    #[expect(clippy::disallowed_methods, reason = "a process to be found and killed, nothing more")]
    let mut child = std::process::Command::new("sleep").arg("20").spawn().unwrap();
    std::fs::write(at.join("cgroup.procs"), child.id().to_string()).unwrap();
    assert!(
        cgroup
            .processes()
            .unwrap()
            .iter()
            .any(|pid| { u32::try_from(pid.as_raw_nonzero().get()).unwrap() == child.id() })
    );
    let reaper = std::thread::spawn(move || child.wait().unwrap());
    drop(live);
    assert!(!reaper.join().unwrap().success());
    assert!(guest.cgroups_left().is_empty());
}
