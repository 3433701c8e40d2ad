//! The daemon may die at any moment: no container, log line or exit status is lost, nothing leaks.

use std::time::{Duration, Instant};

use hull_tests::command::gone;
use hull_tests::{Daemon, Settings, daemon, eventually};
use serde_json::json;

#[test]
fn a_killed_daemon_loses_no_container_no_line_and_no_status() {
    let mut d = daemon!();
    let counter = "i=0; while :; do i=$((i+1)); echo $i; usleep 2000; done";
    let counting =
        d.docker("run -d --network none --name counting busybox sh -c").arg(counter).ok();
    d.run_detached("--name ends busybox sh -c 'sleep 1; echo bye; exit 42'");
    d.docker("run -d --name bridged busybox sleep 1000").ok();
    let pid = d.pid_of(&counting);
    d.kill();
    std::thread::sleep(Duration::from_millis(1500));
    let start = Instant::now();
    d.again();
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert_eq!(d.pid_of("counting"), pid);
    assert_eq!(d.inspect("ends")["State"]["Status"], "exited");
    assert_eq!(d.inspect("ends")["State"]["ExitCode"], 42);
    assert_eq!(d.docker("logs ends").ok(), "bye");
    assert_eq!(d.docker("exec counting echo works").ok(), "works");
    let gateway = d.bridge().trim_end_matches("/24").to_owned();
    d.docker(&format!("exec bridged ping -c1 -W2 {gateway}")).ok();
    d.docker("stop -t 0 counting").ok();
    let lines = d.docker("logs counting").ok();
    let lost = lines.lines().zip(1_u32..).find(|(line, want)| line.parse() != Ok(*want));
    assert_eq!(lost, None);
    assert!(lines.lines().count() > 200);
}

#[test]
fn a_client_that_waits_or_follows_is_told_when_the_daemon_dies() {
    let mut d = daemon!();
    let id = d.run_detached("busybox sleep 1000");
    let waiting = d.docker("wait").arg(&id).spawn();
    let following = d.docker("logs -f").arg(&id).spawn();
    std::thread::sleep(Duration::from_millis(300));
    d.kill();
    waiting.finish();
    following.finish();
    d.again();
}

/// Kills the daemon at moments spread over `work`, and checks that a new one is in order.
fn killed_during(work: fn(&Daemon, u32)) {
    let mut d = daemon!();
    // How long the work takes here, so that the moments cover all of it.
    let start = Instant::now();
    work(&d, 0);
    let whole = start.elapsed();
    for round in 1..=12_u32 {
        let moment = whole * round / 10;
        std::thread::scope(|scope| {
            let client = &d;
            let socket = client.socket();
            let pid = client.pid();
            scope.spawn(move || {
                // The client fails when its daemon dies: that is the point.
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(client, round))).ok();
            });
            std::thread::sleep(moment);
            let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
            drop(socket);
        });
        d.kill();
        d.again();
        check(&d, round);
    }
}

/// What holds after every restart.
fn check(d: &Daemon, round: u32) {
    let list = d.get("/containers/json?all=1");
    assert_eq!(list.status, 200, "round {round}: {}", list.text());
    for guest in list.json().as_array().unwrap() {
        let id = guest["Id"].as_str().unwrap();
        let state = guest["State"].as_str().unwrap();
        assert!(["created", "running", "exited"].contains(&state), "round {round}: {guest}");
        if state == "running" {
            let alive = d.docker(&format!("exec {id} true")).run();
            // Unless it has ended by itself in the meantime.
            let now = d.get(&format!("/containers/{id}/json"));
            let ended = now.status == 404 || now.json()["State"]["Running"] == false;
            assert!(alive.status == 0 || ended, "round {round}: {alive:?}");
        }
        let removed = d.call(&format!("DELETE /containers/{id}?force=1&v=1"));
        assert!([204, 404].contains(&removed.status), "round {round}: {}", removed.text());
    }
    let left = || {
        let traces = d.traces();
        let processes: Vec<_> =
            traces.processes().into_iter().filter(|(_, exe)| exe.contains("shim")).collect();
        let cgroups: Vec<_> =
            traces.cgroups().into_iter().filter(|path| !is_parent(path, d)).collect();
        let links: Vec<_> =
            traces.links().into_iter().filter(|name| name.starts_with("hull")).collect();
        (processes, cgroups, links, traces.mounts())
    };
    let empty = (vec![], vec![], vec![], vec![]);
    let clean =
        hull_tests::wait::within(Duration::from_secs(5), || (left() == empty).then_some(()));
    assert!(clean.is_some(), "round {round} left {:#?}\n{}", left(), d.log());
    for dir in [d.exec_root().join("guests"), d.data_root().join("guests")] {
        let names: Vec<_> = std::fs::read_dir(&dir).into_iter().flatten().flatten().collect();
        assert!(names.is_empty(), "round {round}: {} has {names:?}", dir.display());
    }
}

