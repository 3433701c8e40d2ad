//! From the launch to the exit record.

use std::time::{Duration, Instant};

use hull_container::Kind;
use hull_model::signal::Signal;
use hull_shim::client::Client;
use hull_shim::protocol::{Answer, Ask, Event, Framing, Phase, Process};

use crate::guest::{Draft, eventually, exit, possible};
use crate::plan;

#[test]
fn the_exit_code_arrives_in_the_event_and_in_the_file() {
    if !possible() {
        return;
    }
    let mut guest = Draft::script("echo out; echo err >&2; exit 42").spawn();
    let (record, output) = guest.run();
    assert_eq!((record.code, record.signal, record.oom_killed), (42, None, false));
    assert_eq!((output.stdout, output.stderr), (b"out\n".to_vec(), b"err\n".to_vec()));
    assert!(record.started_at.unwrap() < record.finished_at);
    guest.wait_for_shim();
    assert_eq!(guest.exit_file(), record);
    for directory in &guest.draft.plan.launch.cgroup.directories {
        assert!(!directory.full().exists(), "{} is left", directory.full().display());
    }
}

#[test]
fn the_guest_is_process_one_with_three_descriptors_and_default_signals() {
    if !possible() {
        return;
    }
    let text = |args: &[&str]| String::from_utf8(Draft::new(args).spawn().run().1.stdout).unwrap();
    // Descriptor 3 is the directory that ls itself reads.
    assert_eq!(text(&["busybox", "ls", "/proc/self/fd"]), "0\n1\n2\n3\n");
    let status = text(&["cat", "/proc/self/status"]);
    for line in ["Pid:\t1", "SigBlk:\t0000000000000000", "SigIgn:\t0000000000000000"] {
        assert!(status.lines().any(|found| found == line), "{line} is not in {status}");
    }
}

#[test]
fn signals_are_delivered_real_time_ones_too() {
    if !possible() {
        return;
    }
    for (name, code) in [("KILL", 137), ("RTMIN+2", 7), ("TERM", 9)] {
        let guest = Draft::script(
            "trap 'exit 9' TERM; trap 'exit 7' 36; echo ok; while :; do sleep 0.01; done",
        )
        .spawn();
        let (mut client, _) = guest.connect();
        let mut streams = guest.attach(Process::Guest, Framing::Raw);
        guest.start(&mut client);
        streams.wait_for("ok");
        let signal: Signal = name.parse().unwrap();
        let answer = client.ask(Ask::Signal { process: Process::Guest, signal }).unwrap();
        assert_eq!(answer, Answer::Done);
        assert_eq!(exit(&mut client).code, code, "{name}");
    }
}

#[test]
fn what_cannot_be_executed_is_told_and_recorded_with_dockers_codes() {
    if !possible() {
        return;
    }
    for (program, kind, code) in [
        ("/bin/nothing", Kind::CommandNotFound, 127),
        ("nothing", Kind::CommandNotFound, 127),
        ("/bin/text", Kind::NotExecutable, 126),
        ("/bin", Kind::NotExecutable, 126),
    ] {
        let mut guest = Draft::new(&[program]).spawn();
        let (mut client, state) = guest.connect();
        // Some are found while building, some only by executing.
        if let Phase::Ready { .. } = state.phase {
            let Answer::Failed(failure) = client.ask(Ask::Start).unwrap() else { panic!() };
            assert_eq!(failure.kind, kind, "{failure}");
        }
        guest.wait_for_shim();
        let record = guest.exit_file();
        assert_eq!((record.code, record.started_at), (code, None), "{program}");
        assert_eq!(record.failure.unwrap().kind, kind);
    }
}

#[test]
fn a_guest_that_cannot_be_built_leaves_a_record_and_nothing_else() {
    if !possible() {
        return;
    }
    let nobody = hull_container::plan::Identity::Named {
        user: "nobody-here".to_owned(),
        groups: Vec::new(),
    };
    let draft = Draft::new(&["true"]).change(|plan| plan.process.identity = nobody);
    let mut guest = draft.spawn();
    // Whether we are in time to hear it or not: the file is there.
    if let Ok((_client, state)) = Client::connect(&guest.run_dir()) {
        assert!(matches!(state.phase, Phase::Exited(_)), "{state:?}");
    }
    guest.wait_for_shim();
    let record = guest.exit_file();
    assert_eq!((record.code, record.failure.unwrap().kind), (128, Kind::NoSuchUser));
    assert!(guest.draft.plan.launch.cgroup.directories.iter().all(|d| !d.full().exists()));
}

