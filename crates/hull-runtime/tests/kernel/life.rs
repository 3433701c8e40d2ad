//! From create to delete.

use std::fs;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::Test;
use crate::bundle::{Background, Bundle, Outcome, eventually};

pub(crate) const TESTS: &[Test] = &[
    ("run_gives_output_and_status", run),
    ("a_container_is_created_started_killed_and_deleted", life),
    ("what_does_not_fit_the_state_is_refused", refusals),
    ("a_container_that_cannot_be_made_leaves_nothing", failed),
    ("ids_are_plain_names", ids),
    ("another_process_with_the_number_is_not_the_container", reused_number),
    ("containers_are_listed", list),
    ("signals_go_to_the_process", forwarding),
    ("a_detached_run_and_a_kept_one_stay", detached),
    ("the_log_is_what_callers_parse", log),
];

fn run() {
    let mut bundle = Bundle::new();
    let done = bundle.shell("echo out; echo err >&2; exit 7").run();
    assert_eq!((done.status, done.stdout.as_str(), done.stderr.as_str()), (7, "out\n", "err\n"));
    assert_eq!(bundle.shell("kill -TERM $$; sleep 0.01").run().status, 0, "process 1 ignores it");
    bundle.process()["args"] = json!(["sh", "-c", "sh -c 'kill -KILL $$'; exit 3"]);
    assert_eq!(bundle.run().status, 3);
    bundle.assert_nothing_left();
}

fn life() {
    let mut bundle = Bundle::new();
    bundle.config["annotations"] = json!({"a.b": "c"});
    bundle.shell("echo started; sleep 600");
    let pid_file = bundle.path("pid");
    bundle.create(&["--pid-file", pid_file.to_str().unwrap()]).ok();
    assert_eq!(bundle.output(), "");
    let state = bundle.state();
    assert_eq!(state["status"], "created");
    assert_eq!(state["id"], "c");
    assert_eq!(state["annotations"]["a.b"], "c");
    assert_eq!(state["bundle"], bundle.path("").to_str().unwrap().trim_end_matches('/'));
    let pid = fs::read_to_string(&pid_file).unwrap();
    assert_eq!(state["pid"].to_string(), pid);
    let executable = fs::read_link(format!("/proc/{pid}/root")).unwrap();
    assert_eq!(executable, std::path::Path::new("/"));

    bundle.call(&["start", "c"]).ok();
    assert_eq!(bundle.status(), "running");
    eventually("its output", || bundle.output() == "started\n");
    bundle.call(&["kill", "c", "KILL"]).ok();
    eventually("its end", || bundle.status() == "stopped");
    assert_eq!(bundle.state()["pid"], 0);
    bundle.call(&["delete", "c"]).ok();
    bundle.assert_nothing_left();
}

fn refusals() {
    let mut bundle = Bundle::new();
    bundle.shell("sleep 600");
    for command in ["start", "state", "kill", "delete", "pause", "resume", "ps", "events", "update"]
    {
        bundle.call(&[command, "c"]).fails(1, "container c does not exist");
    }
    bundle.call(&["delete", "--force", "c"]).ok();
    bundle.call(&["exec", "c", "true"]).fails(255, "container c does not exist");
    bundle.start();
    bundle.call(&["start", "c"]).fails(1, "cannot start container c that is running");
    bundle.call(&["delete", "c"]).fails(1, "cannot delete container c that is running");
    bundle.create(&[]).fails(1, "container with id c exists already");
    assert_eq!(bundle.status(), "running");
    bundle.call(&["kill", "c", "NOPE"]).fails(1, "unknown signal \"NOPE\"");
    bundle.call(&["checkpoint", "c"]).fails(1, "checkpoint is not supported");
    bundle.call(&["restore", "c"]).fails(1, "restore is not supported");
    bundle.call(&["nonsense"]).fails(1, "no such command: \"nonsense\"");
    bundle.call(&["state"]).fails(1, "0 arguments given");
    bundle.call(&["kill", "c", "9"]).ok();
    eventually("its end", || bundle.status() == "stopped");
    bundle.call(&["kill", "c"]).fails(1, "container not running");
    bundle.call(&["exec", "c", "true"]).fails(255, "container not running");
    bundle.call(&["delete", "c"]).ok();
    bundle.assert_nothing_left();
}

