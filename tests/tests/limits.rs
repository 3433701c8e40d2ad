//! Limits: every resource flag of `docker run` and `docker update`, read back from the kernel.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use hull_tests::{Daemon, Settings, Tool, daemon, eventually, program};
use serde_json::json;

const MIB: u64 = 1 << 20;

/// Where the controllers are: a v1 hierarchy each, or one of v2.
fn directory(d: &Daemon, id: &str, controller: &str) -> PathBuf {
    let v1 = Path::new("/sys/fs/cgroup").join(controller);
    let mount = if v1.is_dir() { v1 } else { PathBuf::from("/sys/fs/cgroup") };
    mount.join(d.cgroup_parent()).join(id)
}

fn is_v1() -> bool {
    Path::new("/sys/fs/cgroup/memory").is_dir()
}

/// What the file of the generation there is says.
fn says(d: &Daemon, id: &str, (controller, v1): (&str, &str), v2: &str) -> String {
    let path = directory(d, id, controller).join(if is_v1() { v1 } else { v2 });
    let text = fs::read_to_string(&path);
    text.unwrap_or_else(|error| panic!("{}: {error}", path.display())).trim().to_owned()
}

/// The number that v1 or v2 shows for memory, swap included in v1.
fn memory(d: &Daemon, id: &str) -> (String, String) {
    let max = says(d, id, ("memory", "memory.limit_in_bytes"), "memory.max");
    let swap = says(d, id, ("memory", "memory.memsw.limit_in_bytes"), "memory.swap.max");
    (max, swap)
}

/// What [`memory`] shows for these.
fn shown(max: u64, total: u64) -> (String, String) {
    let swap = if is_v1() { total } else { total - max };
    (max.to_string(), swap.to_string())
}

/// A block device with a node, and its numbers as cgroups write them.
fn disk() -> Option<(String, String)> {
    fs::read_dir("/sys/block").ok()?.flatten().find_map(|entry| {
        let node = format!("/dev/{}", entry.file_name().to_string_lossy());
        fs::metadata(&node).ok()?.rdev();
        let numbers = fs::read_to_string(entry.path().join("dev")).ok()?;
        Some((node, numbers.trim().to_owned()))
    })
}

/// Whether the scheduler in force for this disk is the one with weights.
fn bfq_weighs(node: &str) -> bool {
    let name = node.trim_start_matches("/dev/");
    fs::read_to_string(format!("/sys/block/{name}/queue/scheduler"))
        .is_ok_and(|schedulers| schedulers.contains("[bfq]"))
}

#[test]
fn every_flag_of_run_is_in_force() {
    let d = daemon!();
    let flags = "-m 64m --memory-swap 128m --memory-reservation 32m --cpu-shares 512 \
                 --cpu-period 50000 --cpu-quota 25000 --cpuset-cpus 0 --cpuset-mems 0 \
                 --pids-limit 50 --oom-score-adj 321";
    let id = d.run_detached(&format!("{flags} busybox sleep 1000"));
    assert_eq!(memory(&d, &id), shown(64 * MIB, 128 * MIB));
    let soft = says(&d, &id, ("memory", "memory.soft_limit_in_bytes"), "memory.low");
    assert_eq!(soft, (32 * MIB).to_string());
    let weight = says(&d, &id, ("cpu", "cpu.shares"), "cpu.weight");
    assert_eq!(weight, if is_v1() { "512" } else { "59" });
    let quota = says(&d, &id, ("cpu", "cpu.cfs_quota_us"), "cpu.max");
    assert_eq!(quota, if is_v1() { "25000" } else { "25000 50000" });
    assert_eq!(says(&d, &id, ("cpuset", "cpuset.cpus"), "cpuset.cpus"), "0");
    assert_eq!(says(&d, &id, ("cpuset", "cpuset.mems"), "cpuset.mems"), "0");
    assert_eq!(says(&d, &id, ("pids", "pids.max"), "pids.max"), "50");
    let score = d.docker(&format!("exec {id} cat /proc/1/oom_score_adj")).ok();
    assert_eq!(score, "321");
    // `--cpus` is a quota, and stays `--cpus` for whoever asks.
    let id = d.run_detached("--cpus 0.5 busybox sleep 1000");
    let quota = says(&d, &id, ("cpu", "cpu.cfs_quota_us"), "cpu.max");
    assert_eq!(quota, if is_v1() { "50000" } else { "50000 100000" });
    let host = &d.inspect(&id)["HostConfig"];
    assert_eq!((&host["NanoCpus"], &host["CpuQuota"]), (&json!(500_000_000), &json!(0)));
}