#[test]
fn a_guest_can_be_ended_before_it_was_started() {
    if !possible() {
        return;
    }
    let mut guest = Draft::new(&["true"]).spawn();
    let (mut client, state) = guest.connect();
    assert!(matches!(state.phase, Phase::Ready { .. }));
    client.ask(Ask::Signal { process: Process::Guest, signal: Signal::KILL }).unwrap();
    let record = exit(&mut client);
    assert_eq!((record.code, record.signal, record.started_at), (137, Some(9), None));
    guest.wait_for_shim();
}

#[test]
fn a_kill_for_want_of_memory_is_recorded() {
    if !possible() {
        return;
    }
    let draft = Draft::script("x=$(yes | tr -d '\\n')")
        .change(|plan| plan::limit_memory(&mut plan.cgroup, 16 << 20));
    let (record, _) = draft.spawn().run();
    assert!(record.oom_killed, "{record:?}");
    assert_eq!(record.code, 137);
}

#[test]
fn a_new_daemon_finds_the_guest_as_the_old_one_left_it() {
    if !possible() {
        return;
    }
    let guest = Draft::script("echo one; read line; exit 3")
        .stdin(hull_shim::protocol::Stdin::Open)
        .spawn();
    let (mut old, _) = guest.connect();
    let pid = guest.start(&mut old);
    let (mut witness, state) = guest.connect();
    assert!(matches!(state.phase, Phase::Running { pid: found, .. } if found == pid));
    drop(old);
    let (mut new, state) = guest.connect();
    assert!(matches!(state.phase, Phase::Running { pid: found, .. } if found == pid));
    assert_eq!(new.ask(Ask::Start).unwrap(), new.ask(Ask::Start).unwrap());
    assert_eq!(new.ask(Ask::CloseStdin { process: Process::Guest }).unwrap(), Answer::Done);
    assert_eq!(exit(&mut new).code, 3);
    assert_eq!(exit(&mut witness).code, 3);
    assert!(guest.log().contains("one"));
}

#[test]
fn starts_are_told_to_everybody() {
    if !possible() {
        return;
    }
    let guest = Draft::script("exit 0").spawn();
    let (mut one, _) = guest.connect();
    let (mut other, _) = guest.connect();
    let pid = guest.start(&mut one);
    assert_eq!(other.event().unwrap(), Event::Started { pid });
    assert_eq!(one.event().unwrap(), Event::Started { pid });
    assert_eq!(exit(&mut other).code, 0);
}

#[test]
fn a_guest_dies_with_its_shim() {
    if !possible() {
        return;
    }
    let mut guest = Draft::new(&["sleep", "1000"]).spawn();
    let (mut client, _) = guest.connect();
    let pid = guest.start(&mut client);
    guest.shim.kill().unwrap();
    let ended = Instant::now();
    eventually("the guest ends", || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.is_empty() || stat.contains(") Z ")
    });
    assert!(ended.elapsed() < Duration::from_secs(5));
}

#[test]
fn polite_signals_do_not_end_the_shim() {
    if !possible() {
        return;
    }
    let guest = Draft::script("exit 0").spawn();
    let pid = rustix::process::Pid::from_child(&guest.shim);
    for signal in [1, 2, 15] {
        let signal = rustix::process::Signal::from_named_raw(signal).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }
    assert_eq!(guest.run().0.code, 0);
}

#[test]
fn a_run_directory_with_a_very_long_path_works() {
    if !possible() {
        return;
    }
    let draft = Draft::script("exit 5");
    let deep = draft.path().join("x".repeat(200));
    std::fs::create_dir(&deep).unwrap();
    draft.plan.write(&deep).unwrap();
    let mut command = hull_sys::spawn::command(env!("CARGO_BIN_EXE_hull-shim"));
    let mut shim = command.arg(&deep).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut word = Vec::new();
    std::io::Read::read_to_end(&mut shim.stdout.take().unwrap(), &mut word).unwrap();
    let (mut client, _) = Client::connect(&deep).unwrap();
    client.ask(Ask::Start).unwrap();
    assert_eq!(exit(&mut client).code, 5);
    assert!(shim.wait().unwrap().success());
}
