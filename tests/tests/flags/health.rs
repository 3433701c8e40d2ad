//! `--health-*` and `--no-healthcheck`, and the HEALTHCHECK of an image.

use hull_tests::images::{Image, file};
use hull_tests::{Daemon, Settings, daemon, eventually};
use serde_json::{Value, json};

fn health(d: &Daemon, name: &str) -> Value {
    d.inspect(name)["State"]["Health"].clone()
}

fn until(d: &Daemon, name: &str, status: &str) -> Value {
    eventually(&format!("{name} is {status}"), || {
        let health = health(d, name);
        (health["Status"] == status).then_some(health)
    })
}

#[test]
fn a_guest_is_healthy_and_unhealthy_as_its_check_says() {
    let d = daemon!();
    let events = d.docker_started("events --filter event=health_status --format {{.Action}}");
    d.run_detached(
        "--name cc --health-interval 100ms --health-retries 2 \
         --health-cmd 'echo out; echo err >&2; cat /sick' busybox sleep 1000",
    );
    assert_eq!(health(&d, "cc")["Status"], "starting");
    assert!(d.docker("ps --format {{.Status}}").ok().ends_with("(health: starting)"));
    let seen = until(&d, "cc", "unhealthy");
    assert!(seen["FailingStreak"].as_u64().unwrap() >= 2, "{seen}");
    let outcome = &seen["Log"][0];
    assert_eq!(outcome["ExitCode"], 1);
    let output = outcome["Output"].as_str().unwrap();
    assert!(output.contains("out\n") && output.contains("err\n"), "{output}");
    assert_eq!(d.docker("ps -q --filter health=unhealthy").ok().lines().count(), 1);
    d.docker("exec cc touch /sick").ok();
    let seen = until(&d, "cc", "healthy");
    assert_eq!(seen["FailingStreak"], 0);
    assert!(d.docker("ps --format {{.Status}}").ok().ends_with("(healthy)"));
    eventually("five outcomes", || (health(&d, "cc")["Log"].as_array()?.len() == 5).then_some(()));
    events.expect("health_status: unhealthy\nhealth_status: healthy\n");
    // A paused guest is not tested, and goes on being what it was.
    d.docker("pause cc").ok();
    let before = health(&d, "cc");
    std::thread::sleep(std::time::Duration::from_millis(400));
    assert_eq!(health(&d, "cc"), before);
    d.docker("unpause cc").ok();
    eventually("it is tested again", || (health(&d, "cc") != before).then_some(()));
    d.docker("stop -t 0 cc").ok();
    assert_eq!(health(&d, "cc")["Status"], "unhealthy");
}

#[test]
fn a_check_that_hangs_is_killed_and_none_is_started_beside_it() {
    let d = daemon!();
    // It leaves a child that holds its output open, ignores signals it can, and fills the pipe.
    d.run_detached(
        "--name cc --health-interval 100ms --health-timeout 300ms --health-retries 3 \
         --health-cmd 'echo begun; trap \"\" TERM; sleep 1000 & sleep 1001' busybox sleep 1002",
    );
    let seen = until(&d, "cc", "unhealthy");
    for outcome in seen["Log"].as_array().unwrap() {
        assert_eq!(outcome["ExitCode"], -1, "{outcome}");
    }
    let output = seen["Log"][0]["Output"].as_str().unwrap();
    assert_eq!(output, "Health check exceeded timeout (300ms): begun\n");
    let running = d.docker("exec cc ps -o args").ok();
    let checks = running.lines().filter(|line| line.contains("echo begun")).count();
    assert!(checks <= 1, "{running}");
    // The guest itself is as it was, and can be worked with.
    assert_eq!(d.docker("exec cc echo fine").ok(), "fine");
}

#[test]
fn outputs_are_cut_and_commands_that_do_not_exist_are_failures() {
    let d = daemon!();
    d.run_detached(
        "--name long --health-interval 50ms --health-cmd 'yes | head -c 100000' busybox sleep 100",
    );
    let seen = until(&d, "long", "healthy");
    let output = seen["Log"][0]["Output"].as_str().unwrap();
    assert!(output.len() == 4_099 && output.ends_with("..."), "{}", output.len());
    let body = json!({
        "Image": "busybox", "Cmd": ["sleep", "100"], "HostConfig": {"NetworkMode": "none"},
        "Healthcheck": {"Test": ["CMD", "/no/such"], "Interval": 50_000_000, "Retries": 1},
    });
    assert_eq!(d.post("/containers/create?name=none", &body).status, 201);
    d.docker("start none").ok();
    let seen = until(&d, "none", "unhealthy");
    assert_eq!(seen["Log"][0]["ExitCode"], -1);
    assert!(seen["Log"][0]["Output"].as_str().unwrap().contains("/no/such"), "{seen}");
}