#[test]
fn swappiness_and_oom_kill_disable_are_set_or_dropped_with_a_warning() {
    let d = daemon!();
    let run = d
        .docker("run -d --network none -m 64m --memory-swappiness 7 --oom-kill-disable")
        .arg("busybox")
        .arg("sleep")
        .arg("1000")
        .run();
    assert_eq!(run.status, 0, "{}", run.stderr);
    let id = run.stdout.trim();
    if is_v1() {
        assert_eq!(says(&d, id, ("memory", "memory.swappiness"), ""), "7");
        let control = says(&d, id, ("memory", "memory.oom_control"), "");
        assert!(control.contains("oom_kill_disable 1"), "{control}");
        assert_eq!(run.stderr, "");
    } else {
        assert!(run.stderr.contains("Memory swappiness discarded"), "{}", run.stderr);
        assert!(run.stderr.contains("OomKillDisable discarded"), "{}", run.stderr);
        assert_eq!(d.inspect(id)["HostConfig"]["MemorySwappiness"], json!(null));
    }
}

#[test]
fn block_devices_are_weighed_and_throttled() {
    let d = daemon!();
    let Some((node, numbers)) = disk() else {
        println!("skipped: no block device with a node in /dev");
        return;
    };
    let flags = format!(
        "--device-read-bps {node}:1mb --device-write-bps {node}:2mb --device-read-iops {node}:100 \
         --device-write-iops {node}:200"
    );
    let id = d.run_detached(&format!("{flags} busybox sleep 1000"));
    if is_v1() {
        for (file, rate) in
            [("read_bps", MIB), ("write_bps", 2 * MIB), ("read_iops", 100), ("write_iops", 200)]
        {
            let file = format!("blkio.throttle.{file}_device");
            assert_eq!(says(&d, &id, ("blkio", &file), ""), format!("{numbers} {rate}"));
        }
    } else {
        let line = format!("{numbers} rbps=1048576 wbps=2097152 riops=100 wiops=200");
        assert_eq!(says(&d, &id, ("", ""), "io.max"), line);
    }
    let run = d.docker("run -d --network none --blkio-weight 300 busybox sleep 1000").run();
    // Only some schedulers weigh; without one, Docker's warning and no more.
    assert_eq!(run.status, 0, "{}", run.stderr);
    let id = run.stdout.trim();
    let bfq = directory(&d, id, "blkio").join("blkio.bfq.weight");
    if bfq.exists() {
        assert!(fs::read_to_string(bfq).unwrap().contains("300"));
        assert_eq!(d.inspect(id)["HostConfig"]["BlkioWeight"], 300);
    } else if run.stderr.is_empty() {
        let io = says(&d, id, ("blkio", "blkio.weight"), "io.weight");
        assert!(io.contains("300") || io.contains("default 2930"), "{io}");
    } else {
        assert!(run.stderr.contains("Weight discarded"), "{}", run.stderr);
    }
    if bfq_weighs(&node) {
        let flag = format!("--blkio-weight-device {node}:200");
        let id = d.run_detached(&format!("{flag} busybox sleep 1000"));
        let weights = says(&d, &id, ("blkio", "blkio.bfq.weight_device"), "io.bfq.weight");
        assert!(weights.contains(&format!("{numbers} 200")), "{weights}");
    } else {
        println!("not shown, the scheduler of {node} weighs nothing: --blkio-weight-device");
    }
    let missing = d.docker("run --rm --device-read-bps /dev/no-such:1mb busybox true").run();
    assert!(missing.stderr.contains("no such block device /dev/no-such"), "{}", missing.stderr);
}

