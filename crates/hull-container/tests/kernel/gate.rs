//! A process that is made by one program and started by another.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use hull_container::launch::{self, Gate, Given};
use hull_sys::namespace::Kinds;
use hull_sys::process::{Fork, Parentage};

use crate::Test;
use crate::fixture::{Guest, stdio, wait};

pub(crate) const TESTS: &[Test] = &[
    ("somebody_else_can_start_what_was_left_waiting", left_waiting),
    ("whoever_opens_the_gate_learns_why_it_failed", failures),
    ("a_process_left_waiting_outlives_its_launcher", outlives),
    ("only_a_process_with_a_gate_can_be_left", no_gate),
];

fn left_waiting() {
    let dir = tempfile::tempdir().unwrap();
    // Longer than a socket's address may be.
    let deep = dir.path().join("x".repeat(120));
    fs::create_dir(&deep).unwrap();
    let path = deep.join("start.sock");
    let mut guest = Guest::new();
    guest.shell("echo started; readlink /proc/self/fd/3; ls /proc/1/fd");
    let plan = guest.plan();
    let (mut output, stdio) = stdio(false);
    let gate = Gate::bind(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let given = Given { gate: Some(gate), ..Given::from(stdio) };
    let waiting = launch::spawn(&plan).unwrap().assemble(given).unwrap().leave().unwrap();
    // Those who come and go, or talk nonsense, start nothing.
    drop(std::os::unix::net::UnixStream::connect(&path));
    Gate::open(&path).unwrap();
    let mut text = String::new();
    output.read_to_string(&mut text).unwrap();
    assert_eq!(wait(&waiting), 0);
    assert_eq!(text, "started\n0\n1\n2\n3\n");
    let failure = Gate::open(&path).unwrap_err();
    assert_eq!(failure.kind, hull_container::Kind::NotRunning);
    plan.cgroup.remove(Duration::from_secs(5)).unwrap();
}

fn failures() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("start.sock");
    let mut guest = Guest::new();
    // Found and executable, but no program.
    fs::write(guest.lower("bin/bad"), "\x7fELF nonsense").unwrap();
    fs::set_permissions(guest.lower("bin/bad"), fs::Permissions::from_mode(0o755)).unwrap();
    guest.command(&["bad"]);
    let plan = guest.plan();
    let given = Given { gate: Some(Gate::bind(&path).unwrap()), ..Given::from(stdio(false).1) };
    let waiting = launch::spawn(&plan).unwrap().assemble(given).unwrap().leave().unwrap();
    let failure = Gate::open(&path).unwrap_err();
    assert_eq!(failure.message, "exec /bin/bad: exec format error");
    assert_eq!(wait(&waiting), 1);
    assert!(Gate::open(&dir.path().join("none")).is_err());
    plan.cgroup.remove(Duration::from_secs(5)).unwrap();
}

fn outlives() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("start.sock");
    let mut guest = Guest::new();
    guest.shell("echo alive; sleep 60; :");
    let plan = guest.plan();
    let (output, stdio) = stdio(false);
    // The launcher is a process of its own, which ends at once.
    let mut stdio = Some(stdio);
    match hull_sys::process::fork(Kinds::NONE, None, Parentage::Caller).unwrap() {
        Fork::Child => {
            let given = Given {
                gate: Some(Gate::bind(&path).unwrap()),
                ..Given::from(stdio.take().unwrap())
            };
            let made = launch::spawn(&plan).and_then(|it| it.assemble(given)?.leave());
            if let Ok(made) = &made {
                let pid = made.pid.as_raw_nonzero().to_string();
                fs::write(dir.path().join("pid"), pid).unwrap();
            }
            hull_sys::process::end(u8::from(made.is_err()));
        }
        Fork::Parent(child) => {
            drop(stdio);
            let options = rustix::process::WaitOptions::empty();
            let (_, status) = rustix::process::waitpid(Some(child.pid), options).unwrap().unwrap();
            assert_eq!(status.exit_status(), Some(0));
        }
    }
    Gate::open(&path).unwrap();
    let mut line = [0; 6];
    (&output).read_exact(&mut line).unwrap();
    assert_eq!(&line, b"alive\n");
    let pid: i32 = fs::read_to_string(dir.path().join("pid")).unwrap().parse().unwrap();
    let comm = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap();
    assert_eq!(comm, "sh\n");
    plan.cgroup.remove(Duration::from_secs(5)).unwrap();
}

fn no_gate() {
    let mut guest = Guest::new();
    guest.command(&["true"]);
    let plan = guest.plan();
    let given = Given::from(stdio(false).1);
    let assembled = launch::spawn(&plan).unwrap().assemble(given).unwrap();
    assert!(rustix::process::test_kill_process(assembled.pid()).is_ok());
    let failure = assembled.leave().unwrap_err();
    assert!(failure.message.contains("without a gate"), "{failure}");
    assert!(guest.cgroups_left().is_empty());
}
