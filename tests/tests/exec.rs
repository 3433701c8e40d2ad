//! More programs in a running container.

use hull_tests::http::frames;
use hull_tests::{daemon, eventually};
use serde_json::json;

#[test]
fn exec_has_its_own_streams_status_user_directory_and_environment() {
    let d = daemon!();
    let id = d.run_detached("-e FROM_RUN=1 busybox sleep 1000");
    let exec = |words: &str| d.docker(&format!("exec {words}"));
    let done = exec(&format!("{id} sh -c 'echo out; echo err >&2; exit 5'")).run();
    assert_eq!((done.status, &*done.stdout, &*done.stderr), (5, "out\n", "err\n"));
    assert_eq!(
        exec(&format!("-u alice -w /tmp -e MORE=2 {id} sh -c 'id -un; pwd; echo $FROM_RUN$MORE'"))
            .ok(),
        "alice\n/tmp\n12"
    );
    assert_eq!(exec(&format!("-i {id} wc -c")).input("12345").ok(), "5");
    exec(&format!("{id} /no/such")).fails(127);
    exec(&format!("{id} /etc/passwd")).fails(126);
    // Docker's CLI gives the status of a program ended by a signal as 128 and the number.
    exec(&format!("{id} sh -c 'kill -9 $$'")).fails(137);
}

#[test]
fn exec_is_in_the_same_namespaces_and_has_no_more_rights() {
    let d = daemon!();
    let id = d.run_detached("--cap-drop ALL --security-opt no-new-privileges busybox sleep 1000");
    let script = "for n in pid mnt net ipc uts user cgroup; do \
                  [ $(readlink /proc/1/ns/$n) = $(readlink /proc/self/ns/$n) ] || echo differs: $n; done; \
                  grep -E 'CapEff|CapBnd|NoNewPrivs|Seccomp:' /proc/self/status";
    let seen = d.docker("exec").arg(&id).arg("sh").arg("-c").arg(script).ok();
    let want = "CapEff:\t0000000000000000\nCapBnd:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2";
    assert_eq!(seen, want);
}

#[test]
fn exec_can_be_inspected_and_is_started_once() {
    let d = daemon!();
    let id = d.run_detached("busybox sleep 1000");
    let body =
        json!({"Cmd": ["sh", "-c", "cat; exit 4"], "AttachStdout": true, "AttachStdin": true});
    let made = d.post(&format!("/containers/{id}/exec"), &body);
    assert_eq!(made.status, 201, "{}", made.text());
    let exec = made.json()["Id"].as_str().unwrap().to_owned();
    let view = || d.get(&format!("/exec/{exec}/json")).json();
    assert_eq!((&view()["Running"], &view()["ExitCode"]), (&json!(false), &json!(null)));
    let mut stream = d.connect();
    let start = json!({"Detach": false, "Tty": false}).to_string();
    let headers = "Content-Type: application/json\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n";
    stream.request(&format!("POST /exec/{exec}/start"), headers, start.as_bytes());
    assert_eq!(stream.head().status, 101);
    eventually("it runs", || (view()["Running"] == true).then_some(()));
    assert!(view()["Pid"].as_u64().unwrap() > 0);
    assert_eq!(d.inspect(&id)["ExecIDs"], json!([exec]));
    let again = d.post(&format!("/exec/{exec}/start"), &json!({"Detach": true}));
    assert_eq!(again.status, 409, "{}", again.text());
    stream.send(b"hi").unwrap();
    stream.close_writing();
    assert_eq!(frames(&stream.rest()), [(1, "hi".to_owned())]);
    eventually("its status is known", || (view()["ExitCode"] == 4).then_some(()));
}

#[test]
fn exec_needs_a_running_container() {
    let d = daemon!();
    let id = d.docker("create --network none busybox true").ok();
    let why = d.docker("exec").arg(&id).arg("true").fails(1);
    assert!(why.contains("is not running"), "{why}");
    assert!(d.docker("exec nobody true").fails(1).contains("No such container: nobody"));
    assert_eq!(d.get("/exec/0123456789abcdef/json").status, 404);
    let paused = d.run_detached("busybox sleep 1000");
    d.docker("pause").arg(&paused).ok();
    assert!(d.docker("exec").arg(&paused).arg("true").fails(1).contains("paused"));
}

#[test]
fn execs_end_with_their_container() {
    let d = daemon!();
    let id = d.run_detached("busybox sleep 1000");
    let client = d.docker("exec").arg(&id).arg("sh").arg("-c").arg("echo in; sleep 1000").spawn();
    client.expect("in");
    d.docker("kill").arg(&id).ok();
    assert_eq!(client.finish().status, 137);
    d.docker("start").arg(&id).ok();
    d.docker("exec -d").arg(&id).arg("sh").arg("-c").arg("echo x > /tmp/x").ok();
    eventually("a detached one does its work", || {
        (d.docker(&format!("exec {id} cat /tmp/x")).run().stdout == "x\n").then_some(())
    });
}

#[test]
fn many_execs_at_once() {
    let d = daemon!();
    let id = d.run_detached("busybox sleep 1000");
    std::thread::scope(|scope| {
        for at in 0..16 {
            let (d, id) = (&d, &id);
            scope.spawn(move || {
                let seen = d.docker(&format!("exec -i {id} sh -c 'cat; echo {at}'")).input("in ");
                assert_eq!(seen.ok(), format!("in {at}"));
            });
        }
    });
}