#[test]
fn device_rules_are_kept_in_order_after_dockers_own() {
    let d = daemon!();
    let id = d
        .docker("run -d --network none --device-cgroup-rule")
        .arg("c 10:229 rw")
        .arg("busybox")
        .arg("sleep")
        .arg("1000")
        .ok();
    assert_eq!(d.inspect(&id)["HostConfig"]["DeviceCgroupRules"], json!(["c 10:229 rw"]));
    if is_v1() {
        let list = says(&d, &id, ("devices", "devices.list"), "");
        assert!(list.lines().any(|line| line == "c 10:229 rw"), "{list}");
        assert!(!list.lines().any(|line| line.starts_with('a')), "{list}");
    }
    let refused =
        d.docker("run --rm --device-cgroup-rule").arg("nonsense").arg("busybox").arg("true").run();
    assert!(refused.stderr.contains("invalid device cgroup"), "{}", refused.stderr);
}

#[test]
fn update_changes_a_running_container_and_its_next_start() {
    let d = daemon!();
    let id = d.run_detached("-m 64m --memory-swap 128m --pids-limit 50 busybox sleep 1000");
    let update = |flags: &str| d.docker(&format!("update {flags} {id}")).ok();
    // Up, down and up again: either of both must come first at times.
    for (max, total) in [(256, 512), (32, 48), (100, 100)] {
        update(&format!("-m {max}m --memory-swap {total}m"));
        assert_eq!(memory(&d, &id), shown(max * MIB, total * MIB));
    }
    update("--cpu-shares 2048 --cpuset-cpus 0 --cpuset-mems 0 --pids-limit 77");
    update("--cpu-period 20000 --cpu-quota 10000 --memory-reservation 50m");
    let check = |d: &Daemon| {
        assert_eq!(memory(d, &id), shown(100 * MIB, 100 * MIB));
        let weight = says(d, &id, ("cpu", "cpu.shares"), "cpu.weight");
        assert_eq!(weight, if is_v1() { "2048" } else { "174" });
        let quota = says(d, &id, ("cpu", "cpu.cfs_quota_us"), "cpu.max");
        assert_eq!(quota, if is_v1() { "10000" } else { "10000 20000" });
        assert_eq!(says(d, &id, ("cpuset", "cpuset.cpus"), "cpuset.cpus"), "0");
        assert_eq!(says(d, &id, ("pids", "pids.max"), "pids.max"), "77");
        let soft = says(d, &id, ("memory", "memory.soft_limit_in_bytes"), "memory.low");
        assert_eq!(soft, (50 * MIB).to_string());
    };
    check(&d);
    d.docker(&format!("restart -t 0 {id}")).ok();
    check(&d);
    let host = &d.inspect(&id)["HostConfig"];
    assert_eq!(
        (&host["Memory"], &host["PidsLimit"], &host["CpuPeriod"]),
        (&json!(100 * MIB), &json!(77), &json!(20_000))
    );
    // No limit again; and one that is stopped is changed for its next start.
    update("--pids-limit -1");
    assert_eq!(says(&d, &id, ("pids", "pids.max"), "pids.max"), "max");
    d.docker(&format!("stop -t 0 {id}")).ok();
    update("--pids-limit 5");
    d.docker(&format!("start {id}")).ok();
    assert_eq!(says(&d, &id, ("pids", "pids.max"), "pids.max"), "5");
    // The client asks up to the second that began last, so the newest are told a little later.
    eventually("all updates are among the events", || {
        let told = d.docker("events --since 1h --until 0s --filter event=update").run();
        (told.stdout.lines().count() >= 6).then_some(())
    });
}

