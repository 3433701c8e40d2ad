//! Processes added to a running guest.

use std::time::{Duration, Instant};

use hull_container::Kind;
use hull_model::id::ExecId;
use hull_model::signal::Signal;
use hull_shim::client::Client;
use hull_shim::protocol::{Answer, Ask, Exec, Framing, Phase, Process, Stdin, Streams, WindowSize};

use crate::guest::{Draft, Guest, PIPES, exec_exit, exit, possible};

fn sleeper() -> (Guest, Client) {
    let guest = Draft::new(&["sleep", "1000"]).spawn();
    let (mut client, _) = guest.connect();
    guest.start(&mut client);
    (guest, client)
}

#[test]
fn an_exec_has_its_own_streams_and_code_and_stays_out_of_the_log() {
    if !possible() {
        return;
    }
    let (guest, mut client) = sleeper();
    let id = guest.exec(&mut client, PIPES, &["sh", "-c", "echo hi; echo ho >&2; exit 17"]);
    let streams = guest.attach(Process::Exec(id), Framing::Multiplexed);
    let answer = client.ask(Ask::StartExec { id }).unwrap();
    assert!(matches!(answer, Answer::Started { .. }), "{answer:?}");
    let output = streams.output();
    assert_eq!((output.stdout, output.stderr), (b"hi\n".to_vec(), b"ho\n".to_vec()));
    assert_eq!(exec_exit(&mut client, id).code, 17);
    assert_eq!(guest.log(), "");
    let (mut other, state) = guest.connect();
    assert!(
        matches!(&state.execs[..], [(found, Phase::Exited(exit))] if *found == id && exit.code == 17)
    );
    assert!(matches!(client.ask(Ask::StartExec { id }).unwrap(), Answer::Failed(_)));
    assert_eq!(other.ask(Ask::RemoveExec { id }).unwrap(), Answer::Done);
    assert!(matches!(other.ask(Ask::RemoveExec { id }).unwrap(), Answer::Failed(_)));
}

#[test]
fn an_exec_reads_what_its_client_sends() {
    if !possible() {
        return;
    }
    let (guest, mut client) = sleeper();
    let streams = Streams { stdin: Stdin::Once, terminal: None };
    let id = guest.exec(&mut client, streams, &["cat"]);
    let mut attached = guest.attach(Process::Exec(id), Framing::Multiplexed);
    let text = vec![b'y'; 500_000];
    client.ask(Ask::StartExec { id }).unwrap();
    let mut writer = attached.stream.try_clone().unwrap();
    let sent = text.clone();
    let sending = std::thread::spawn(move || {
        std::io::Write::write_all(&mut writer, &sent).unwrap();
        writer.shutdown(std::net::Shutdown::Write).unwrap();
    });
    attached.wait_for("y");
    assert!(attached.raw().len() > 400_000);
    sending.join().unwrap();
    assert_eq!(exec_exit(&mut client, id).code, 0);
}

#[test]
fn an_exec_with_a_terminal_can_be_resized_and_killed() {
    if !possible() {
        return;
    }
    let (guest, mut client) = sleeper();
    let size = WindowSize { rows: 10, columns: 20 };
    let id = guest.exec(&mut client, Streams { stdin: Stdin::Open, terminal: Some(size) }, &["sh"]);
    let size = WindowSize { rows: 11, columns: 22 };
    let process = Process::Exec(id);
    assert_eq!(client.ask(Ask::Resize { process, size }).unwrap(), Answer::Done);
    let mut streams = guest.attach(process, Framing::Raw);
    client.ask(Ask::StartExec { id }).unwrap();
    streams.write(b"stty size\n");
    streams.wait_for("11 22");
    let size = WindowSize { rows: 33, columns: 44 };
    client.ask(Ask::Resize { process, size }).unwrap();
    streams.write(b"stty size\n");
    streams.wait_for("33 44");
    assert_eq!(client.ask(Ask::Signal { process, signal: Signal::KILL }).unwrap(), Answer::Done);
    assert_eq!(exec_exit(&mut client, id).signal, Some(9));
}

