//! Clients that lie, shout, or do nothing.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use hull_shim::client::{connect, hello};
use hull_shim::frame::{Decoder, encode};
use hull_shim::protocol::{Answer, Ask, Attach, Framing, Message, Process, Request};

use crate::guest::{Draft, Guest, exit, possible};

fn shut_out(mut stream: UnixStream) -> Message {
    stream.set_read_timeout(Some(crate::guest::PATIENCE)).unwrap();
    let mut bytes = Vec::new();
    // An error instead of the end is fine too: it is over.
    stream.read_to_end(&mut bytes).map(drop).unwrap_or_default();
    let mut decoder = Decoder::default();
    decoder.push(&bytes);
    let mut last = None;
    while let Ok(Some(message)) = decoder.take() {
        last = Some(message);
    }
    last.unwrap()
}

fn still_serves(guest: &Guest) {
    let (mut client, _) = guest.connect();
    assert!(matches!(client.ask(Ask::State).unwrap(), Answer::State(_)));
}

#[test]
fn nonsense_is_refused_with_a_reason_and_harms_nobody_else() {
    if !possible() {
        return;
    }
    let guest = Draft::script("exit 0").spawn();
    let attach = Request::Attach(Attach {
        process: Process::Guest,
        stdin: true,
        stdout: true,
        stderr: true,
        framing: Framing::Raw,
    });
    let bad_magic = Request::Hello { magic: *b"http", version: 1 };
    let cases: [Vec<u8>; 6] = [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        vec![0xff; 64],
        encode(&attach).unwrap(),
        encode(&bad_magic).unwrap(),
        [encode(&hello()).unwrap(), vec![0, 0, 0, 1, 99]].concat(),
        [encode(&hello()).unwrap(), encode(&hello()).unwrap()].concat(),
    ];
    for case in cases {
        let mut stream = connect(&guest.run_dir()).unwrap();
        stream.write_all(&case).unwrap();
        let last = shut_out(stream);
        assert!(matches!(last, Message::Refused { .. }), "{last:?}");
        still_serves(&guest);
    }
    assert_eq!(guest.run().0.code, 0);
}

#[test]
fn random_bytes_do_not_end_the_shim() {
    if !possible() {
        return;
    }
    let guest = Draft::script("exit 0").spawn();
    let mut random = std::fs::File::open("/dev/urandom").unwrap();
    for round in 0..200_usize {
        let mut bytes = vec![0; round * 7];
        random.read_exact(&mut bytes).unwrap();
        let mut stream = connect(&guest.run_dir()).unwrap();
        if round % 2 == 0 {
            stream.write_all(&encode(&hello()).unwrap()).unwrap();
            let length = u32::try_from(bytes.len()).unwrap();
            stream.write_all(&length.to_be_bytes()).unwrap();
        }
        stream.write_all(&bytes).unwrap_or_default();
    }
    still_serves(&guest);
    assert_eq!(guest.run().0.code, 0);
}

#[test]
fn a_client_that_asks_without_reading_is_given_up_on() {
    if !possible() {
        return;
    }
    let guest = Draft::script("exit 0").spawn();
    let mut stream = connect(&guest.run_dir()).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(&encode(&hello()).unwrap()).unwrap();
    let ask = encode(&Request::Ask { number: 1, ask: Ask::State }).unwrap();
    let many = ask.repeat(1000);
    let mut failed = false;
    for _ in 0..2000 {
        failed = failed || stream.write_all(&many).is_err();
    }
    assert!(failed, "it was never cut off");
    still_serves(&guest);
    assert_eq!(guest.run().0.code, 0);
}

#[test]
fn a_crowd_of_silent_clients_keeps_nobody_out() {
    if !possible() {
        return;
    }
    let guest = Draft::script("exit 0").spawn();
    let crowd: Vec<UnixStream> = (0..700).map_while(|_| connect(&guest.run_dir()).ok()).collect();
    assert!(crowd.len() > 500);
    still_serves(&guest);
    assert_eq!(guest.run().0.code, 0);
}

#[test]
fn a_half_sent_request_waits_and_an_early_input_is_not_lost() {
    if !possible() {
        return;
    }
    let guest = Draft::script("cat").stdin(hull_shim::protocol::Stdin::Once).spawn();
    let (mut client, _) = guest.connect();
    let attach = Request::Attach(Attach {
        process: Process::Guest,
        stdin: true,
        stdout: true,
        stderr: true,
        framing: Framing::Raw,
    });
    // Greeting, request and input in one go, cut in odd places.
    let bytes =
        [encode(&hello()).unwrap(), encode(&attach).unwrap(), b"early bird\n".to_vec()].concat();
    let mut stream = connect(&guest.run_dir()).unwrap();
    for part in bytes.chunks(5) {
        stream.write_all(part).unwrap();
        std::thread::sleep(Duration::from_millis(2));
    }
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    guest.start(&mut client);
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert!(answer.ends_with(b"early bird\n"));
    assert_eq!(exit(&mut client).code, 0);
}

/// CVE-2019-5736. A guest with the host's users and processes and all power changes the file that
/// the shim runs, by `/proc/PID/exe`; unless it was started as the engine does.
#[test]
fn the_shims_program_cannot_be_changed_from_inside() {
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::PermissionsExt;
    if !possible() {
        return;
    }
    let own = tempfile::tempdir().unwrap();
    let program = own.path().join("shim");
    std::fs::copy(crate::program(), &program).unwrap();
    let mode = || std::fs::metadata(&program).unwrap().permissions().mode() & 0o777;
    let attacked = |started: &std::path::Path| {
        let draft = Draft::script("read pid; chmod 700 /proc/$pid/exe && echo changed")
            .stdin(hull_shim::protocol::Stdin::Once)
            .change(|plan| {
                plan.namespaces.user = hull_container::plan::User::Host;
                plan.namespaces.pid = hull_container::plan::Namespace::Host;
                let all = (1 << 41) - 1;
                plan.process.capabilities.bounding = all;
                plan.process.capabilities.permitted = all;
                plan.process.capabilities.effective = all;
            });
        std::os::unix::fs::symlink("busybox", draft.path().join("root/lower/bin/chmod")).unwrap();
        let guest = draft.spawn_by(started);
        let (mut client, _) = guest.connect();
        let mut streams = guest.attach(Process::Guest, Framing::Multiplexed);
        guest.start(&mut client);
        streams.write(format!("{}\n", guest.shim.id()).as_bytes());
        let output = streams.output();
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    let mount = hull_sys::mount::read_only_program(&program).unwrap();
    let kept = format!("/proc/self/fd/{}", mount.as_raw_fd());
    let said = attacked(kept.as_ref());
    assert!(said.contains("Read-only file system"), "{said}");
    assert_eq!(mode(), 0o755);
    // Started in the plain way it is lost.
    let said = attacked(&program);
    assert_eq!((said.as_str(), mode()), ("changed\n", 0o700));
}