fn failed() {
    let mut bundle = Bundle::new();
    let good = bundle.config.clone();
    let mut bad = |change: &dyn Fn(&mut Value), words: &str| {
        bundle.config = good.clone();
        change(&mut bundle.config);
        bundle.create(&[]).fails(1, words);
        bundle.assert_nothing_left();
        bundle.run().fails(1, words);
        bundle.assert_nothing_left();
    };
    bad(&|c| c["process"]["args"] = json!(["nope"]), "executable file not found in $PATH");
    bad(&|c| c["process"]["args"] = json!(["/etc/passwd"]), "permission denied");
    bad(&|c| c["process"]["args"] = json!([]), "process.args: missing");
    bad(&|c| c["process"]["cwd"] = json!("x"), "process.cwd: \"x\" is not absolute");
    bad(&|c| c["root"]["path"] = json!("nope"), "path does not exist");
    bad(&|c| c["ociVersion"] = json!("2.0.0"), "ociVersion: \"2.0.0\" is not supported");
    bad(&|c| c["process"]["user"]["uid"] = json!(-1), "process.user.uid: invalid value");
    bad(&|c| c["linux"]["namespaces"][0]["type"] = json!("x"), "linux.namespaces[0].type");
    bad(&|c| c["linux"]["cgroupsPath"] = json!("/../x"), "linux.cgroupsPath");
    bad(&|c| c["linux"]["sysctl"] = json!({"kernel.core_pattern": "|x"}), "would change the host");
    bad(
        &|c| c["mounts"][0]["options"] = json!(["nonsense=1"]),
        "mount proc with nonsense=1: invalid argument",
    );
    bad(&|c| c["linux"]["netDevices"] = json!({"eth0": {}}), "linux.netDevices: not supported");
    fs::write(bundle.path("config.json"), "{").unwrap();
    bundle.call(&["create", "c"]).fails(1, "EOF while parsing an object at line 1");
    fs::remove_file(bundle.path("config.json")).unwrap();
    bundle.call(&["create", "c"]).fails(1, "config.json: no such file or directory");
    bundle.call(&["create", "--bundle", "/no/such", "c"]).fails(1, "find bundle /no/such");
    bundle.assert_nothing_left();
}

fn ids() {
    let bundle = Bundle::new();
    bundle.write();
    for bad in ["", ".", "..", "a/b", "../c", "a b", "ä"] {
        for command in ["create", "run", "state", "delete", "start"] {
            bundle.call(&[command, bad]).fails(1, "invalid container id");
        }
    }
    bundle.call(&["delete", "--force", "../bundle"]).fails(1, "invalid container id");
    bundle.assert_nothing_left();
}

fn reused_number() {
    let mut bundle = Bundle::new();
    bundle.shell("sleep 600");
    bundle.start();
    // As if the container's process had ended and its number had come to another: us.
    let path = bundle.path("state/c/state.json");
    let mut record: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let before = record.clone();
    record["init"]["pid"] = json!(std::process::id());
    fs::write(&path, record.to_string()).unwrap();
    assert_eq!(bundle.status(), "stopped");
    bundle.call(&["kill", "c", "KILL"]).fails(1, "container not running");
    bundle.call(&["exec", "c", "true"]).fails(255, "container not running");
    fs::write(&path, before.to_string()).unwrap();
    assert_eq!(bundle.status(), "running");
}

fn list() {
    let mut bundle = Bundle::new();
    assert_eq!(bundle.call(&["list", "--format", "json"]).ok(), "[]\n");
    bundle.shell("sleep 600");
    bundle.start();
    assert_eq!(bundle.call(&["list", "-q"]).ok(), "c\n");
    let table = bundle.call(&["list"]).ok();
    let pid = bundle.state()["pid"].to_string();
    let words: Vec<&str> = table.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(words[..3], ["c", &pid, "running"], "{table}");
    let json: Value = serde_json::from_str(&bundle.call(&["list", "-f", "json"]).ok()).unwrap();
    assert_eq!((&json[0]["id"], &json[0]["owner"]), (&json!("c"), &json!("root")));
    bundle.call(&["list", "-f", "xml"]).fails(1, "invalid format option");
}

fn forwarding() {
    let mut bundle = Bundle::new();
    bundle.shell("trap 'echo got; exit 5' USR1; echo ready; while :; do sleep 0.05; done");
    bundle.write();
    let output = fs::File::create(bundle.path("output")).unwrap();
    let mut command = bundle.command(&["run", "c"]);
    let mut running = Background(command.stdout(output).spawn().unwrap());
    eventually("the trap", || bundle.output() == "ready\n");
    let pid = rustix::process::Pid::from_child(&running.0);
    rustix::process::kill_process(pid, rustix::process::Signal::USR1).unwrap();
    assert_eq!(running.0.wait().unwrap().code(), Some(5));
    assert_eq!(bundle.output(), "ready\ngot\n");
    bundle.assert_nothing_left();
}

fn detached() {
    let mut bundle = Bundle::new();
    bundle.shell("sleep 600");
    bundle.write();
    let mut command = bundle.command(&["run", "--detach", "c"]);
    assert!(command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success());
    assert_eq!(bundle.status(), "running");
    bundle.call(&["delete", "-f", "c"]).ok();
    bundle.shell("exit 4").write();
    assert_eq!(bundle.call(&["run", "--keep", "c"]).status, 4);
    assert_eq!(bundle.status(), "stopped");
    bundle.call(&["delete", "c"]).ok();
    bundle.assert_nothing_left();
}

fn log() {
    let bundle = Bundle::new();
    let log = bundle.path("log");
    let path = log.to_str().unwrap();
    let words = ["--log", path, "--log-format", "json", "state", "nope"];
    let done: Outcome = bundle.call(&words);
    done.fails(1, "container nope does not exist");
    let text = fs::read_to_string(&log).unwrap();
    let line: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(line["level"], "error");
    assert_eq!(line["msg"], "container nope does not exist");
    bundle.call(&["--log-format", "xml", "list"]).fails(1, "invalid log-format");
}
