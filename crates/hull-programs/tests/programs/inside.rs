//! hull-init and hull-hello inside guests.

use hull_model::signal::Signal;
use hull_shim::protocol::{Answer, Ask, Framing, Process, Stdin};

use crate::guest::{Draft, exit, possible};
use crate::installed;

/// A script under hull-init.
fn under_init(script: &str) -> Draft {
    Draft::script(script).change(|plan| plan.init = Some(installed(&hull_programs::INIT)))
}

#[test]
fn init_ends_as_its_command_ends() {
    if !possible() {
        return;
    }
    for (script, code) in
        [("exit 0", 0), ("exit 77", 77), ("kill -9 $$", 137), ("kill -15 $$", 143)]
    {
        let (record, _) = under_init(script).spawn().run();
        assert_eq!((record.code, record.signal), (code, None), "{script}");
    }
}

#[test]
fn init_is_process_one_and_leaves_no_zombies() {
    if !possible() {
        return;
    }
    let script = "(sleep 0.05 & sleep 0.1 &); sleep 0.5; cat /proc/1/comm; \
                  cat /proc/[0-9]*/stat | busybox grep -c ' Z '; echo $$";
    let (_, output) = under_init(script).spawn().run();
    let text = String::from_utf8(output.stdout).unwrap();
    let words: Vec<&str> = text.split_whitespace().collect();
    assert!(words[0].contains("init"), "{text}");
    assert_eq!(words[1], "0", "{text}");
    assert_ne!(words[2], "1", "{text}");
}

#[test]
fn init_passes_signals_on() {
    if !possible() {
        return;
    }
    for (name, code) in [("TERM", 15), ("HUP", 1), ("USR1", 10), ("RTMIN+2", 36)] {
        let script = "for s in 1 10 15 36; do trap \"exit $s\" $s; done; echo ok; \
                      while :; do sleep 0.01; done";
        let guest = under_init(script).spawn();
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
fn a_shell_under_init_has_the_terminal() {
    if !possible() {
        return;
    }
    let draft = Draft::new(&["sh"]).terminal(24, 80);
    let guest = draft.change(|plan| plan.init = Some(installed(&hull_programs::INIT))).spawn();
    let (mut client, _) = guest.connect();
    let mut streams = guest.attach(Process::Guest, Framing::Raw);
    guest.start(&mut client);
    streams.write(b"sleep 1000\n");
    streams.wait_for("sleep 1000");
    std::thread::sleep(std::time::Duration::from_millis(200));
    streams.write(b"\x03");
    streams.write(b"echo $((40 + 2))x; exit 5\n");
    streams.wait_for("42x");
    assert_eq!(exit(&mut client).code, 5);
}

#[test]
fn input_reaches_the_command_under_init() {
    if !possible() {
        return;
    }
    let guest = under_init("cat").stdin(Stdin::Once).spawn();
    let (mut client, _) = guest.connect();
    let mut streams = guest.attach(Process::Guest, Framing::Multiplexed);
    streams.write(b"through\n");
    streams.end_input();
    guest.start(&mut client);
    assert_eq!(streams.output().stdout, b"through\n");
    assert_eq!(exit(&mut client).code, 0);
}

#[test]
fn hello_says_what_isolates_it() {
    if !possible() {
        return;
    }
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let draft = Draft::new(&["/bin/hello"]).change(|plan| {
        plan.process.env.push(format!("HULL_STARTED_AT={}", now.as_nanos()));
    });
    let hello = installed(&hull_programs::HELLO);
    std::fs::copy(hello, draft.path().join("root/lower/bin/hello")).unwrap();
    let (record, output) = draft.spawn().run();
    let text = String::from_utf8(output.stdout).unwrap();
    eprintln!("{text}");
    assert_eq!(record.code, 0);
    for part in [
        "process     1, the first of its own process namespace",
        "user        root (0) here, 1879048192 on the host",
        "host name   test",
        "namespaces  mount, user, pid, net, ipc, uts, cgroup of its own",
        "root        overlay, writable, in a layer of its own",
        "rights      14 of 41 capabilities, system calls not filtered",
        "ms, from the command to this line",
    ] {
        assert!(text.contains(part), "{part:?} is missing in {text}");
    }
}
