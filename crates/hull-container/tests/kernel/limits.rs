//! Limits in effect.

use std::time::Duration;

use hull_model::bytes::Bytes;
use hull_model::limits::Max;
use hull_model::memory::Memory;

use crate::Test;
use crate::fixture::Guest;

pub(crate) const TESTS: &[Test] = &[
    ("memory_is_limited_and_kills_are_counted", memory_is_limited),
    ("processes_are_limited", processes_are_limited),
    ("processors_are_limited_and_limits_change", processors_are_limited),
    ("a_guest_can_be_frozen", a_guest_can_be_frozen),
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
