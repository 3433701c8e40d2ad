//! What containers use: `stats`, `top`, and what is told when memory runs out.

use std::time::{Duration, Instant};

use hull_tests::{Connection, Daemon, daemon, eventually, need};
use serde_json::Value;

const BUSY: &str = "while :; do :; done";

fn once(d: &Daemon, id: &str) -> Value {
    let answer = d.get(&format!("/containers/{id}/stats?stream=false"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// As docker's CLI reckons it.
fn percent(stats: &Value) -> f64 {
    let total = |of: &str| stats[of]["cpu_usage"]["total_usage"].as_f64().unwrap();
    let system = |of: &str| stats[of]["system_cpu_usage"].as_f64().unwrap();
    let used = total("cpu_stats") - total("precpu_stats");
    let passed = system("cpu_stats") - system("precpu_stats");
    assert!(passed > 0.0, "{stats}");
    used / passed * stats["cpu_stats"]["online_cpus"].as_f64().unwrap() * 100.0
}

#[test]
fn one_answer_has_everything_and_a_percentage_without_a_wait() {
    let d = daemon!();
    let id = d.docker("run -d -m 64m --pids-limit 50 --cpus 0.05 busybox sh -c").arg(BUSY).ok();
    let stats = once(&d, &id);
    assert_eq!(stats["id"], id.as_str());
    assert!(stats["name"].as_str().unwrap().starts_with('/'));
    assert_eq!(stats["memory_stats"]["limit"], 64 << 20);
    assert!(stats["memory_stats"]["usage"].as_u64().unwrap() > 0);
    let details = stats["memory_stats"]["stats"].as_object().unwrap();
    assert!(details.contains_key("inactive_file") && details.contains_key("pgfault"));
    assert_eq!(stats["pids_stats"]["limit"], 50);
    assert!(stats["pids_stats"]["current"].as_u64().unwrap() >= 1);
    assert!(stats["networks"]["eth0"]["rx_bytes"].is_u64(), "{}", stats["networks"]);
    assert!(stats["networks"].get("lo").is_none());
    assert_ne!(stats["preread"], "0001-01-01T00:00:00Z");
    assert!(stats["blkio_stats"]["io_service_bytes_recursive"].is_array());
    // A whole processor less its quota, however busy the machine: never more than that.
    eventually("its quota holds it back", || {
        let stats = once(&d, &id);
        let share = percent(&stats);
        assert!(share < 90.0, "{share}: {stats}");
        let throttled = &stats["cpu_stats"]["throttling_data"]["throttled_periods"];
        (share > 0.0 && throttled.as_u64().unwrap() > 0).then_some(())
    });
}

#[test]
fn one_shot_has_no_past_and_does_not_go_with_a_stream() {
    let d = daemon!();
    let id = d.run_detached("busybox sleep 1000");
    let path = format!("/containers/{id}/stats");
    for _ in 0..2 {
        let stats = d.get(&format!("{path}?stream=false&one-shot=true")).json();
        assert_eq!(stats["preread"], "0001-01-01T00:00:00Z");
        assert_eq!(stats["precpu_stats"]["cpu_usage"]["total_usage"], 0);
        assert!(stats["cpu_stats"]["cpu_usage"]["total_usage"].as_u64().unwrap() > 0);
        assert!(stats.get("networks").is_none(), "it has no network");
        once(&d, &id);
    }
    let refused = d.get(&format!("{path}?one-shot=true"));
    assert_eq!(refused.status, 400);
    assert_eq!(refused.message(), "cannot have stream=true and one-shot=true");
    assert_eq!(d.get("/containers/nobody/stats?stream=false").status, 404);
    assert_eq!(d.get("/containers/nobody/stats").status, 404);
}

#[test]
fn containers_that_do_not_run_have_a_name_and_zeros() {
    let d = daemon!();
    d.docker("create --name never busybox").ok();
    d.docker("run --name ended --network none busybox true").ok();
    for name in ["never", "ended"] {
        let start = Instant::now();
        let stats = once(&d, name);
        assert!(start.elapsed() < Duration::from_secs(5));
        assert_eq!(stats["name"], format!("/{name}"));
        assert_eq!(stats["read"], "0001-01-01T00:00:00Z");
        assert_eq!(stats["memory_stats"], serde_json::json!({}));
        assert_eq!(stats["cpu_stats"]["cpu_usage"]["total_usage"], 0);
    }
}

#[test]
fn the_hosts_network_is_nobodys_and_a_partners_is_shown() {
    let d = daemon!();
    let host = d.docker("run -d --network host busybox sleep 1000").ok();
    assert!(once(&d, &host).get("networks").is_none());
    let main = d.docker("run -d busybox sleep 1000").ok();
    let beside = d.docker(&format!("run -d --network container:{main} busybox sleep 1000")).ok();
    assert!(once(&d, &beside)["networks"]["eth0"].is_object());
}

fn open(d: &Daemon, path: &str) -> Connection {
    let mut connection = d.connect();
    connection.request(&format!("GET {path}"), "", b"");
    assert_eq!(connection.head().status, 200);
    connection
}

fn next(connection: &mut Connection) -> Option<Value> {
    connection.chunk().map(|chunk| serde_json::from_slice(&chunk).unwrap())
}

#[test]
fn a_stream_sees_its_container_end_start_again_and_go() {
    let d = daemon!();
    let id = d.run_detached("--name ss busybox sleep 1000");
    let mut stream = open(&d, &format!("/containers/{id}/stats"));
    let first = next(&mut stream).unwrap();
    assert!(first["pids_stats"]["current"].as_u64().unwrap() > 0);
    assert_ne!(first["preread"], "0001-01-01T00:00:00Z", "the first one has a percentage");
    let second = next(&mut stream).unwrap();
    assert_eq!(second["precpu_stats"]["online_cpus"], second["cpu_stats"]["online_cpus"]);
    assert!(second["read"].as_str() > first["read"].as_str());
    let until = |stream: &mut Connection, runs: bool| loop {
        let stats = next(stream).unwrap();
        assert_eq!(stats["id"], id.as_str());
        if (stats["read"] != "0001-01-01T00:00:00Z") == runs {
            return;
        }
    };
    d.docker("kill ss").ok();
    until(&mut stream, false);
    d.docker("start ss").ok();
    until(&mut stream, true);
    d.docker("rm -f ss").ok();
    while next(&mut stream).is_some() {}
}

#[test]
fn a_container_that_is_removed_when_it_dies_ends_its_streams() {
    let d = daemon!();
    let id = d.run_detached("--rm busybox sleep 1000");
    let mut one = open(&d, &format!("/containers/{id}/stats"));
    let mut all = open(&d, &format!("/hull/containers/stats?stream=1&container={id}"));
    next(&mut one).unwrap();
    next(&mut all).unwrap();
    d.docker("kill").arg(&id).ok();
    while next(&mut one).is_some() {}
    while next(&mut all).is_some() {}
}

#[test]
fn the_docker_cli_shows_all_at_once() {
    let d = daemon!();
    for n in 0..12 {
        d.run_detached(&format!("--name n{n} -m 32m busybox sleep 1000"));
    }
    let start = Instant::now();
    let table = d.docker("stats --no-stream").ok();
    let took = start.elapsed();
    assert_eq!(table.lines().count(), 13, "{table}");
    assert!(table.contains("/ 32MiB"), "{table}");
    assert!(!table.contains("--"), "{table}");
    // Docker's own daemon takes two seconds whatever there is; ours a tenth, and the machine is busy.
    assert!(took < Duration::from_secs(15), "{took:?}");
    let one = d.docker("stats --no-stream --format {{.Name}},{{.PIDs}} n3").ok();
    assert_eq!(one, "n3,1");
    let live = d.docker_started("stats n1");
    live.expect("n1");
    live.signal(rustix::process::Signal::KILL);
    live.finish();
}

#[test]
fn hull_shows_all_in_one_request() {
    let d = daemon!();
    let id = d.run_detached("--name aa -m 32m busybox sleep 1000");
    d.docker("create --name bb busybox").ok();
    let table = d.hull("stats --no-stream").ok();
    assert!(table.starts_with("CONTAINER ID   NAME      CPU %"), "{table}");
    assert!(table.contains(&id[..12]) && table.contains("/ 32MiB"), "{table}");
    assert!(!table.contains(&id[..13]) && table.lines().count() == 2, "{table}");
    let all = d.hull("stats --no-stream -a --no-trunc --format {{.ID}}:{{.Name}}:{{.PIDs}}").ok();
    assert!(all.lines().any(|line| line == format!("{id}:aa:1")), "{all}");
    assert!(all.lines().any(|line| line.ends_with(":bb:0")), "{all}");
    let named = d.hull("stats --no-stream --format").arg("{{.Container}} {{.Name}}").arg("bb").ok();
    assert_eq!(named, "bb bb");
    let json = d.hull("stats --no-stream --format json aa").ok();
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["Name"], &json["PIDs"]), (&"aa".into(), &"1".into()));
    let missing = d.hull("stats --no-stream nobody").fails(1);
    assert!(missing.contains("No such container: nobody"), "{missing}");
    // Live, until the container goes.
    let live = d.hull("stats aa").spawn();
    live.expect("32MiB");
    d.docker("rm -f aa").ok();
    assert_eq!(live.finish().status, 0);
}

#[test]
fn pressure_is_told_where_the_kernel_has_it() {
    let d = daemon!();
    let id = d.run_detached("busybox sh -c 'while :; do :; done'");
    let all = d.get(&format!("/hull/containers/stats?container={id}")).json();
    let stats = &all["containers"][0];
    assert_eq!(stats["id"], id.as_str());
    assert!(stats["interval"].as_u64().unwrap() > 0);
    let has = std::fs::read_to_string("/proc/self/mountinfo")
        .is_ok_and(|mounts| mounts.contains(" - cgroup2 "))
        && std::path::Path::new("/proc/pressure/cpu").exists();
    if !has {
        assert_eq!(stats["pressure"], serde_json::json!({}));
        return need::skip("this kernel has no pressure stall information");
    }
    for resource in ["cpu", "memory", "io"] {
        assert!(stats["pressure"][resource]["some"]["avg10"].is_f64(), "{stats}");
        assert!(stats["pressure"][resource]["full"]["total"].is_u64(), "{stats}");
    }
}

#[test]
fn a_hundred_clients_of_one_container_share_its_samples() {
    let d = daemon!();
    let id = d.run_detached("busybox sleep 1000");
    let path = format!("/containers/{id}/stats");
    let mut streams: Vec<_> = (0..100).map(|_| open(&d, &path)).collect();
    for stream in &mut streams {
        next(stream).unwrap();
    }
    // What all of them are sent at one tick is one and the same sample.
    let reads: std::collections::BTreeSet<String> = (0..3)
        .flat_map(|_| {
            let read = |stream: &mut Connection| next(stream).unwrap()["read"].to_string();
            streams.iter_mut().map(read).collect::<Vec<_>>()
        })
        .collect();
    assert!(reads.len() <= 12, "{} samples for 300 answers: {reads:?}", reads.len());
}

#[test]
fn memory_that_runs_out_is_told_at_once_and_remembered() {
    let d = daemon!();
    // Not the first process: that one lives on.
    let script = "tail /dev/zero; echo killed; sleep 1000";
    let id = d
        .docker("run -d --network none -m 16m --memory-swap 16m --name eats busybox sh -c")
        .arg(script)
        .ok();
    eventually("its child is killed", || {
        d.docker("logs eats").ok().contains("killed").then_some(())
    });
    let told = || d.docker("events --since 1 --until 0s --filter event=oom --format {{.ID}}").ok();
    eventually("it is told", || told().contains(&id).then_some(()));
    let state = d.inspect("eats")["State"].clone();
    assert_eq!((&state["Status"], &state["OOMKilled"]), (&"running".into(), &true.into()));
    d.docker("kill eats").ok();
    d.until("eats", "exited");
    assert_eq!(d.inspect("eats")["State"]["OOMKilled"], true);
    // The next life begins without it.
    d.docker("run -d --network none --name sober busybox sleep 1000").ok();
    assert_eq!(d.inspect("sober")["State"]["OOMKilled"], false);
    // The first process itself.
    let status =
        d.docker("run --network none -m 16m --memory-swap 16m --name dies busybox tail /dev/zero");
    assert_eq!(status.run().status, 137);
    let state = d.inspect("dies")["State"].clone();
    assert_eq!((&state["OOMKilled"], &state["ExitCode"]), (&true.into(), &137.into()));
    let dies = d.inspect("dies")["Id"].as_str().unwrap().to_owned();
    // docker's CLI cuts `until` to whole seconds.
    eventually("it is told, too", || told().contains(&dies).then_some(()));
    // How often is the kernel's choice: on v1 it tells of each allocation that found nothing, and
    // there may be several before the one it kills is gone. The end itself is no such news.
    let sober = d.inspect("sober")["Id"].as_str().unwrap().to_owned();
    d.docker("rm -f sober").ok();
    assert!(!told().contains(&sober));
}

#[test]
fn a_daemon_that_was_away_tells_what_ran_out_meanwhile() {
    let mut d = daemon!();
    let shared = d.files().join("shared");
    std::fs::create_dir(&shared).unwrap();
    let script =
        "while [ ! -e /w/go ]; do sleep 0.1; done; tail /dev/zero; touch /w/done; sleep 1000";
    let id = d
        .docker("run -d --network none -m 16m --memory-swap 16m --name eats")
        .arg("-v")
        .arg(format!("{}:/w", shared.display()))
        .arg("busybox")
        .arg("sh")
        .arg("-c")
        .arg(script)
        .ok();
    d.kill();
    std::fs::write(shared.join("go"), "").unwrap();
    eventually("its child is killed", || shared.join("done").exists().then_some(()));
    d.again();
    eventually("it is known", || (d.inspect("eats")["State"]["OOMKilled"] == true).then_some(()));
    eventually("it is told", || {
        let words = "events --since 1 --until 0s --filter event=oom --format {{.ID}}";
        (d.docker(words).ok() == id).then_some(())
    });
}

#[test]
fn top_has_the_guests_users_and_what_ps_is_asked_for() {
    let d = daemon!();
    let id = d.run_detached("--name tt busybox sleep 1000");
    let users = "root:x:0:0::/:/bin/sh\\nweb:x:33:33::/:/bin/sh\\n";
    d.docker(&format!("exec tt sh -c 'printf \"{users}\" > /etc/passwd'")).ok();
    d.docker("exec -d -u 33 tt sleep 1001").ok();
    let row = |words: &str, command: &str| -> Option<String> {
        let table = d.docker(&format!("top {words}")).ok();
        table.lines().find(|line| line.ends_with(command)).map(str::to_owned)
    };
    eventually("it runs", || row("tt", "sleep 1001"));
    // The host would say a number of the guest's range, cut to a column's width.
    assert!(row("tt", "sleep 1000").unwrap().starts_with("root "));
    assert!(row("tt", "sleep 1001").unwrap().starts_with("web "));
    assert!(row("tt aux", "sleep 1001").unwrap().starts_with("web "));
    let pid = d.pid_of(&id).to_string();
    let fields = |line: Option<String>| -> Vec<String> {
        line.unwrap().split_whitespace().map(str::to_owned).collect()
    };
    assert_eq!(fields(row("tt -o pid,cmd", "sleep 1000")), [&pid, "sleep", "1000"]);
    assert_eq!(fields(row("tt -eo uid,ruser,pid,args", "sleep 1001"))[..2], ["33", "web"]);
    // Nobody else's processes, whatever is asked for.
    for words in ["tt", "tt aux", "tt -eo pid,cmd", "tt -e"] {
        assert_eq!(d.docker(&format!("top {words}")).ok().lines().count(), 3, "{words}");
    }
    let answer = d.get("/containers/tt/top?ps_args=-o%20pid,comm").json();
    assert_eq!(answer["Titles"], serde_json::json!(["PID", "COMMAND"]));
    assert_eq!(answer["Processes"].as_array().unwrap().len(), 2);
    assert!(d.hull("top tt -o pid,user,cmd").ok().contains("web"));
}

#[test]
fn top_says_why_it_cannot() {
    let d = daemon!();
    let id = d.run_detached("--name tt busybox sleep 1000");
    let refused = |words: &str| d.docker(&format!("top {words}")).fails(1);
    let why = refused("tt -o comm=PID");
    assert!(why.contains("specifying \"comm=PID\" is not allowed"), "{why}");
    assert!(refused("tt -o comm").contains("Couldn't find PID field in ps output"));
    assert!(!refused("tt --no-such-option").contains("ps failed"), "ps has its own words");
    assert!(refused("nobody").contains("No such container: nobody"));
    // A word is never more than an argument of ps.
    let trace = d.files().join("trace");
    refused(&format!("tt '-ef; touch {}'", trace.display()));
    assert!(!trace.exists());
    // Its files are the guest's: one that never ends, or leads out, stops nobody.
    for hostile in ["mkfifo /etc/passwd", "ln -s /proc/self/root/dev/zero /etc/passwd"] {
        d.docker(&format!("exec tt sh -c 'rm -f /etc/passwd; {hostile}'")).ok();
        let table = d.docker("top tt").ok();
        assert!(table.lines().nth(1).unwrap().starts_with("0 "), "{table}");
    }
    d.docker("kill tt").ok();
    d.until("tt", "exited");
    assert!(refused("tt").contains(&format!("container {id} is not running")));
    assert_eq!(d.get("/containers/tt/top").status, 409);
}

#[test]
fn sampling_ends_when_nobody_asks() {
    let d = daemon!();
    let id = d.run_detached("busybox sleep 1000");
    once(&d, &id);
    let switches = || -> u64 {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", d.pid())).unwrap();
        let one = |task: std::fs::DirEntry| {
            let text = std::fs::read_to_string(task.path().join("status")).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            line.and_then(|count| count.trim().parse::<u64>().ok()).unwrap_or(0)
        };
        tasks.flatten().map(one).sum()
    };
    eventually("it rests", || {
        let before = switches();
        std::thread::sleep(Duration::from_millis(2_500));
        // A thread that ended takes its count along.
        (switches() <= before).then_some(())
    });
}
