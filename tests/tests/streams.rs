//! Logs, attach, exec streams: what was written arrives once, whole, in order.

use hull_tests::http::frames;
use hull_tests::{daemon, eventually};
use serde_json::json;

const COUNT: &str = "for i in $(seq 1 5); do echo line $i; done; echo err >&2";

#[test]
fn logs_are_told_apart_counted_and_timed() {
    let d = daemon!();
    let id = d.docker("run -d --network none busybox sh -c").arg(COUNT).ok();
    d.until(&id, "exited");
    let logs = |words: &str| d.docker(&format!("logs {words} {id}")).run();
    let all = logs("");
    assert_eq!(all.stdout, "line 1\nline 2\nline 3\nline 4\nline 5\n");
    assert_eq!(all.stderr, "err\n");
    let tail = logs("--tail 2");
    assert_eq!(format!("{}{}", tail.stdout, tail.stderr), "line 5\nerr\n");
    assert_eq!(logs("--tail 0").stdout, "");
    let timed = logs("-t").stdout;
    let first = timed.lines().next().unwrap();
    let (time, text) = first.split_once(' ').unwrap();
    assert!(time.len() == 30 && time.ends_with('Z') && text == "line 1", "{first}");
    assert_eq!(logs("--since 2100-01-01T00:00:00Z").stdout, "");
    assert_eq!(logs("--until 2000-01-01T00:00:00Z").stdout, "");
    assert_eq!(logs("--since 2000-01-01T00:00:00Z --until 1h").stdout, "");
    assert_eq!(logs("--since 1h").stdout.lines().count(), 5);
    let parts = d.get(&format!("/containers/{id}/logs?stdout=1&stderr=1"));
    assert_eq!(frames(&parts.body).last().unwrap(), &(2, "err\n".to_owned()));
    assert_eq!(d.get(&format!("/containers/{id}/logs")).status, 400);
}

#[test]
fn followed_logs_end_with_the_container() {
    let d = daemon!();
    let script = "for i in 1 2 3; do echo tick $i; sleep 0.2; done";
    let id = d.docker("run -d --network none busybox sh -c").arg(script).ok();
    let followed = d.docker("logs -f").arg(&id).ok();
    assert_eq!(followed, "tick 1\ntick 2\ntick 3");
}

#[test]
fn a_long_line_survives_and_bytes_that_are_no_text_are_marked() {
    let d = daemon!();
    let long = d.docker("run -d --network none busybox sh -c");
    let id = long.arg("head -c 100000 /dev/zero | tr '\\0' x; echo; printf '\\377\\376'").ok();
    d.until(&id, "exited");
    let body = d.get(&format!("/containers/{id}/logs?stdout=1")).body;
    let mut bytes = Vec::new();
    let mut rest = &body[..];
    while !rest.is_empty() {
        let length = u32::from_be_bytes(rest[4..8].try_into().unwrap()) as usize;
        bytes.extend_from_slice(&rest[8..8 + length]);
        rest = &rest[8 + length..];
    }
    // A JSON file holds text: as with Docker, each byte that is none becomes U+FFFD.
    let want = "x".repeat(100_000) + "\n\u{fffd}\u{fffd}";
    assert!(bytes == want.as_bytes(), "{} bytes", bytes.len());
}

#[test]
fn logs_are_rotated_and_all_that_is_kept_is_shown() {
    let d = daemon!();
    let options = "--log-opt max-size=20k --log-opt max-file=3";
    let id = d.run_detached(&format!("{options} busybox seq 1 3000"));
    d.until(&id, "exited");
    let path = d.inspect(&id)["LogPath"].as_str().unwrap().to_owned();
    assert!(std::fs::metadata(&path).unwrap().len() <= 21_000);
    assert!(std::path::Path::new(&format!("{path}.2")).exists());
    assert!(!std::path::Path::new(&format!("{path}.3")).exists());
    let seen: Vec<u32> =
        d.docker("logs").arg(&id).ok().lines().map(|line| line.parse().unwrap()).collect();
    assert!(seen.windows(2).all(|pair| pair[1] == pair[0] + 1), "a gap");
    assert_eq!(seen.last(), Some(&3000));
}

