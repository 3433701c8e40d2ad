//! Containers with a terminal, as a person uses them.

use hull_tests::{daemon, eventually};

#[test]
fn a_shell_in_a_terminal_answers_and_ends_with_its_status() {
    let d = daemon!();
    let run = ["run", "--rm", "-it", "--network", "none", "busybox", "sh"];
    for mut shell in [d.docker_terminal(&run), d.hull_terminal(&run)] {
        shell.expect("# ");
        shell.write("tty; echo $((6*7))\n");
        shell.expect("/dev/pts/0");
        shell.expect("42\r\n");
        shell.write("exit 3\n");
        assert_eq!(shell.finish(), 3, "{}", shell.seen());
    }
}

#[test]
fn the_window_has_the_size_of_the_persons() {
    let d = daemon!();
    let run = ["run", "--rm", "-it", "--network", "none", "busybox", "sh"];
    for mut shell in [d.docker_terminal(&run), d.hull_terminal(&run)] {
        shell.expect("# ");
        // The CLI sends the size right after the start, so the first look may be too early.
        shell.write("while [ \"$(stty size)\" != '24 80' ]; do sleep 0.1; done; echo si''ze-1\n");
        shell.expect("size-1");
        shell.resize(33, 101);
        shell.write("while [ \"$(stty size)\" != '33 101' ]; do sleep 0.1; done; echo si''ze-2\n");
        shell.expect("size-2");
        shell.write("exit\n");
        assert_eq!(shell.finish(), 0);
    }
}

#[test]
fn control_c_interrupts_the_program_and_not_the_shell() {
    let d = daemon!();
    let mut shell =
        d.docker_terminal(&["run", "--rm", "-it", "--network", "none", "busybox", "sh"]);
    shell.expect("# ");
    shell.write("echo sta''rted; sleep 1000\n");
    shell.expect("started");
    shell.write("\x03");
    shell.write("echo af''ter $?\n");
    shell.expect("after 130");
    shell.write("\x04");
    shell.finish();
}

#[test]
fn the_detach_keys_leave_the_container_running() {
    let d = daemon!();
    let run = ["run", "-it", "--name", "kept", "--network", "none", "busybox", "sh"];
    let mut shell = d.docker_terminal(&run);
    shell.expect("# ");
    shell.write("\x10\x11");
    assert_eq!(shell.finish(), 0, "{}", shell.seen());
    assert_eq!(d.inspect("kept")["State"]["Running"], true);
    // And back, with other keys this time.
    let mut again = d.hull_terminal(&["attach", "--detach-keys", "ctrl-a,d", "kept"]);
    again.write("echo he''re\n");
    again.expect("here");
    again.write("\x01d");
    again.finish();
    assert_eq!(d.inspect("kept")["State"]["Running"], true);
}

#[test]
fn exec_in_a_terminal_has_one_of_its_own() {
    let d = daemon!();
    let id = d.run_detached("busybox sleep 1000");
    let mut shell = d.docker_terminal(&["exec", "-it", &id, "sh"]);
    shell.expect("# ");
    shell.write("echo $((6*7)); tty\n");
    shell.expect("42\r\n/dev/pts/");
    shell.resize(40, 120);
    shell.write("while [ \"$(stty size)\" != '40 120' ]; do sleep 0.1; done; echo resi''zed\n");
    shell.expect("resized");
    shell.write("exit 9\n");
    assert_eq!(shell.finish(), 9);
}

#[test]
fn signals_of_the_client_reach_a_container_without_a_terminal() {
    let d = daemon!();
    let script = "trap 'echo caught; exit 4' TERM; echo ready; while :; do sleep 0.1; done";
    let client = d.docker("run --rm --network none busybox sh -c").arg(script).spawn();
    client.expect("ready");
    client.signal(rustix::process::Signal::TERM);
    client.expect("caught");
    assert_eq!(client.finish().status, 4);
}

/// Docker's client looks for the keys itself; other clients leave that to the daemon.
#[test]
fn detach_keys_that_the_daemon_sees_are_told() {
    let d = daemon!();
    let id = d.docker("run -dit --network none busybox sh").ok();
    let mut client = d.connect();
    let line = format!("POST /containers/{id}/attach?stream=1&stdin=1&stdout=1");
    client.request(&line, "Connection: Upgrade\r\nUpgrade: tcp\r\n", b"");
    assert_eq!(client.head().status, 101);
    client.send(b"\x10\x11").unwrap();
    client.rest();
    let events = "events --since 1 --until 0s --filter event=detach --format {{.Actor.ID}}";
    eventually("it is told", || (d.docker(events).ok() == id).then_some(()));
    assert_eq!(d.inspect(&id)["State"]["Running"], true);
}
