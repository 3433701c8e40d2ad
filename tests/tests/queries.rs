//! What can be asked: inspect, ps with filters, events, info, version.

use hull_tests::{Tool, daemon, eventually};
use serde_json::json;

#[test]
fn inspect_repeats_what_was_asked_for() {
    let d = daemon!();
    let flags = "--name full --network none --memory 100m --cpus 1.5 --pids-limit 50 \
        --restart on-failure:3 --read-only --cap-add NET_ADMIN --cap-drop CHOWN --shm-size 32m \
        --stop-timeout 7 --stop-signal SIGINT --user alice -w /tmp -e A=1 -l k=v --hostname hn \
        --tmpfs /t -v vol:/v --log-opt max-size=1m --ulimit nofile=10:20 -t";
    d.docker(&format!("create {flags} busybox sleep 1")).ok();
    let seen = d.inspect("full");
    let host = &seen["HostConfig"];
    for (key, want) in [
        ("Memory", json!(104_857_600)),
        ("NanoCpus", json!(1_500_000_000)),
        ("PidsLimit", json!(50)),
        ("RestartPolicy", json!({"Name": "on-failure", "MaximumRetryCount": 3})),
        ("ReadonlyRootfs", json!(true)),
        ("ShmSize", json!(33_554_432)),
        ("Tmpfs", json!({"/t": ""})),
        ("Binds", json!(["vol:/v"])),
        ("NetworkMode", json!("none")),
        ("Ulimits", json!([{"Name": "nofile", "Hard": 20, "Soft": 10}])),
        // Rotation is on by default, and shown.
        ("LogConfig", json!({"Type": "json-file", "Config": {"max-size": "1m", "max-file": "3"}})),
    ] {
        assert_eq!(host[key], want, "HostConfig.{key}");
    }
    let config = &seen["Config"];
    for (key, want) in [
        ("Hostname", json!("hn")),
        ("User", json!("alice")),
        ("Tty", json!(true)),
        ("Cmd", json!(["sleep", "1"])),
        ("Image", json!("busybox")),
        ("WorkingDir", json!("/tmp")),
        ("Labels", json!({"k": "v"})),
        ("StopSignal", json!("SIGINT")),
        ("StopTimeout", json!(7)),
    ] {
        assert_eq!(config[key], want, "Config.{key}");
    }
    assert_eq!(seen["Name"], "/full");
    assert_eq!(seen["State"]["Status"], "created");
    assert_eq!(seen["Mounts"][0]["Name"], "vol");
    assert_eq!((&seen["Path"], &seen["Args"]), (&json!("sleep"), &json!(["1"])));
}

#[test]
fn lists_are_filtered() {
    let d = daemon!();
    let running = d.run_detached("--name one -l app=web -v data:/d busybox sleep 1000");
    let ended = d.docker("run --name two -l app=db --network none busybox sh -c 'exit 3'");
    ended.fails(3);
    d.docker("create --name three --network none busybox true").ok();
    let names = |filters: &str| {
        let seen = d.docker(&format!("ps -a --format {{{{.Names}}}} {filters}")).ok();
        let mut names: Vec<_> = seen.lines().map(str::to_owned).collect();
        names.sort();
        names.join(" ")
    };
    for (filters, want) in [
        ("", "one three two"),
        ("-f status=running", "one"),
        ("-f status=exited", "two"),
        ("-f status=created", "three"),
        ("-f status=exited -f status=created", "three two"),
        ("-f exited=3", "two"),
        ("-f exited=4", ""),
        ("-f label=app", "one two"),
        ("-f label=app=web", "one"),
        ("-f name=t", "three two"),
        ("-f name=^one$", "one"),
        ("-f ancestor=busybox", "one three two"),
        ("-f ancestor=none", ""),
        ("-f volume=data", "one"),
        ("-f volume=/d", "one"),
        ("-f network=none", "one three two"),
        ("-f before=two", "one"),
        ("-f since=two", "three"),
        ("-n 1", "three"),
        ("-l", "three"),
    ] {
        assert_eq!(names(filters), want, "{filters}");
    }
    assert_eq!(names(&format!("-f id={}", &running[..10])), "one");
    assert_eq!(d.docker("ps -q --no-trunc").ok(), running);
    let why = d.docker("ps -f nonsense=1").fails(1);
    assert!(why.contains("nonsense"), "{why}");
    let size = d.docker("ps -a -s --format {{.Size}} -f name=one").ok();
    assert!(size.contains("virtual"), "{size}");
}