fn is_parent(path: &std::path::Path, d: &Daemon) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy() == d.cgroup_parent())
}

#[test]
fn killed_during_create_and_start() {
    killed_during(|d, round| {
        let body = json!({"Image": "busybox", "Cmd": ["sleep", "1000"]});
        let made = d.post(&format!("/containers/create?name=n{round}"), &body);
        let id = made.json()["Id"].as_str().unwrap().to_owned();
        d.call(&format!("POST /containers/{id}/start"));
        if round == 0 {
            d.call(&format!("DELETE /containers/{id}?force=1"));
        }
    });
}

#[test]
fn killed_during_stop_and_remove() {
    killed_during(|d, round| {
        let body = json!({"Image": "busybox", "Cmd": ["sleep", "1000"],
            "HostConfig": {"Binds": ["vol:/v"]}});
        let made = d.post(&format!("/containers/create?name=n{round}"), &body);
        let id = made.json()["Id"].as_str().unwrap().to_owned();
        d.call(&format!("POST /containers/{id}/start"));
        d.call(&format!("POST /containers/{id}/stop?t=0"));
        d.call(&format!("DELETE /containers/{id}?v=1"));
    });
}

#[test]
fn killed_during_exec_and_short_runs() {
    killed_during(|d, round| {
        let body = json!({"Image": "busybox", "Cmd": ["true"],
            "HostConfig": {"AutoRemove": true, "NetworkMode": "none"}});
        for part in 0..3 {
            let made = d.post(&format!("/containers/create?name=n{round}-{part}"), &body);
            let id = made.json()["Id"].as_str().unwrap().to_owned();
            d.call(&format!("POST /containers/{id}/start"));
            d.call(&format!("POST /containers/{id}/wait?condition=removed"));
        }
    });
}

#[test]
fn killed_during_load() {
    killed_during(|d, _| {
        let archive = std::fs::read(hull_tests::images::busybox()).unwrap();
        d.call("DELETE /images/busybox?force=1");
        d.load(&archive);
    });
}

#[test]
fn a_shim_that_is_killed_ends_its_container_and_nothing_else() {
    let d = daemon!();
    let victim = d.run_detached("--name victim busybox sleep 1000");
    let other = d.run_detached("--name other busybox sleep 1000");
    let (pid, shim) = (d.pid_of(&victim), d.shim_of(&victim));
    let shim = rustix::process::Pid::from_raw(i32::try_from(shim).unwrap()).unwrap();
    rustix::process::kill_process(shim, rustix::process::Signal::KILL).unwrap();
    gone(pid);
    d.until("victim", "exited");
    // Nobody is left who could know how it ended.
    assert_eq!(d.inspect("victim")["State"]["ExitCode"], 255);
    assert_eq!(d.docker(&format!("exec {other} echo fine")).ok(), "fine");
    d.docker("start victim").ok();
}

#[test]
fn restart_policies_hold_across_a_restart_of_the_daemon() {
    let mut d = daemon!();
    d.run_detached("--name always --restart always busybox sleep 1000");
    d.run_detached("--name never busybox sleep 1000");
    let pids = ["always", "never"].map(|name| d.pid_of(name));
    d.kill();
    for pid in pids {
        let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }
    pids.into_iter().for_each(gone);
    d.again();
    eventually("it runs again", || (d.inspect("always")["State"]["Running"] == true).then_some(()));
    assert_eq!(d.inspect("never")["State"]["Status"], "exited");
    assert_eq!(d.inspect("never")["State"]["ExitCode"], 137);
}

#[test]
fn sigterm_leaves_guests_running_unless_told_otherwise() {
    let mut d = daemon!(Settings { leaves_guests: true, ..Settings::default() });
    d.run_detached("--name kept busybox sleep 1000");
    let pid = d.pid_of("kept");
    assert_eq!(d.terminate(), 0);
    assert!(std::path::Path::new(&format!("/proc/{pid}/status")).exists());
    d.again();
    assert_eq!(d.pid_of("kept"), pid);
    d.docker("rm -f kept").ok();
    let mut d = daemon!();
    d.run_detached("--name ended busybox sleep 1000");
    let pid = d.pid_of("ended");
    assert_eq!(d.terminate(), 0);
    gone(pid);
    d.again();
    assert_eq!(d.inspect("ended")["State"]["Status"], "exited");
}
