//! Output and input on their way, and clients that come, go, or do not read.

use std::time::{Duration, Instant};

use hull_shim::client::Client;
use hull_shim::protocol::{Answer, Ask, Attach, Framing, Process, Stdin, WindowSize};

use crate::guest::{Draft, PATIENCE, exit, possible};

/// Lines `1` to `count`, as the guest's loop writes them.
fn numbers(count: u32) -> Vec<u8> {
    (1..=count).flat_map(|n| format!("{n}\n").into_bytes()).collect()
}

#[test]
fn whoever_attaches_before_the_start_misses_nothing() {
    if !possible() {
        return;
    }
    let guest = Draft::new(&["busybox", "seq", "1", "400000"]).spawn();
    let (record, output) = guest.run();
    assert_eq!(record.code, 0);
    let expected = numbers(400_000);
    assert_eq!(output.stdout.len(), expected.len());
    assert_eq!(output.stdout, expected);
    assert_eq!(guest.log().lines().count(), 400_000);
}

#[test]
fn two_clients_both_get_everything() {
    if !possible() {
        return;
    }
    let guest = Draft::new(&["busybox", "seq", "1", "100000"]).spawn();
    let (mut client, _) = guest.connect();
    let readers: Vec<_> = (0..2)
        .map(|_| guest.attach(Process::Guest, Framing::Multiplexed))
        .map(|streams| std::thread::spawn(move || streams.output().stdout))
        .collect();
    guest.start(&mut client);
    for reader in readers {
        assert_eq!(reader.join().unwrap(), numbers(100_000));
    }
}

#[test]
fn input_that_is_once_ends_with_the_clients() {
    if !possible() {
        return;
    }
    let guest = Draft::script("cat; echo end").stdin(Stdin::Once).spawn();
    let (mut client, _) = guest.connect();
    let mut streams = guest.attach(Process::Guest, Framing::Multiplexed);
    // Written and closed before there is a process that could read it.
    streams.write(b"hello ");
    streams.write(b"there\n");
    streams.end_input();
    guest.start(&mut client);
    assert_eq!(streams.output().stdout, b"hello there\nend\n");
    assert_eq!(exit(&mut client).code, 0);
}

#[test]
fn large_input_passes_a_slow_reader() {
    if !possible() {
        return;
    }
    let guest = Draft::script("sleep 0.3; busybox wc -c").stdin(Stdin::Once).spawn();
    let (mut client, _) = guest.connect();
    let mut streams = guest.attach(Process::Guest, Framing::Multiplexed);
    guest.start(&mut client);
    streams.write(&vec![b'x'; 3_000_000]);
    streams.end_input();
    assert_eq!(streams.output().stdout.trim_ascii(), b"3000000");
}

#[test]
fn a_client_that_vanishes_ends_input_that_is_once_after_its_last_byte() {
    if !possible() {
        return;
    }
    let guest = Draft::script("cat; exit 4").stdin(Stdin::Once).spawn();
    let (mut client, _) = guest.connect();
    let mut streams = guest.attach(Process::Guest, Framing::Raw);
    streams.write(b"last words\n");
    drop(streams);
    guest.start(&mut client);
    assert_eq!(exit(&mut client).code, 4);
    assert!(guest.log().contains("last words"));
}

#[test]
fn input_that_stays_open_outlives_its_clients() {
    if !possible() {
        return;
    }
    let guest = Draft::script("read a; read b; echo $a $b").stdin(Stdin::Open).spawn();
    let (mut client, _) = guest.connect();
    let mut first = guest.attach(Process::Guest, Framing::Multiplexed);
    guest.start(&mut client);
    first.write(b"one\n");
    first.end_input();
    // As in Docker: the end of such a client's input is the end of its attachment.
    assert_eq!(first.output().stdout, b"");
    let mut second = guest.attach(Process::Guest, Framing::Multiplexed);
    second.write(b"two\n");
    assert_eq!(second.output().stdout, b"one two\n");
    assert_eq!(exit(&mut client).code, 0);
}

#[test]
fn output_goes_on_without_clients() {
    if !possible() {
        return;
    }
    let guest = Draft::new(&["busybox", "seq", "1", "100000"]).spawn();
    let (mut client, _) = guest.connect();
    guest.start(&mut client);
    assert_eq!(exit(&mut client).code, 0);
    assert_eq!(guest.log().lines().count(), 100_000);
}

