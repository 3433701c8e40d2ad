//! The life of a container: stop, kill, pause, restart, rename, wait, remove.

use std::time::{Duration, Instant};

use hull_tests::command::gone;
use hull_tests::{daemon, eventually};
use serde_json::json;

#[test]
fn stop_sends_the_stop_signal_and_kills_after_the_timeout() {
    let d = daemon!();
    let script = "trap 'echo usr1; exit 3' USR1; echo ready; while :; do sleep 0.1; done";
    let polite =
        d.docker("run -d --network none --stop-signal USR1 busybox sh -c").arg(script).ok();
    eventually("it is ready", || {
        d.docker("logs").arg(&polite).ok().contains("ready").then_some(())
    });
    d.docker("stop").arg(&polite).ok();
    assert_eq!(d.inspect(&polite)["State"]["ExitCode"], 3);
    assert!(d.docker("logs").arg(&polite).ok().contains("usr1"));
    // Process 1 ignores what it has no handler for.
    let deaf = d.run_detached("busybox sleep 1000");
    let start = Instant::now();
    d.docker("stop -t 1").arg(&deaf).ok();
    assert!((1.0..5.0).contains(&start.elapsed().as_secs_f64()), "{:?}", start.elapsed());
    assert_eq!(d.inspect(&deaf)["State"]["ExitCode"], 137);
    // Once more is no mistake.
    assert_eq!(d.call(&format!("POST /containers/{deaf}/stop")).status, 304);
    assert_eq!(d.call(&format!("POST /containers/{deaf}/kill")).status, 409);
}

#[test]
fn start_twice_is_304_and_a_stopped_one_starts_again_with_its_files() {
    let d = daemon!();
    let id = d.run_detached("busybox sh -c 'echo run >> /runs; cat /runs; sleep 1000'");
    assert_eq!(d.call(&format!("POST /containers/{id}/start")).status, 304);
    d.docker("restart -t 0").arg(&id).ok();
    d.docker("stop -t 0").arg(&id).ok();
    d.docker("start").arg(&id).ok();
    let logs = || d.docker("logs").arg(&id).ok().lines().count();
    eventually("three starts", || (logs() == 1 + 2 + 3).then_some(()));
}

#[test]
fn pause_freezes_and_unpause_goes_on() {
    let d = daemon!();
    let id = d.run_detached("busybox sh -c 'while :; do echo x; sleep 0.05; done'");
    d.docker("pause").arg(&id).ok();
    assert_eq!(d.inspect(&id)["State"]["Status"], "paused");
    std::thread::sleep(Duration::from_millis(100));
    let lines = || d.docker("logs").arg(&id).ok().lines().count();
    let frozen = lines();
    std::thread::sleep(Duration::from_millis(400));
    assert_eq!(lines(), frozen);
    assert_eq!(d.call(&format!("POST /containers/{id}/pause")).status, 409);
    assert!(d.docker("ps --format {{.Status}}").ok().contains("(Paused)"));
    d.docker("unpause").arg(&id).ok();
    eventually("it goes on", || (lines() > frozen).then_some(()));
    // A paused one can be removed, too.
    d.docker("pause").arg(&id).ok();
    d.docker("rm -f").arg(&id).ok();
}

#[test]
fn restart_policies_hold() {
    let d = daemon!();
    let failing = d.run_detached("--restart on-failure:2 busybox sh -c 'echo run; exit 3'");
    let runs = |id: &str| d.docker("logs").arg(id).ok().lines().count();
    eventually("two restarts", || (d.inspect(&failing)["RestartCount"] == 2).then_some(()));
    d.until(&failing, "exited");
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(runs(&failing), 3);
    let content = d.run_detached("--restart on-failure busybox true");
    d.until(&content, "exited");
    assert_eq!(d.inspect(&content)["RestartCount"], 0);
    let always = d.run_detached("--restart always busybox sh -c 'echo run; sleep 0.2'");
    eventually("it runs again", || (runs(&always) >= 3).then_some(()));
    // Stopped by hand it stays so.
    d.docker("stop -t 0").arg(&always).ok();
    let then = runs(&always);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!((runs(&always), &d.inspect(&always)["State"]["Running"]), (then, &json!(false)));
    // `kill` is no stop by hand for docker, but its exit is then not restarted either.
    let loops = d.run_detached("--restart unless-stopped busybox sleep 1000");
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(i32::try_from(d.pid_of(&loops)).unwrap()).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
    eventually("it is restarted", || {
        let seen = d.inspect(&loops);
        (seen["State"]["Running"] == true && seen["RestartCount"] == 1).then_some(())
    });
}