#[test]
fn events_tell_the_story_in_order() {
    let d = daemon!();
    let follower = d.docker("events --format '{{.Action}}' --filter type=container").spawn();
    std::thread::sleep(std::time::Duration::from_millis(300));
    d.docker("run --rm --name ev -l x=y --network none busybox true").ok();
    follower.expect("destroy");
    let story = "create attach start die destroy";
    let seen: Vec<_> = follower.stdout().lines().map(str::to_owned).collect();
    let core: Vec<_> = seen.iter().filter(|action| story.contains(action.as_str())).collect();
    let position = |what: &str| core.iter().position(|action| *action == what).unwrap_or(99);
    let order: Vec<_> = ["create", "start", "die", "destroy"].map(position).into();
    assert!(order.windows(2).all(|pair| pair[0] < pair[1]) && order[3] < 99, "{seen:?}");
    // The past, with bounds and filters.
    let now = Tool::new("date", "+%s.%N").ok();
    let past = |filters: &str| {
        let bounds = format!("events --since 1h --until {now} {filters}");
        d.docker(&format!("{bounds} --format '{{{{.Action}}}}'")).ok()
    };
    assert!(past("").contains("start"));
    assert_eq!(past("--filter container=ev --filter event=die"), "die");
    assert_eq!(past("--filter label=x=y --filter event=create"), "create");
    assert_eq!(past("--filter label=x=z"), "");
    assert!(past("--filter type=image").contains("load"));
    let raw =
        d.get(&format!("/events?since=1&until={now}&filters={{%22event%22:[%22die%22]}}")).text();
    let event: serde_json::Value = serde_json::from_str(raw.lines().next().unwrap()).unwrap();
    assert_eq!(event["Actor"]["Attributes"]["exitCode"], "0");
    assert_eq!(event["Actor"]["Attributes"]["name"], "ev");
}

#[test]
fn info_and_version_are_what_clients_read() {
    let d = daemon!();
    d.run_detached("busybox sleep 1000");
    let info = d.get("/info").json();
    assert_eq!((&info["Containers"], &info["ContainersRunning"]), (&json!(1), &json!(1)));
    assert_eq!(info["Images"], 1);
    assert_eq!(info["OSType"], "linux");
    assert_eq!(info["DockerRootDir"], *d.data_root().display().to_string());
    assert!(info["SecurityOptions"].to_string().contains("name=seccomp"), "{info}");
    assert!(info["SecurityOptions"].to_string().contains("name=userns"), "{info}");
    let version = d.get("/version").json();
    assert_eq!(
        (&version["ApiVersion"], &version["MinAPIVersion"]),
        (&json!("1.55"), &json!("1.24"))
    );
    assert!(d.docker("info").ok().contains("Server Version"));
    assert!(d.docker("version").ok().contains("Server"));
    assert!(d.hull("info").ok().contains("Server Version"));
    assert!(d.hull("version").ok().contains("Server"));
}

#[test]
fn formats_of_hulls_cli_are_dockers() {
    let d = daemon!();
    d.run_detached("--name fmt -l a=b busybox sleep 1000");
    for words in [
        "ps --format '{{.Names}}|{{.Image}}|{{.State}}|{{.Label \"a\"}}'",
        "ps --format json --no-trunc",
        "ps -q",
        "images --format '{{.Repository}}:{{.Tag}} {{.ID}}'",
        "images -q --no-trunc",
        "inspect --format '{{.State.Running}} {{json .Config.Labels}} {{range .Args}}{{.}}{{end}}' fmt",
        "inspect -f '{{len .Id}} {{index .Config.Labels \"a\"}} {{.Name | printf \"%s!\"}}' fmt",
        "port fmt",
        "volume ls",
    ] {
        // What counts from now changes between the two.
        let (theirs, ours) = (d.docker(words).ok(), d.hull(words).ok());
        if words.contains("json --no-trunc") {
            let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
            let (theirs, ours) = (read(&theirs), read(&ours));
            for key in ["ID", "Names", "Image", "Command", "Labels", "State", "Mounts", "Ports"] {
                assert_eq!(theirs[key], ours[key], "{key}");
            }
        } else {
            assert_eq!(theirs, ours, "{words}");
        }
    }
}

#[test]
fn a_listing_never_waits_for_a_stuck_guest() {
    let d = daemon!();
    let id = d.run_detached("--stop-timeout 20 busybox sleep 1000");
    let stop = d.docker("stop").arg(&id).spawn();
    std::thread::sleep(std::time::Duration::from_millis(300));
    let start = std::time::Instant::now();
    assert_eq!(d.get("/containers/json").status, 200);
    assert_eq!(d.inspect(&id)["State"]["Running"], true);
    assert!(start.elapsed().as_millis() < 2000, "{:?}", start.elapsed());
    d.docker("kill").arg(&id).ok();
    assert_eq!(stop.finish().status, 0);
    eventually("it has ended", || (d.inspect(&id)["State"]["Running"] == false).then_some(()));
}
