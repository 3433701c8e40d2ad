//! Limits: each arrives in its cgroup, or is refused by its name.

use hull_tests::{Daemon, daemon};

use crate::{refused, seen};

/// What the file of the guest's cgroup says, v1's or v2's.
fn file(d: &Daemon, flags: &str, v1: &str, v2: &str) -> String {
    let script = format!("cat /sys/fs/cgroup/{v1} 2>/dev/null || cat /sys/fs/cgroup/{v2}");
    seen(d, flags, &script)
}

#[test]
fn memory_processors_and_processes_are_limited() {
    let d = daemon!();
    let memory = "--memory 64m --memory-swap 64m --memory-reservation 32m";
    assert_eq!(file(&d, memory, "memory/memory.limit_in_bytes", "memory.max"), "67108864");
    assert_eq!(file(&d, memory, "memory/memory.soft_limit_in_bytes", "memory.low"), "33554432");
    let quota = "--cpu-period 50000 --cpu-quota 20000";
    let seen = file(&d, quota, "cpu/cpu.cfs_quota_us", "cpu.max");
    assert!(seen == "20000" || seen == "20000 50000", "{seen}");
    let seen = file(&d, "--cpus 0.5", "cpu/cpu.cfs_quota_us", "cpu.max");
    assert!(seen == "50000" || seen == "50000 100000", "{seen}");
    let seen = file(&d, "--cpu-shares 512", "cpu/cpu.shares", "cpu.weight");
    assert!(seen == "512" || seen.parse::<u32>().is_ok(), "{seen}");
    let cpuset = "--cpuset-cpus 0 --cpuset-mems 0";
    assert_eq!(file(&d, cpuset, "cpuset/cpuset.cpus", "cpuset.cpus"), "0");
    assert_eq!(file(&d, "--pids-limit 77", "pids/pids.max", "pids.max"), "77");
    for (flags, why) in [
        ("--memory 1m", "Minimum memory limit"),
        ("--memory-swap 64m", "You should always set the Memory limit"),
        ("--cpus 9999", "CPUs"),
        ("--cpus 1 --cpu-quota 5000", "cannot both be set"),
        ("--cpuset-cpus what", "what"),
    ] {
        refused(&d, flags, why);
    }
}

#[test]
fn what_the_kernel_kills_first_can_be_said() {
    let d = daemon!();
    assert_eq!(seen(&d, "--oom-score-adj 500", "cat /proc/self/oom_score_adj"), "500");
    refused(&d, "--oom-score-adj 2000", "2000");
    let done = d.docker("create --name cc --oom-kill-disable --memory 64m busybox").run();
    // Not with cgroup v2.
    assert!(done.status == 0 || done.stderr.contains("oom"), "{done:?}");
}

#[test]
fn ulimits_are_set_and_clamped_by_none_but_the_kernel() {
    let d = daemon!();
    assert_eq!(seen(&d, "--ulimit nofile=99:100", "ulimit -n; ulimit -Hn"), "99\n100");
    assert_eq!(seen(&d, "--ulimit core=0", "ulimit -c"), "0");
    let soft: u64 = seen(&d, "", "ulimit -n").parse().unwrap();
    assert_eq!(soft, 1_024);
    let hard: u64 = seen(&d, "", "ulimit -Hn").parse().unwrap();
    assert!((1_024..=524_288).contains(&hard), "{hard}");
    refused(&d, "--ulimit what=1", "what");
    refused(&d, "--ulimit nofile=5:1", "nofile");
}

#[test]
fn a_parent_is_where_the_cgroup_is_made() {
    let d = daemon!();
    let parent = d.cgroup_parent();
    let named = format!("grep -q '/{parent}/' /proc/1/cgroup && echo named");
    let flags = format!("--cgroupns host --cgroup-parent {parent}");
    assert_eq!(seen(&d, &flags, &named), "named");
    refused(&d, "--cgroup-parent ../up", "invalid cgroup parent");
}

#[test]
fn rare_limits_arrive_or_are_refused_by_name() {
    let d = daemon!();
    let by_both = |flags: &str| {
        let words = format!("run --rm --network none {flags} busybox true");
        [d.docker(&words), d.hull(&words)].map(hull_tests::Tool::run)
    };
    // What the kernel has not got is dropped with a warning.
    for flags in [
        "--memory-swappiness 10",
        "--blkio-weight 500",
        "--device-cgroup-rule 'c 1:1 r'",
        "--memory 64m --oom-kill-disable",
    ] {
        for done in by_both(flags) {
            assert_eq!(done.status, 0, "{flags}: {done:?}");
        }
    }
    for (flags, name) in [
        ("--device-read-bps /dev/vda:1mb", "/dev/vda"),
        ("--device-write-bps /dev/vda:1mb", "/dev/vda"),
        ("--device-read-iops /dev/vda:100", "/dev/vda"),
        ("--device-write-iops /dev/vda:100", "/dev/vda"),
        ("--cpu-rt-period 10000", "real-time"),
        ("--cpu-rt-runtime 5000", "rt_runtime_us"),
    ] {
        for done in by_both(flags) {
            let named = done.stderr.contains(name);
            assert!(done.status == 0 || named, "{flags}: {done:?}");
        }
    }
}

#[test]
fn limits_of_windows_limit_nothing_or_are_refused() {
    let d = daemon!();
    for flags in ["--cpu-count 2", "--cpu-percent 50", "--io-maxbandwidth 1m", "--io-maxiops 5"] {
        let done = d.docker(&format!("run --rm --network none {flags} busybox true")).run();
        assert!(done.status == 0 || done.stderr.contains("windows"), "{flags}: {done:?}");
    }
}
