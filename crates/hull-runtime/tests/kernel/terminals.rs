//! Terminals: our own, and those handed over.

use std::fs::File;
use std::io::{Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use serde_json::json;

use crate::Test;
use crate::bundle::{Background, Bundle, eventually};

pub(crate) const TESTS: &[Test] = &[
    ("a_terminal_is_sent_to_the_console_socket", console_socket),
    ("exec_sends_its_terminal_too", exec_console),
    ("in_the_foreground_our_terminal_is_the_containers", foreground),
    ("terminals_and_sockets_must_agree", disagreements),
];

/// What is sent to the socket: bytes and a descriptor.
fn receive(listener: &UnixListener) -> (Vec<u8>, File) {
    let (socket, _) = listener.accept().unwrap();
    let mut bytes = [0; 64];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut slices = [std::io::IoSliceMut::new(&mut bytes)];
    let received = recvmsg(&socket, &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC).unwrap();
    let length = received.bytes;
    let mut all: Vec<OwnedFd> = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            all.extend(rights);
        }
    }
    assert_eq!(all.len(), 1);
    (bytes[..length].to_vec(), all.remove(0).into())
}

/// Reads until `text` has come.
fn read_until(terminal: &mut File, text: &str) -> String {
    let mut seen = String::new();
    let mut buffer = [0; 512];
    while !seen.contains(text) {
        let count = terminal.read(&mut buffer).expect(&seen);
        seen.push_str(&String::from_utf8_lossy(&buffer[..count]));
    }
    seen
}

fn console_socket() {
    let mut bundle = Bundle::new();
    bundle.process()["terminal"] = json!(true);
    bundle.process()["consoleSize"] = json!({"height": 11, "width": 22});
    bundle.shell("stty size; tty; ls -l /dev/console; read line; echo got $line");
    let path = bundle.path("console");
    let listener = UnixListener::bind(&path).unwrap();
    bundle.create(&["--console-socket", path.to_str().unwrap()]).ok();
    let (name, mut terminal) = receive(&listener);
    assert!(name.starts_with(b"/dev/"), "{name:?}");
    bundle.call(&["start", "c"]).ok();
    let seen = read_until(&mut terminal, "console");
    assert!(seen.contains("11 22\r\n/dev/pts/0\r\n"), "{seen}");
    assert!(seen.contains("136,") || read_until(&mut terminal, "136,").contains("136,"));
    terminal.write_all(b"typed\n").unwrap();
    read_until(&mut terminal, "got typed\r\n");
    eventually("its end", || bundle.status() == "stopped");
}

fn exec_console() {
    let mut bundle = Bundle::new();
    bundle.shell("sleep 600");
    bundle.start();
    let path = bundle.path("console");
    let listener = UnixListener::bind(&path).unwrap();
    let socket = ["exec", "--detach", "--tty", "--console-socket", path.to_str().unwrap()];
    let words = [&socket[..], &["c", "sh", "-c", "tty; echo done"]].concat();
    bundle.call(&words).ok();
    let (_, mut terminal) = receive(&listener);
    let seen = read_until(&mut terminal, "done\r\n");
    assert!(seen.starts_with("/dev/pts/"), "{seen}");
}

fn foreground() {
    let mut bundle = Bundle::new();
    bundle.process()["terminal"] = json!(true);
    bundle.shell("stty size; read line; echo got $line; exit 6").write();
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let ours = openpt(flags).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let size = Winsize { ws_row: 31, ws_col: 97, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&ours, size).unwrap();
    let theirs = ioctl_tiocgptpeer(&ours, flags).unwrap();
    let mut command = bundle.command(&["run", "c"]);
    command.stdin(theirs.try_clone().unwrap());
    command.stdout(theirs.try_clone().unwrap()).stderr(theirs);
    let mut running = Background(command.spawn().unwrap());
    drop(command);
    let mut ours = File::from(ours);
    read_until(&mut ours, "31 97");
    ours.write_all(b"typed\r").unwrap();
    read_until(&mut ours, "got typed");
    assert_eq!(running.0.wait().unwrap().code(), Some(6));
    bundle.assert_nothing_left();
}

fn disagreements() {
    let mut bundle = Bundle::new();
    bundle.create(&["--console-socket", "/no/such"]).fails(1, "the process has no terminal");
    bundle.process()["terminal"] = json!(true);
    bundle.create(&[]).fails(1, "give --console-socket");
    bundle.create(&["--console-socket", "/no/such"]).fails(1, "send the terminal to /no/such");
    bundle.call(&["run", "--console-socket", "/no/such", "c"]).fails(1, "only for a process");
    bundle.assert_nothing_left();
}