#[test]
fn a_client_that_does_not_read_holds_its_streams_up_but_not_the_exit_nor_the_log() {
    if !possible() {
        return;
    }
    let guest = Draft::script("busybox seq 1 100000 & sleep 0.5; exit 6").spawn();
    let (mut client, _) = guest.connect();
    let streams = guest.attach(Process::Guest, Framing::Multiplexed);
    guest.start(&mut client);
    // Control connections are served meanwhile.
    std::thread::sleep(Duration::from_millis(200));
    assert!(matches!(client.ask(Ask::State).unwrap(), Answer::State(_)));
    let held_up = guest.log().lines().count();
    assert!(held_up < 100_000, "nothing was held up");
    assert_eq!(exit(&mut client).code, 6);
    // The writer was killed with its namespace; what it had got into the pipe is in the log.
    assert!(guest.log().lines().count() > held_up);
    drop(streams);
}

#[test]
fn a_client_that_goes_lets_the_guest_go_on() {
    if !possible() {
        return;
    }
    let guest = Draft::new(&["busybox", "seq", "1", "300000"]).spawn();
    let (mut client, _) = guest.connect();
    let streams = guest.attach(Process::Guest, Framing::Multiplexed);
    guest.start(&mut client);
    std::thread::sleep(Duration::from_millis(100));
    drop(streams);
    assert_eq!(exit(&mut client).code, 0);
    assert_eq!(guest.log().lines().count(), 300_000);
}

#[test]
fn only_the_streams_asked_for_are_sent() {
    if !possible() {
        return;
    }
    let guest = Draft::script("echo out; echo err >&2").spawn();
    let (mut client, _) = guest.connect();
    let attach = Attach {
        process: Process::Guest,
        stdin: false,
        stdout: false,
        stderr: true,
        framing: Framing::Raw,
    };
    let (mut stream, mut bytes) = Client::attach(&guest.run_dir(), attach).unwrap();
    guest.start(&mut client);
    std::io::Read::read_to_end(&mut stream, &mut bytes).unwrap();
    assert_eq!(bytes, b"err\n");
}

#[test]
fn a_terminal_has_the_size_it_is_given_and_its_control_characters_work() {
    if !possible() {
        return;
    }
    let guest = Draft::new(&["sh"]).terminal(30, 100).spawn();
    let (mut client, _) = guest.connect();
    let mut streams = guest.attach(Process::Guest, Framing::Raw);
    guest.start(&mut client);
    streams.write(b"stty size\n");
    streams.wait_for("30 100");
    let size = WindowSize { rows: 50, columns: 132 };
    let resize = Ask::Resize { process: Process::Guest, size };
    assert_eq!(client.ask(resize).unwrap(), Answer::Done);
    streams.write(b"stty size\n");
    streams.wait_for("50 132");
    streams.write(b"sleep 1000\n");
    streams.wait_for("sleep 1000");
    std::thread::sleep(Duration::from_millis(200));
    // Ctrl-C ends the sleep, Ctrl-D the shell.
    streams.write(b"\x03");
    streams.write(b"echo $((40 + 2))x\n");
    streams.wait_for("42x");
    streams.write(b"\x04");
    assert_eq!(exit(&mut client).code, 0);
}

#[test]
fn the_last_output_of_a_terminal_is_not_lost() {
    if !possible() {
        return;
    }
    for _ in 0..5 {
        let guest = Draft::new(&["busybox", "seq", "1", "20000"]).terminal(24, 80).spawn();
        let (mut client, _) = guest.connect();
        let streams = guest.attach(Process::Guest, Framing::Raw);
        guest.start(&mut client);
        let text = String::from_utf8(streams.raw()).unwrap();
        assert_eq!(text.lines().count(), 20_000);
        assert!(text.ends_with("20000\r\n"));
    }
}

#[test]
fn a_window_size_without_a_terminal_is_refused() {
    if !possible() {
        return;
    }
    let guest = Draft::new(&["true"]).spawn();
    let (mut client, _) = guest.connect();
    let size = WindowSize { rows: 1, columns: 1 };
    let answer = client.ask(Ask::Resize { process: Process::Guest, size }).unwrap();
    assert!(matches!(answer, Answer::Failed(_)), "{answer:?}");
}

/// Not a promise, but a figure to look at: how fast a guest can write to its log.
#[test]
fn throughput_of_short_lines_is_printed() {
    if !possible() {
        return;
    }
    let guest = Draft::script("yes | head -c 20000000").spawn();
    let (mut client, _) = guest.connect();
    let begin = Instant::now();
    guest.start(&mut client);
    assert_eq!(exit(&mut client).code, 0);
    let took = begin.elapsed();
    let rate = 20.0 / took.as_secs_f64();
    eprintln!("yes | head: {rate:.0} MB/s of 2-byte lines into the log ({took:?})");
    assert!(took < PATIENCE);
}
