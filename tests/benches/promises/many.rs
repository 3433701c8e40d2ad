//! What many guests cost.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use hull_tests::{Daemon, program};
use serde_json::json;

use crate::clock::{median, times};
use crate::{Row, daemon};

/// Guests for measuring memory.
const GUESTS: usize = 50;

pub(crate) fn memory() -> Vec<Row> {
    let d = daemon();
    std::thread::sleep(Duration::from_millis(500));
    let idle = status(d.pid(), "VmRSS:") / 1024.0;
    // The first guests make the daemon's threads and buffers; what each further one adds counts.
    let first = start(&d, 10);
    let before = proportional(d.pid());
    let guests = start(&d, GUESTS);
    let share = (proportional(d.pid()) - before) / GUESTS as f64 / 1024.0;
    let shims: Vec<f64> =
        first.iter().chain(&guests).map(|id| proportional(d.shim_of(id)) / 1024.0).collect();
    let shim = shims.iter().sum::<f64>() / shims.len() as f64;
    vec![
        Row::at_most("daemon idle, RSS", idle, 25.0, "MiB"),
        Row::at_most("shim of an idle container, PSS", shim, 0.4, "MiB"),
        Row::at_most("daemon's share of a container, PSS", share, 0.1, "MiB"),
    ]
}

pub(crate) fn two_hundred() -> Vec<Row> {
    let mut d = daemon();
    start(&d, 200);
    let mut ps = Command::new(program::hull());
    ps.arg("ps").env("HULL_HOST", d.host());
    let listed = median(times(30, &mut ps));
    d.kill();
    let start = Instant::now();
    d.again();
    let seen = d.get("/containers/json").json().as_array().map_or(0, Vec::len);
    let ready = start.elapsed().as_secs_f64();
    assert_eq!(seen, 200, "a container was lost");
    vec![
        Row::at_most("ps with 200 running", listed, 15.0, "ms"),
        Row::at_most("new daemon ready, 200 running", ready, 1.0, "s"),
    ]
}

fn start(d: &Daemon, count: usize) -> Vec<String> {
    let body = json!({"Image": "busybox", "Cmd": ["sleep", "600"],
        "HostConfig": {"NetworkMode": "none"}});
    let one = || {
        let id = d.post("/containers/create", &body).json()["Id"].as_str().unwrap().to_owned();
        assert_eq!(d.call(&format!("POST /containers/{id}/start")).status, 204);
        id
    };
    (0..count).map(|_| one()).collect()
}

/// KiB of memory, what is shared divided by those who share it.
fn proportional(pid: u32) -> f64 {
    field(&fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap(), "Pss:")
}

fn status(pid: u32, name: &str) -> f64 {
    field(&fs::read_to_string(format!("/proc/{pid}/status")).unwrap(), name)
}

fn field(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
