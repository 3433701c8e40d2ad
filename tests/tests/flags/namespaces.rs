//! What a guest shares with others: `--ipc`, `--pid`, `--uts`, `--cgroupns`, `--shm-size`, and the
//! settings that go with them.

use hull_tests::daemon;

use crate::{by_both, refused, seen};

#[test]
fn namespaces_are_private_shared_or_the_hosts() {
    let d = daemon!();
    let host = |kind: &str| {
        std::fs::read_link(format!("/proc/self/ns/{kind}")).unwrap().display().to_string()
    };
    for (flags, kind) in [("--ipc host", "ipc"), ("--pid host", "pid"), ("--uts host", "uts")] {
        assert_eq!(
            seen(&d, flags, &format!("readlink /proc/self/ns/{kind}")),
            host(kind),
            "{flags}"
        );
    }
    assert_eq!(seen(&d, "--cgroupns host", "readlink /proc/self/ns/cgroup"), host("cgroup"));
    let named = format!("grep -q {} /proc/1/cgroup && echo named", d.cgroup_parent());
    assert_eq!(seen(&d, "--cgroupns host", &named), "named");
    let shown = seen(&d, "--cgroupns private", "cat /proc/1/cgroup");
    assert!(!shown.contains(&d.cgroup_parent()), "{shown}");
    for kind in ["ipc", "pid", "uts", "cgroup", "net", "mnt", "user"] {
        for done in by_both(&d, "", &format!("readlink /proc/self/ns/{kind}")) {
            assert_ne!(done.stdout.trim(), host(kind));
        }
    }
    // Of another guest.
    d.run_detached("--name main --ipc shareable busybox sleep 1000");
    d.docker("exec main sh -c 'echo here > /dev/shm/file'").ok();
    assert!(seen(&d, "--pid container:main", "ps -o args").contains("sleep 1000"));
    let inner = d.docker("exec main readlink /proc/self/ns/ipc").ok();
    assert_eq!(seen(&d, "--ipc container:main", "readlink /proc/self/ns/ipc"), inner);
    d.run_detached("--name alone --ipc private busybox sleep 1000");
    refused(&d, "--ipc container:alone", "non-shareable");
    assert_eq!(seen(&d, "--ipc none", "grep -c ' /dev/shm ' /proc/mounts || true"), "0");
    for (flags, why) in [
        ("--ipc what", ""),
        ("--pid what", ""),
        ("--uts what", ""),
        ("--cgroupns what", ""),
        ("--pid container:nobody", "nobody"),
        ("--uts host --hostname hh", "conflicting options: hostname and the UTS mode"),
    ] {
        refused(&d, flags, why);
    }
}

#[test]
fn shared_memory_has_the_size_that_was_asked_for() {
    let d = daemon!();
    let size = "df -k /dev/shm | tail -n 1 | tr -s ' ' | cut -d ' ' -f 2";
    assert_eq!(seen(&d, "", size), "65536");
    assert_eq!(seen(&d, "--shm-size 8m", size), "8192");
    refused(&d, "--shm-size what", "what");
}

#[test]
fn sysctls_are_those_of_the_guests_own_namespaces() {
    let d = daemon!();
    let flags = "--sysctl net.ipv4.ip_forward=1 --sysctl kernel.msgmax=9000";
    let both = "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax";
    assert_eq!(seen(&d, flags, both), "1\n9000");
    for (flags, why) in [
        ("--sysctl vm.swappiness=1", "is not "),
        ("--sysctl kernel.panic=1", "is not "),
        ("--sysctl net.ipv4.ip_forward=1 --network host", "not allowed in host network namespace"),
        ("--sysctl kernel.msgmax=1 --ipc host", "not allowed in host ipc namespace"),
        ("--sysctl net/../kernel/panic=1", "is not "),
    ] {
        refused(&d, flags, why);
    }
}
