//! A process that waits for somebody else to start it: OCI's `create` and `start` are two programs.
//!
//! The gate is a socket. The waiting process holds its listening side, made before the process lost
//! sight of the host; whoever connects gets a [`Channel`] to it, and with that everything the launcher
//! would have had: the reason, should executing fail, and the end of the conversation when it succeeds.

use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, connect, listen,
    socket_with,
};

use super::{Channel, FromChild, START_MAX, ToChild};
use crate::failure::{Doing, Failure, Kind};
use crate::hook;

/// How long somebody who connected may take to say the word.
const WORD_MAX: Duration = Duration::from_secs(10);
/// How many may wait to be heard.
const BACKLOG: i32 = 8;

/// The listening side, for [`super::Given`].
#[derive(Debug)]
pub struct Gate(OwnedFd);

impl Gate {
    /// Makes the socket at `path`, whose directory must be closed to all who may not start the process.
    ///
    /// The caller removes the file, at the latest when the process is gone.
    pub fn bind(path: &Path) -> Result<Self, Failure> {
        let doing = || format!("make start socket {}", path.display());
        let (_directory, address) = address(path)?;
        let socket = new_socket().doing(doing())?;
        let mask = rustix::process::umask(Mode::from_raw_mode(0o177));
        let bound = bind(&socket, &address);
        rustix::process::umask(mask);
        bound.doing(doing())?;
        listen(&socket, BACKLOG).doing(doing())?;
        Ok(Self(socket))
    }

    /// Starts the process that waits behind the socket at `path`; returns when it has executed.
    pub fn open(path: &Path) -> Result<(), Failure> {
        let (_directory, address) = address(path)?;
        let socket = new_socket().doing("make a socket")?;
        let none = || Failure::new(Kind::NotRunning, "no process waits to be started");
        match connect(&socket, &address) {
            Ok(()) => {}
            Err(Errno::CONNREFUSED | Errno::NOENT) => return Err(none()),
            Err(error) => {
                return Err(error).doing_at("connect to start socket", path);
            }
        }
        let channel = Channel::of(socket);
        // A process that executes while we queue resets the connection; one that heard us greets.
        let greeting = channel.receive(START_MAX).doing("wait for the process to be started")?;
        let (message, _) = greeting.ok_or_else(none)?;
        let answer = FromChild::read(&message)?;
        let FromChild::Listens = answer else { return Err(answer.unexpected()) };
        super::say_start(&channel, "the process", hook::TIMEOUT_DEFAULT)
    }
}

/// Lets go of the launcher and waits for somebody at the gate, as long as it takes.
pub(crate) fn wait(gate: &OwnedFd) -> Result<Channel, Failure> {
    rustix::process::set_parent_process_death_signal(None).doing("clear parent death signal")?;
    loop {
        let visitor = match accept_with(gate, SocketFlags::CLOEXEC) {
            Ok(visitor) => Channel::of(visitor),
            Err(Errno::INTR | Errno::CONNABORTED) => continue,
            Err(error) => return Err(error).doing("wait to be started"),
        };
        // One that goes away, says nothing or the wrong thing has not started us.
        if visitor.say(&FromChild::Listens, &[]).is_err() {
            continue;
        }
        if let Ok(Some((message, _))) = visitor.receive(WORD_MAX)
            && message == [ToChild::Start as u8]
        {
            return Ok(visitor);
        }
    }
}

impl AsFd for Gate {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn new_socket() -> rustix::io::Result<OwnedFd> {
    socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
}

/// The address of `path`, of any length; the directory must stay open while it is used.
pub(crate) fn address(path: &Path) -> Result<(OwnedFd, SocketAddrUnix), Failure> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let name = path.file_name().unwrap_or(OsStr::new(""));
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::open(parent.unwrap_or(Path::new(".")), flags, Mode::empty())
        .doing_at("open the directory of socket", path)?;
    // An address has 108 bytes.
    let short = Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string()).join(name);
    let address = SocketAddrUnix::new(&short).doing_at("name socket", path)?;
    Ok((directory, address))
}