#[test]
fn failures_in_the_start_period_do_not_count() {
    let d = daemon!();
    d.run_detached(
        "--name cc --health-start-period 1h --health-start-interval 50ms --health-interval 1h \
         --health-retries 1 --health-cmd 'test -e /ready' busybox sleep 1000",
    );
    eventually("three failures", || (health(&d, "cc")["Log"].as_array()?.len() >= 3).then_some(()));
    assert_eq!(health(&d, "cc")["Status"], "starting");
    assert_eq!(health(&d, "cc")["FailingStreak"], 0);
    d.docker("exec cc touch /ready").ok();
    until(&d, "cc", "healthy");
}

#[test]
fn checks_go_on_when_the_daemon_comes_back() {
    let mut d = daemon!(Settings { leaves_guests: true, ..Settings::default() });
    d.run_detached(
        "--name cc --health-interval 100ms --health-timeout 5s --health-retries 1 \
         --health-cmd 'cat /file' busybox sleep 1000",
    );
    d.docker("exec cc sh -c 'echo 1 > /file'").ok();
    until(&d, "cc", "healthy");
    d.kill();
    d.again();
    assert_eq!(health(&d, "cc")["Status"], "healthy");
    d.docker("exec cc rm /file").ok();
    until(&d, "cc", "unhealthy");
    // One that hangs while the daemon goes is killed by the next, which tests again.
    d.docker("exec cc mkfifo /file").ok();
    let hanging = || {
        let all = d.docker("exec cc ps -o pid,args").ok();
        let line = all.lines().find(|line| line.ends_with(" cat /file"))?;
        Some(line.split_whitespace().next()?.to_owned())
    };
    let first = eventually("a check hangs", hanging);
    d.kill();
    d.again();
    let gone = format!("exec cc test ! -e /proc/{first}");
    eventually("it is gone", || (d.docker(&gone).run().status == 0).then_some(()));
    d.docker("exec cc sh -c 'rm /file; echo 1 > /file'").ok();
    until(&d, "cc", "healthy");
}

#[test]
fn an_image_says_how_it_is_tested_and_a_user_says_more() {
    let d = daemon!();
    let busybox = std::fs::read(hull_tests::need::find("busybox").unwrap()).unwrap();
    let mut layer = tar::Builder::new(Vec::new());
    for program in ["bin/sleep", "bin/ash", "bin/test", "bin/cat"] {
        file(&mut layer, program, 0o755, &busybox);
    }
    let layers = vec![layer.into_inner().unwrap()];
    let config = json!({
        "Cmd": ["/bin/sleep", "1000"], "Shell": ["/bin/ash", "-c"],
        "Healthcheck": {"Test": ["CMD-SHELL", "/bin/test -x /bin/ash"], "Interval": 50_000_000},
    });
    let image = Image { name: "checked:latest", layers: layers.clone(), config };
    assert_eq!(d.load(&image.docker_archive()).status, 200);
    d.run_detached("--name cc checked");
    until(&d, "cc", "healthy");
    d.run_detached("--name merged --health-retries 7 checked");
    let merged = d.inspect("merged")["Config"]["Healthcheck"].clone();
    assert_eq!(merged["Retries"], 7);
    assert_eq!(merged["Interval"], 50_000_000);
    assert_eq!(merged["Test"][0], "CMD-SHELL");
    d.run_detached("--name off --no-healthcheck checked");
    assert_eq!(d.inspect("off")["State"]["Health"], Value::Null);
    assert_eq!(d.docker("ps -q --filter health=none").ok().lines().count(), 1);
    // What an image says cannot keep it from running.
    let config = json!({"Cmd": ["/bin/sleep", "9"], "Healthcheck": {"Test": ["X"], "Retries": -3}});
    let image = Image { name: "odd:latest", layers, config };
    assert_eq!(d.load(&image.docker_archive()).status, 200);
    d.run_detached("--name odd odd");
    assert_eq!(d.inspect("odd")["State"]["Health"], Value::Null);
    for (flags, why) in [
        ("--health-cmd a --health-interval 5us", "cannot be less than 1ms"),
        ("--health-cmd a --health-retries -1", "cannot be negative"),
        ("--health-cmd a --no-healthcheck", "conflict"),
    ] {
        for said in
            [d.docker(&format!("run {flags} busybox")), d.hull(&format!("run {flags} busybox"))]
        {
            let done = said.run();
            assert!(done.status == 125 && done.stderr.contains(why), "{done:?}");
        }
    }
    let own = d.hull(
        "run -d --network none --name own --health-cmd true --health-interval 50ms busybox sleep 9",
    );
    own.ok();
    until(&d, "own", "healthy");
}
