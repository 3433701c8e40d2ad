//! How long it takes until something runs.

use std::process::Command;
use std::time::Instant;

use hull_tests::{Daemon, program};
use serde_json::json;

use crate::clock::{median, times};
use crate::peers::{Bundle, engines};
use crate::{Row, daemon};

/// How many times each is measured.
const COUNT: usize = 50;

fn hull(d: &Daemon, words: &str) -> Command {
    let mut command = Command::new(program::hull());
    command.args(words.split(' ')).env("HULL_HOST", d.host());
    command
}

pub(crate) fn run() -> Vec<Row> {
    let d = daemon();
    let words = "run --rm --network none busybox true";
    let seen = median(times(COUNT, &mut hull(&d, words)));
    let row = Row::at_most("run --rm --network none IMAGE true", seen, 15.0, "ms");
    vec![row.beside(Bundle::new().runs()).beside(engines(words))]
}

/// The runtime alone, beside others of its kind.
pub(crate) fn runtime() -> Vec<Row> {
    let bundle = Bundle::new();
    let mut all = bundle.same_config();
    if all.len() < 2 || all[0].0 != "hull" {
        eprintln!("left out: no other runtime to compare with");
        return Vec::new();
    }
    let (_, seen) = all.remove(0);
    let crun = all.iter().find(|(name, _)| name == "crun").map(|(_, time)| *time);
    let limit = crun.map_or(f64::INFINITY, |time| time * 1.2);
    let promise = "hull runtime run, the same config.json (1.2 x crun)";
    vec![Row::at_most(promise, seen, limit, "ms").beside(all)]
}

/// What the default costs at start over the host's user namespace: both in turn, so that what else the
/// machine does hits both.
pub(crate) fn users() -> Vec<Row> {
    let d = daemon();
    let words = "run --rm --network none busybox true";
    let host = "run --rm --network none --userns host busybox true";
    let (mut own, mut hosts) = (Vec::new(), Vec::new());
    for _ in 0..10 {
        own.extend(times(COUNT / 5, &mut hull(&d, words)));
        hosts.extend(times(COUNT / 5, &mut hull(&d, host)));
    }
    let (own, hosts) = (median(own), median(hosts));
    let row = Row::at_most("run: user namespace over --userns host", own - hosts, 1.0, "ms");
    vec![row.beside([("with".to_owned(), own), ("without".to_owned(), hosts)])]
}

pub(crate) fn bridge() -> Vec<Row> {
    let d = daemon();
    let words = "run --rm busybox true";
    let seen = median(times(COUNT, &mut hull(&d, words)));
    vec![Row::at_most("run --rm IMAGE true, bridge", seen, 25.0, "ms").beside(engines(words))]
}

pub(crate) fn exec() -> Vec<Row> {
    let d = daemon();
    hull(&d, "run -d --network none --name xx busybox sleep 600").output().unwrap();
    let seen = median(times(COUNT, &mut hull(&d, "exec xx true")));
    vec![Row::at_most("exec CONTAINER true", seen, 8.0, "ms").beside(Bundle::new().execs())]
}

pub(crate) fn create_and_start() -> Vec<Row> {
    let d = daemon();
    let body = json!({"Image": "busybox", "Cmd": ["sleep", "600"],
        "HostConfig": {"NetworkMode": "none"}});
    let body = body.to_string();
    // One connection, as clients keep it.
    let mut api = d.connect();
    let mut seen = Vec::new();
    for _ in 0..COUNT {
        let start = Instant::now();
        let kind = "Content-Type: application/json\r\n";
        api.request("POST /containers/create", kind, body.as_bytes());
        let id = api.answer().json()["Id"].as_str().unwrap().to_owned();
        api.request(&format!("POST /containers/{id}/start"), "", b"");
        assert_eq!(api.answer().status, 204);
        seen.push(start.elapsed());
        d.call(&format!("DELETE /containers/{id}?force=1"));
    }
    vec![Row::at_most("create + start by API", median(seen), 8.0, "ms")]
}

pub(crate) fn fifty() -> Vec<Row> {
    let d = daemon();
    hull(&d, "run --rm --network none busybox true").output().unwrap();
    let start = Instant::now();
    for _ in 0..50 {
        let done = hull(&d, "run -d --network none busybox sleep 600").output().unwrap();
        assert!(done.status.success(), "{done:?}");
    }
    let seen = start.elapsed().as_secs_f64();
    vec![Row::at_most("50 x run -d --network none, in a row", seen, 0.6, "s")]
}