#[test]
fn an_exec_that_cannot_run_says_why() {
    if !possible() {
        return;
    }
    let (guest, mut client) = sleeper();
    let id = guest.exec(&mut client, PIPES, &["nothing-here"]);
    let streams = guest.attach(Process::Exec(id), Framing::Raw);
    let Answer::Failed(failure) = client.ask(Ask::StartExec { id }).unwrap() else { panic!() };
    assert_eq!(failure.kind, Kind::CommandNotFound);
    assert_eq!(streams.raw(), b"");
    let exec = Exec { plan: vec![0xff; 100], streams: PIPES };
    let id = ExecId::from_random([9; 32]);
    assert!(matches!(client.ask(Ask::Exec { id, exec }).unwrap(), Answer::Failed(_)));
    let answer = client.ask(Ask::StartExec { id }).unwrap();
    assert!(matches!(answer, Answer::Failed(failure) if failure.kind == Kind::NotRunning));
}

#[test]
fn an_exec_before_the_start_is_refused_and_can_be_started_later() {
    if !possible() {
        return;
    }
    let guest = Draft::new(&["sleep", "1000"]).spawn();
    let (mut client, _) = guest.connect();
    let id = guest.exec(&mut client, PIPES, &["true"]);
    assert!(matches!(client.ask(Ask::StartExec { id }).unwrap(), Answer::Failed(_)));
    guest.start(&mut client);
    assert!(matches!(client.ask(Ask::StartExec { id }).unwrap(), Answer::Started { .. }));
    assert_eq!(exec_exit(&mut client, id).code, 0);
}

#[test]
fn what_an_exec_leaves_running_delays_nothing_and_is_not_killed_by_its_pipe() {
    if !possible() {
        return;
    }
    let (guest, mut client) = sleeper();
    let script = "(sleep 0.5; echo late; echo late; echo alive >/alive) & echo early";
    let id = guest.exec(&mut client, PIPES, &["sh", "-c", script]);
    let streams = guest.attach(Process::Exec(id), Framing::Multiplexed);
    let begin = Instant::now();
    client.ask(Ask::StartExec { id }).unwrap();
    assert_eq!(streams.output().stdout, b"early\n");
    assert_eq!(exec_exit(&mut client, id).code, 0);
    assert!(begin.elapsed() < Duration::from_millis(450), "{:?}", begin.elapsed());
    client.ask(Ask::RemoveExec { id }).unwrap();
    let alive = guest.draft.path().join("root/upper/alive");
    crate::guest::eventually("the rest goes on", || alive.exists());
}

#[test]
fn execs_end_with_the_guest_and_are_reported_before_it() {
    if !possible() {
        return;
    }
    let (guest, mut client) = sleeper();
    let id = guest.exec(&mut client, PIPES, &["sleep", "1000"]);
    client.ask(Ask::StartExec { id }).unwrap();
    client.ask(Ask::Signal { process: Process::Guest, signal: Signal::KILL }).unwrap();
    assert_eq!(exec_exit(&mut client, id).code, 137);
    assert_eq!(exit(&mut client).code, 137);
}

/// `CLONE_PARENT`: children that the shim has not asked for. Left as zombies they would keep the
/// guest's process namespace, and so the guest, from ending.
#[test]
fn children_forced_on_the_shim_do_not_keep_the_guest_alive() {
    if !possible() {
        return;
    }
    let draft = Draft::new(&["sleep", "1000"]);
    std::fs::copy(hull_attack::program(), draft.path().join("root/lower/bin/attack")).unwrap();
    let guest = draft.spawn();
    let (mut client, _) = guest.connect();
    guest.start(&mut client);
    for words in [&["attack", "clone-parent", "600"][..], &["attack", "adopt-and-hide"]] {
        let id = guest.exec(&mut client, PIPES, words);
        assert!(matches!(client.ask(Ask::StartExec { id }).unwrap(), Answer::Started { .. }));
        assert_eq!(exec_exit(&mut client, id).code, 0, "{words:?}");
    }
    let children = || {
        let shim = guest.shim.id();
        std::fs::read_to_string(format!("/proc/{shim}/task/{shim}/children")).unwrap()
    };
    // The guest's first process, and the one that hides: it lives, and is not waited for.
    crate::guest::eventually("ended strays are reaped", || children().split(' ').count() <= 3);
    client.ask(Ask::Signal { process: Process::Guest, signal: Signal::KILL }).unwrap();
    assert_eq!(exit(&mut client).signal, Some(9));
}