#[test]
fn a_refused_update_changes_nothing() {
    let d = daemon!();
    let id = d.run_detached("-m 64m --pids-limit 50 busybox sleep 1000");
    let before = d.inspect(&id)["HostConfig"].clone();
    let limits = || (memory(&d, &id), says(&d, &id, ("pids", "pids.max"), "pids.max"));
    let kept = limits();
    let refuse = |body: serde_json::Value| {
        let answer = d.post(&format!("/containers/{id}/update"), &body);
        assert!(answer.status >= 400, "{body}: {}", answer.text());
        assert_eq!(d.inspect(&id)["HostConfig"], before, "{body}");
        assert_eq!(limits(), kept, "{body}");
        (answer.status, answer.text())
    };
    assert_eq!(refuse(json!({ "PidsLimit": 9, "Memory": 1 })).0, 400);
    assert_eq!(refuse(json!({ "PidsLimit": 9, "CpusetCpus": "4095" })).0, 400);
    assert_eq!(refuse(json!({ "PidsLimit": 9, "Memory": 1024 * MIB })).0, 400);
    assert_eq!(refuse(json!({ "PidsLimit": 9, "RestartPolicy": { "Name": "x" } })).0, 400);
    assert_eq!(refuse(json!({ "PidsLimit": 9, "Ulimits": [{ "Name": "core" }] })).0, 501);
    assert_eq!(refuse(json!({ "PidsLimit": 9, "Memory": "x" })).0, 400);
    // The kernel's own no, after other files were written: the parent has no real-time share, or
    // the generation none at all.
    let (status, text) = refuse(json!({ "PidsLimit": 9, "CpuRealtimeRuntime": 950_000 }));
    assert_eq!(status, 400, "{text}");
    let missing = d.post("/containers/no-such/update", &json!({}));
    assert_eq!(missing.status, 404);
}

#[test]
fn a_new_restart_policy_counts_at_once() {
    let d = daemon!();
    let id = d.run_detached("busybox sh -c 'sleep 1000 & wait'");
    d.docker(&format!("update --restart always {id}")).ok();
    assert_eq!(d.inspect(&id)["HostConfig"]["RestartPolicy"]["Name"], "always");
    let pid = d.pid_of(&id);
    d.docker(&format!("exec {id} kill -9 -1")).run();
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(pid.cast_signed()).unwrap(),
        rustix::process::Signal::KILL,
    )
    .ok();
    eventually("it is started again", || {
        let state = d.inspect(&id);
        let again = state["RestartCount"].as_u64() >= Some(1);
        (again && state["State"]["Status"] == "running").then_some(())
    });
    let auto = d.run_detached("--rm busybox sleep 1000");
    let answer = d.post(
        &format!("/containers/{auto}/update"),
        &json!({ "RestartPolicy": { "Name": "always" } }),
    );
    assert_eq!(answer.status, 409, "{}", answer.text());
}

#[test]
fn hulls_own_client_updates_too() {
    let d = daemon!();
    let one = d.run_detached("--name one busybox sleep 1000");
    let two = d.run_detached("--name two busybox sleep 1000");
    assert_eq!(d.hull("update --pids-limit 33 -m 32m one two").ok(), "one\ntwo");
    for id in [&one, &two] {
        assert_eq!(says(&d, id, ("pids", "pids.max"), "pids.max"), "33");
        assert_eq!(memory(&d, id), shown(32 * MIB, 64 * MIB));
    }
    let failed = d.hull("update --pids-limit 34 one no-such").run();
    assert_eq!((failed.status, failed.stdout.trim()), (1, "one"));
    let nothing = d.hull("update one").run();
    assert!(nothing.stderr.contains("one or more flags"), "{}", nothing.stderr);
}

#[test]
fn limits_recorded_by_a_daemon_that_died_are_applied_by_the_next() {
    let mut d = daemon!(Settings { leaves_guests: true, ..Settings::default() });
    let id = d.run_detached("--pids-limit 50 busybox sleep 1000");
    d.kill();
    // As if it had died between the record and the kernel.
    fs::write(directory(&d, &id, "pids").join("pids.max"), "60").unwrap();
    d.again();
    d.until(&id, "running");
    eventually("the recorded limit is in force", || {
        (says(&d, &id, ("pids", "pids.max"), "pids.max") == "50").then_some(())
    });
}

