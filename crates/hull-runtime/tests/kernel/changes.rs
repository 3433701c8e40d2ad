//! Limits, pausing, events.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::Test;
use crate::bundle::{Bundle, eventually};

pub(crate) const TESTS: &[Test] = &[
    ("limits_are_kept_and_changed", limits),
    ("a_paused_container_stands_still", paused),
    ("events_are_statistics_and_ends", events),
];

/// The first of these files of the container's cgroups that exists.
fn read(bundle: &Bundle, names: &[&str]) -> String {
    let files = bundle.cgroups_left().into_iter().flat_map(|dir| {
        let paths: Vec<PathBuf> = names.iter().map(|name| dir.join(name)).collect();
        paths
    });
    let mut found = files.filter_map(|path| fs::read_to_string(path).ok());
    found.next().map(|text| text.trim().to_owned()).expect("a file of the cgroup")
}

fn limits() {
    let mut bundle = Bundle::new();
    bundle.linux()["resources"]["memory"] = json!({"limit": 64 << 20, "swap": 64 << 20});
    bundle.linux()["resources"]["pids"] = json!({"limit": 20});
    bundle.linux()["resources"]["cpu"] = json!({"shares": 512, "quota": 50_000, "period": 100_000});
    bundle.shell("sleep 600");
    bundle.start();
    let memory = |bundle: &Bundle| read(bundle, &["memory.limit_in_bytes", "memory.max"]);
    assert_eq!(memory(&bundle), (64 << 20).to_string());
    assert_eq!(read(&bundle, &["pids.max"]), "20");
    bundle.call(&["update", "--memory", "32m", "--pids-limit", "30", "c"]).ok();
    assert_eq!(memory(&bundle), (32 << 20).to_string());
    assert_eq!(read(&bundle, &["pids.max"]), "30");
    let mut command = bundle.command(&["update", "--resources", "-", "c"]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let wanted = json!({"pids": {"limit": -1}, "cpu": {"shares": 1024}});
    child.stdin.take().unwrap().write_all(wanted.to_string().as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(read(&bundle, &["pids.max"]), "max");
    bundle.call(&["update", "--memory", "x", "c"]).fails(1, "invalid value \"x\"");
    bundle.call(&["update", "-r", "/no/such", "c"]).fails(1, "open /no/such");
    // Devices that were not granted cannot be opened, whoever makes a node.
    bundle.config["process"]["capabilities"]["bounding"] = json!(["CAP_MKNOD"]);
    bundle.config["process"]["capabilities"]["permitted"] = json!(["CAP_MKNOD"]);
    bundle.config["process"]["capabilities"]["effective"] = json!(["CAP_MKNOD"]);
    bundle.call(&["delete", "--force", "c"]).ok();
    let done = bundle.shell("mknod /tmp/kmsg c 1 11 && dd if=/tmp/kmsg count=1").run();
    assert!(done.stderr.contains("not permitted"), "{done:?}");
}

fn paused() {
    let mut bundle = Bundle::new();
    bundle.shell("while :; do echo .; sleep 0.02; done");
    bundle.start();
    eventually("output", || !bundle.output().is_empty());
    bundle.call(&["pause", "c"]).ok();
    assert_eq!(bundle.status(), "paused");
    let before = bundle.output();
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert_eq!(bundle.output(), before);
    bundle.call(&["pause", "c"]).fails(1, "cannot pause container c that is paused");
    bundle.call(&["exec", "c", "true"]).fails(255, "--ignore-paused");
    bundle.call(&["resume", "c"]).ok();
    eventually("more output", || bundle.output() != before);
    bundle.call(&["resume", "c"]).fails(1, "cannot resume container c that is running");
    // A frozen process can be killed, with and without force.
    bundle.call(&["pause", "c"]).ok();
    bundle.call(&["kill", "c", "KILL"]).ok();
    eventually("its end", || bundle.status() == "stopped");
    bundle.call(&["delete", "c"]).ok();
    bundle.start();
    bundle.call(&["pause", "c"]).ok();
    bundle.call(&["delete", "--force", "c"]).ok();
    bundle.assert_nothing_left();
}

fn events() {
    let mut bundle = Bundle::new();
    bundle.shell("sleep 600");
    bundle.start();
    let once: Value = serde_json::from_str(&bundle.call(&["events", "--stats", "c"]).ok()).unwrap();
    assert_eq!((&once["type"], &once["id"]), (&json!("stats"), &json!("c")));
    assert!(once["data"]["pids"]["current"].as_u64().unwrap() >= 1, "{once}");
    assert!(once["data"]["memory"]["usage"]["usage"].as_u64().unwrap() > 0, "{once}");
    let mut command = bundle.command(&["events", "--interval", "50ms", "c"]);
    let watching = command.stdout(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(300));
    bundle.call(&["kill", "c", "KILL"]).ok();
    let seen = watching.wait_with_output().unwrap();
    assert!(seen.status.success());
    let lines = String::from_utf8(seen.stdout).unwrap();
    assert!(lines.lines().count() >= 1, "{lines}");
    bundle.call(&["events", "--interval", "x", "c"]).fails(1, "");
}
