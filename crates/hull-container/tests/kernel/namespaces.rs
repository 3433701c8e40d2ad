//! Namespaces of every kind, made, shaped and joined by path.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use hull_container::plan::{IdMap, Namespace, Offset, Time, User};

use crate::Test;
use crate::fixture::Guest;

pub(crate) const TESTS: &[Test] = &[
    ("id_maps_can_have_several_ranges", several_ranges),
    ("clocks_can_be_set_off", clocks),
    ("every_namespace_can_be_joined_by_path", joined),
    ("a_guest_without_its_own_mounts_is_refused", no_mount_namespace),
];

fn several_ranges() {
    let mut guest = Guest::new();
    let base = guest.ids.unwrap().base;
    let map = |inside, outside, count| IdMap { inside, outside, count };
    let maps = vec![map(0, base, 10), map(10, base + 100, 24), map(1000, base + 200, 1)];
    guest.shell("cat /proc/self/uid_map; touch /x; chown 33:33 /x; chown 500 /x; stat -c %u:%g /x");
    let out = guest.output_with(|plan| {
        plan.namespaces.user = User::New { uids: maps.clone(), gids: maps };
        // Those who may ping are a range of groups that is not mapped now.
        plan.sysctls.clear();
    });
    let words: Vec<_> = out.split_whitespace().collect();
    let (second, third) = ((base + 100).to_string(), (base + 200).to_string());
    assert_eq!(words[3..9], ["10", &second, "24", "1000", &third, "1"], "{out}");
    // 500 is in no range; what was set before stays.
    assert!(out.ends_with("33:33\n") && out.contains("Invalid argument"), "{out}");
    // Idmapped all the same: on disk it is what it was inside.
    assert_eq!(fs::metadata(guest.upper("x")).unwrap().uid(), 33);
}

fn clocks() {
    let uptime = |text: &str| -> f64 { text.split('.').next().unwrap().parse().unwrap() };
    for mut guest in [Guest::new(), Guest::of_host_users()] {
        guest.shell("cat /proc/uptime; readlink /proc/self/ns/time; cat /proc/self/timens_offsets");
        let live = guest
            .start_with(|plan| {
                plan.namespaces.time = Time::New {
                    monotonic: Offset { seconds: 5_000, nanoseconds: 7 },
                    boottime: Offset { seconds: 1_000_000, nanoseconds: 0 },
                };
            })
            .unwrap();
        let out = live.wait().output;
        let host = uptime(&fs::read_to_string("/proc/uptime").unwrap());
        assert!((uptime(&out) - host - 1_000_000.0).abs() < 100.0, "{out}");
        let own = fs::read_link("/proc/self/ns/time").unwrap();
        assert!(!out.contains(own.to_str().unwrap()), "{out}");
        assert!(out.contains("monotonic        5000         7"), "{out}");
    }
    // Further processes have the same clocks.
    let mut guest = Guest::new();
    guest.shell("sleep 30");
    let time = Time::New {
        monotonic: Offset::default(),
        boottime: Offset { seconds: 1_000_000, nanoseconds: 0 },
    };
    let live = guest.start_with(|plan| plan.namespaces.time = time.clone()).unwrap();
    let wanted = hull_model::process::ExecSpec {
        args: vec!["cat".to_owned(), "/proc/uptime".to_owned()],
        ..Default::default()
    };
    let out = live.exec_with(&wanted, |plan| plan.namespaces.time = time).unwrap().output;
    assert!(uptime(&out) > 1_000_000.0, "{out}");
}

fn joined() {
    let script =
        "for n in user mnt pid ipc uts net cgroup time; do readlink /proc/self/ns/$n; done";
    let mut holder = Guest::new();
    holder.shell("sleep 60");
    let live = holder
        .start_with(|plan| {
            let (monotonic, boottime) = Default::default();
            plan.namespaces.time = Time::New { monotonic, boottime };
        })
        .unwrap();
    let of = |name: &str| {
        PathBuf::from(format!("/proc/{}/ns/{name}", live.running.pid.as_raw_nonzero()))
    };
    let there: Vec<_> = ["user", "mnt", "pid", "ipc", "uts", "net", "cgroup", "time"]
        .map(|name| fs::read_link(of(name)).unwrap().to_str().unwrap().to_owned())
        .into();
    let mut guest = Guest::new();
    // Its own files must not be mistaken for the holder's.
    fs::write(guest.lower("mark"), "mine\n").unwrap();
    guest.shell(&format!("cat /mark; {script}; cat /proc/self/uid_map"));
    let out = guest.output_with(|plan| {
        let join = |name: &str| Namespace::Join(of(name));
        plan.namespaces.user = User::Join(of("user"));
        plan.namespaces.pid = join("pid");
        plan.namespaces.ipc = join("ipc");
        plan.namespaces.uts = join("uts");
        plan.namespaces.net = join("net");
        plan.namespaces.cgroup = join("cgroup");
        plan.namespaces.time = Time::Join(of("time"));
    });
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(lines[0], "mine");
    for (at, name) in there.iter().enumerate().filter(|(at, _)| *at != 1) {
        assert_eq!(lines[at + 1], name, "{out}");
    }
    assert_ne!(lines[2], there[1], "{out}");
    let base = holder.ids.unwrap().base.to_string();
    assert!(out.contains(&base), "{out}");
    drop(live);
    joined_mounts(script);
}

/// A mount namespace of somebody else's, here one made with `unshare(1)`.
fn joined_mounts(script: &str) {
    let mut guest = Guest::of_host_users();
    guest.shell(&format!("ls /work 2>/dev/null; {script}"));
    let mut command = hull_sys::spawn::command("/usr/bin/unshare");
    let mut holder = command.args(["-m", "/bin/sh", "-c", "echo; exec sleep 60"]);
    holder = holder.stdout(std::process::Stdio::piped());
    let mut holder = holder.spawn().unwrap();
    let mut ready = [0];
    std::io::Read::read_exact(holder.stdout.as_mut().unwrap(), &mut ready).unwrap();
    let path = PathBuf::from(format!("/proc/{}/ns/mnt", holder.id()));
    let theirs = fs::read_link(&path).unwrap();
    let out = guest.output_with(|plan| plan.namespaces.mount = Namespace::Join(path));
    holder.kill().unwrap();
    holder.wait().unwrap();
    assert_eq!(out.lines().nth(1), theirs.to_str(), "{out}");
    // Our root, not theirs.
    assert!(out.starts_with("user:"), "{out}");
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(guest.dir.path().to_str().unwrap()), "{mounts}");
}

fn no_mount_namespace() {
    let mut guest = Guest::of_host_users();
    guest.command(&["true"]);
    let failure = guest.start_with(|plan| plan.namespaces.mount = Namespace::Host).err().unwrap();
    assert!(failure.message.contains("mount namespace of its own"), "{failure}");
}