#[test]
fn several_clients_attach_and_all_see_the_same() {
    let d = daemon!();
    let id = d.docker("run -d -i --network none busybox cat").ok();
    let mut first = d.docker("attach").arg(&id).spawn();
    let second = d.docker("attach --no-stdin").arg(&id).spawn();
    eventually("both are attached", || {
        first.write("again\n");
        (first.stdout().contains("again") && second.stdout().contains("again")).then_some(())
    });
    first.write("last words\n");
    second.expect("last words");
    d.docker("kill").arg(&id).ok();
    assert_eq!(first.finish().status, 137);
    assert_eq!(second.finish().status, 137);
}

#[test]
fn half_closing_ends_the_input_and_not_the_output() {
    let d = daemon!();
    for upgrade in ["", "Connection: Upgrade\r\nUpgrade: tcp\r\n"] {
        let body = json!({"Image": "busybox", "Cmd": ["sh", "-c", "cat; sleep 0.3; echo after"],
            "OpenStdin": true, "StdinOnce": true, "AttachStdin": true,
            "HostConfig": {"NetworkMode": "none"}});
        let id = d.post("/containers/create", &body).json()["Id"].as_str().unwrap().to_owned();
        let mut attached = d.connect();
        let line = format!("POST /containers/{id}/attach?stream=1&stdin=1&stdout=1&stderr=1");
        attached.request(&line, upgrade, b"");
        let head = attached.head();
        assert_eq!(head.status, if upgrade.is_empty() { 200 } else { 101 });
        let kind = &head.headers["content-type"];
        assert!(kind.starts_with("application/vnd.docker."), "{kind}");
        assert_eq!(d.call(&format!("POST /containers/{id}/start")).status, 204);
        attached.send(b"typed\n").unwrap();
        attached.close_writing();
        let seen: String = frames(&attached.rest()).into_iter().map(|(_, text)| text).collect();
        assert_eq!(seen, "typed\nafter\n");
    }
}

#[test]
fn attach_with_logs_shows_what_was_before() {
    let d = daemon!();
    let id = d.run_detached("busybox sh -c 'echo before; sleep 1000'");
    eventually("it has written", || {
        d.docker("logs").arg(&id).ok().contains("before").then_some(())
    });
    let mut attached = d.connect();
    attached.request(&format!("POST /containers/{id}/attach?logs=1&stdout=1"), "", b"");
    attached.head();
    assert_eq!(frames(&attached.rest()), [(1, "before\n".to_owned())]);
}

#[test]
fn a_client_that_vanishes_takes_nothing_with_it() {
    let d = daemon!();
    let id = d.docker("run -d -i --network none busybox sh -c").arg("cat; sleep 1000").ok();
    for path in ["attach?stream=1&stdin=1&stdout=1", "attach?stream=1&stdout=1&logs=1"] {
        let mut client = d.connect();
        client.request(
            &format!("POST /containers/{id}/{path}"),
            "Connection: Upgrade\r\nUpgrade: tcp\r\n",
            b"",
        );
        assert_eq!(client.head().status, 101);
        client.send(b"half a li").unwrap();
    }
    for _ in 0..20 {
        let mut client = d.connect();
        client.request(&format!("GET /containers/{id}/logs?follow=1&stdout=1"), "", b"");
        client.head();
    }
    assert_eq!(d.inspect(&id)["State"]["Running"], true);
    let descriptors = || std::fs::read_dir(format!("/proc/{}/fd", d.pid())).unwrap().count();
    eventually("the daemon lets go of them", || (descriptors() < 40).then_some(()));
}

#[test]
fn a_slow_reader_does_not_stop_others() {
    let d = daemon!();
    let id = d.run_detached("busybox sh -c 'while :; do seq 1 10000; done'");
    let mut slow = d.connect();
    slow.request(&format!("POST /containers/{id}/attach?stream=1&stdout=1"), "", b"");
    slow.head();
    std::thread::sleep(std::time::Duration::from_secs(1));
    // It never reads; the engine answers, and the guest can be ended.
    assert_eq!(d.docker(&format!("exec {id} echo alive")).ok(), "alive");
    d.docker("rm -f").arg(&id).ok();
}
