//! A process that is set up by one and started by another.

use std::fs;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use hull_container::launch::{self, Running};
use hull_container::plan::LaunchPlan;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with,
};

use crate::Test;
use crate::fixture::{Guest, stdio, wait};

pub(crate) const TESTS: &[Test] = &[
    ("a_process_left_alone_waits_to_be_started", left_alone),
    ("who_starts_it_hears_why_it_could_not", reasons),
];

const PATIENCE: Duration = Duration::from_secs(10);

fn socket() -> OwnedFd {
    socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap()
}

fn come(path: &Path) -> rustix::io::Result<OwnedFd> {
    let socket = socket();
    connect(&socket, &SocketAddrUnix::new(path).unwrap()).map(|()| socket)
}

fn left(plan: &LaunchPlan, socket_path: &Path, stdio: launch::Stdio) -> Running {
    let listener = socket();
    bind(&listener, &SocketAddrUnix::new(socket_path).unwrap()).unwrap();
    listen(&listener, 8).unwrap();
    let assembled = launch::spawn(plan).unwrap().assemble(stdio).unwrap();
    assembled.leave(listener.as_fd()).unwrap()
}

fn left_alone() {
    let mut guest = Guest::new();
    guest.shell("echo started; ls /proc/self/fd | wc -l");
    let mut plan = guest.plan();
    let refused = launch::spawn(&plan).unwrap().assemble(stdio(false).1).unwrap();
    assert!(refused.leave(socket().as_fd()).unwrap_err().message.contains("ties it"));
    plan.process.outlives_launcher = true;
    let path = guest.dir.path().join("start");
    let (mut output, streams) = stdio(false);
    let running = left(&plan, &path, streams);
    // Those who only look, and those who talk nonsense, do not start it.
    drop(come(&path).unwrap());
    rustix::io::write(come(&path).unwrap(), b"x").unwrap();
    launch::resume(come(&path).unwrap(), PATIENCE).unwrap();
    assert_eq!(come(&path).unwrap_err(), rustix::io::Errno::CONNREFUSED);
    let mut text = String::new();
    output.read_to_string(&mut text).unwrap();
    // The streams, and the directory that ls reads: neither socket.
    assert_eq!(text, "started\n4\n");
    assert_eq!(wait(&running), 0);
    plan.cgroup.remove(PATIENCE).unwrap();
}

fn reasons() {
    let mut guest = Guest::new();
    fs::write(guest.lower("bin/broken"), "#!/no/such/interpreter\n").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(guest.lower("bin/broken"), mode).unwrap();
    guest.command(&["broken"]);
    let mut plan = guest.plan();
    plan.process.outlives_launcher = true;
    let path = guest.dir.path().join("start");
    let running = left(&plan, &path, stdio(false).1);
    let failure = launch::resume(come(&path).unwrap(), PATIENCE).unwrap_err();
    assert!(failure.message.contains("exec /bin/broken: no such file"), "{failure}");
    assert_eq!(wait(&running), 1);
    plan.cgroup.remove(PATIENCE).unwrap();
}