#[test]
fn nothing_is_left_of_many_starts() {
    let d = daemon!();
    let id = d.docker("create --network none busybox true").ok();
    for _ in 0..10 {
        d.docker(&format!("start -a {id}")).ok();
        assert!(!directory(&d, &id, "pids").exists());
    }
}

#[test]
fn systemds_driver_says_what_it_needs() {
    if Path::new("/run/systemd/system").is_dir() && !is_v1() {
        println!("skipped: systemd is the init here, and cgroups are v2");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let roots = format!("--data-root {0}/data --exec-root {0}/run", dir.path().display());
    let daemon = format!("daemon {roots} -b none --exec-opt native.cgroupdriver=systemd");
    let refused = Tool::new(program::hull(), &daemon).run();
    assert_ne!(refused.status, 0);
    let told = refused.stderr;
    assert!(told.contains("the systemd cgroup driver needs"), "{told}");
    assert!(told.contains("hint: native.cgroupdriver=cgroupfs"), "{told}");
    let d = daemon!();
    let refused = d.docker("run --rm --cgroup-parent x.slice busybox true").run();
    assert!(refused.stderr.contains("slices are systemd's"), "{}", refused.stderr);
}

/// What systemd says of a unit.
fn property(unit: &str, name: &str) -> String {
    Tool::new("systemctl", &format!("show -P {name} {unit}")).ok()
}

#[test]
fn systemd_makes_scopes_and_forgets_them() {
    if !Path::new("/run/systemd/system").is_dir() || is_v1() {
        println!("skipped: systemd is not the init of this host, or cgroups are v1");
        return;
    }
    let d = daemon!(Settings { systemd: true, ..Settings::default() });
    let id =
        d.run_detached("-m 64m --memory-swap 64m --pids-limit 50 --cpus 0.5 busybox sleep 1000");
    let unit = format!("hull-{id}.scope");
    let at = Path::new("/sys/fs/cgroup").join(d.cgroup_parent()).join(&unit);
    let file = |name: &str| fs::read_to_string(at.join(name)).unwrap().trim().to_owned();
    assert_eq!(property(&unit, "ActiveState"), "active");
    assert_eq!(property(&unit, "Slice"), d.cgroup_parent());
    assert_eq!(
        (property(&unit, "MemoryMax"), file("memory.max")),
        ("67108864".into(), "67108864".into())
    );
    // The holder is gone, the guest is in.
    assert_eq!(file("cgroup.procs"), d.pid_of(&id).to_string());
    assert_eq!(d.docker(&format!("exec {id} echo in")).ok(), "in");
    d.docker(&format!("update -m 128m --memory-swap 128m --pids-limit 60 {id}")).ok();
    assert_eq!(
        (property(&unit, "MemoryMax"), file("memory.max")),
        ("134217728".into(), "134217728".into())
    );
    // What systemd writes again is what was asked for.
    Tool::new("systemctl", "daemon-reload").ok();
    assert_eq!((file("memory.max"), file("pids.max")), ("134217728".into(), "60".into()));
    assert_eq!(file("cpu.max"), "50000 100000");
    // The same name at once again.
    d.docker(&format!("restart -t 0 {id}")).ok();
    assert_eq!(file("pids.max"), "60");
    d.docker(&format!("rm -f {id}")).ok();
    eventually("the scope is forgotten", || {
        (property(&unit, "LoadState") == "not-found" && !at.exists()).then_some(())
    });
    let info = d.docker("info -f {{.CgroupDriver}}/{{.CgroupVersion}}").ok();
    assert_eq!(info, "systemd/2");
    let refused = d.docker("run --rm --cgroup-parent /plain busybox true").run();
    assert!(refused.stderr.contains("valid slice named as"), "{}", refused.stderr);
}