#[test]
fn rename_gives_the_old_name_free() {
    let d = daemon!();
    let id = d.run_detached("--name old busybox sleep 1000");
    d.docker("rename old new").ok();
    assert_eq!(d.inspect("new")["Id"], *id);
    assert_eq!(d.get("/containers/old/json").status, 404);
    d.run_detached("--name old busybox sleep 1000");
    let why = d.docker("rename old new").fails(1);
    assert!(why.contains("/new") && why.contains(&id), "{why}");
    assert_eq!(d.call("POST /containers/old/rename?name=-bad").status, 400);
}

#[test]
fn wait_returns_for_each_condition() {
    let d = daemon!();
    let id = d.docker("create --network none busybox sh -c 'exit 6'").ok();
    // Not running yet: `not-running` is at once, `next-exit` is not.
    let at_once = d.call(&format!("POST /containers/{id}/wait?condition=not-running")).json();
    assert_eq!(at_once["StatusCode"], 0);
    let mut next = d.connect();
    next.request(&format!("POST /containers/{id}/wait?condition=next-exit"), "", b"");
    assert_eq!(next.head().status, 200, "headers come before the exit");
    let mut removed = d.connect();
    removed.request(&format!("POST /containers/{id}/wait?condition=removed"), "", b"");
    assert_eq!(removed.head().status, 200);
    d.docker("start").arg(&id).ok();
    let seen = String::from_utf8(next.chunk().unwrap()).unwrap();
    assert!(seen.contains("\"StatusCode\":6"), "{seen}");
    d.docker("rm").arg(&id).ok();
    let seen = String::from_utf8(removed.chunk().unwrap()).unwrap();
    assert!(seen.contains("\"StatusCode\":6"), "{seen}");
    assert_eq!(d.call(&format!("POST /containers/{id}/wait")).status, 404);
}

#[test]
fn remove_refuses_what_runs_unless_forced() {
    let d = daemon!();
    let id = d.run_detached("busybox sleep 1000");
    let (pid, shim) = (d.pid_of(&id), d.shim_of(&id));
    assert_eq!(d.call(&format!("DELETE /containers/{id}")).status, 409);
    d.docker("rm -f").arg(&id).ok();
    assert_eq!(d.get(&format!("/containers/{id}/json")).status, 404);
    gone(pid);
    gone(shim);
    assert!(d.traces().cgroups().iter().all(|path| !path.to_string_lossy().contains(&id)));
    assert!(!d.data_root().join("guests").join(&id).exists());
    assert!(!d.exec_root().join("guests").join(&id).exists());
}

#[test]
fn top_shows_the_processes_with_the_hosts_pids() {
    let d = daemon!();
    let id = d.run_detached("busybox sh -c 'sleep 1000 & wait'");
    let pid = d.pid_of(&id);
    let top = d.docker("top").arg(&id).ok();
    assert!(
        top.contains("PID") && top.contains(&pid.to_string()) && top.contains("sleep 1000"),
        "{top}"
    );
    let top = d.docker("top").arg(&id).arg("-o").arg("pid,comm").ok();
    assert_eq!(top.lines().count(), 3, "{top}");
}

#[test]
fn prune_removes_what_has_ended() {
    let d = daemon!();
    d.docker("run --name ended --network none busybox true").ok();
    let running = d.run_detached("busybox sleep 1000");
    let said = d.docker("container prune -f").run();
    if said.status == 0 {
        assert_eq!(d.docker("ps -aq --no-trunc").ok(), running);
    } else {
        assert!(said.stderr.contains("not"), "a missing route says so: {said:?}");
    }
}

#[test]
fn starting_and_removing_at_once_gives_each_client_one_clear_answer() {
    let d = daemon!();
    for _ in 0..10 {
        let id = d.docker("create --network none busybox sleep 1000").ok();
        let statuses: Vec<u16> = std::thread::scope(|scope| {
            let calls = [
                format!("POST /containers/{id}/start"),
                format!("DELETE /containers/{id}?force=1"),
                format!("POST /containers/{id}/start"),
                format!("DELETE /containers/{id}?force=1"),
            ];
            let d = &d;
            let clients = calls.map(|line| scope.spawn(move || d.call(&line).status));
            clients.map(|client| client.join().unwrap()).into()
        });
        for (at, status) in statuses.iter().enumerate() {
            let allowed: &[u16] =
                if at % 2 == 0 { &[204, 304, 404, 409] } else { &[204, 404, 409] };
            assert!(allowed.contains(status), "{statuses:?}");
        }
        d.call(&format!("DELETE /containers/{id}?force=1"));
        eventually("it is gone", || {
            (d.get(&format!("/containers/{id}/json")).status == 404).then_some(())
        });
    }
}
