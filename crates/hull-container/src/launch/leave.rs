//! A launch in two parts: one program sets the process up and goes, another lets it execute.
//!
//! In between the process waits on a listening socket. Whoever reaches that socket may start it, so
//! its place in the file system is the caller's to protect. While the process waits the socket
//! answers; once it has executed, or died, nobody does.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::net::{SocketFlags, accept_with};

use super::channel::{Channel, FromChild, ToChild};
use super::{Assembled, Running};
use crate::failure::{Doing, Failure};

/// How long the process may take to let go of its launcher: two system calls.
const LEAVE_MAX: Duration = Duration::from_secs(10);
/// How long one that came to the socket may take to say what it wants.
const WORD_MAX: Duration = Duration::from_secs(5);

impl Assembled<'_> {
    /// Leaves the process waiting on `listener`, a listening `SOCK_SEQPACKET` socket, for
    /// [`resume`]. Its plan must say that it outlives its launcher.
    pub fn leave(self, listener: BorrowedFd<'_>) -> Result<Running, Failure> {
        let Self { plan, newborn, channel, cgroup, terminal: _ } = self;
        if !plan.process.outlives_launcher {
            return Err(Failure::other("leave a process whose plan ties it to its launcher"));
        }
        channel.send(&[ToChild::Leave as u8], &[listener]).doing("leave the new process")?;
        match channel.answer(LEAVE_MAX, &newborn, "leave the new process")?.0 {
            FromChild::Ready => {}
            FromChild::Failed(failure) => return Err(failure),
            FromChild::Forked(_) => return Err(Failure::other("the new process answers nonsense")),
        }
        cgroup.keep();
        Ok(newborn.into_running())
    }
}

/// Lets the process that waits at the other end of `connection` execute; returns when it has.
///
/// `patience` is for all that may come before, hooks inside the guest included.
pub fn resume(connection: OwnedFd, patience: Duration) -> Result<(), Failure> {
    let channel = Channel(connection);
    channel.send(&[ToChild::Start as u8], &[]).doing("talk to the waiting process")?;
    match channel.receive(patience).doing("wait for the process to execute")? {
        None => Ok(()),
        Some((message, _)) => match FromChild::read(&message)? {
            FromChild::Failed(failure) => Err(failure),
            FromChild::Ready | FromChild::Forked(_) => {
                Err(Failure::other("the waiting process answers nonsense"))
            }
        },
    }
}

/// In the process, whose launcher has gone: the conversation with who wants it to execute.
pub(crate) fn await_other(listener: &OwnedFd) -> Result<Channel, Failure> {
    loop {
        let accepted = accept_with(listener, SocketFlags::CLOEXEC);
        let channel = match accepted {
            Ok(connection) => Channel(connection),
            // Who came is gone already.
            Err(rustix::io::Errno::INTR | rustix::io::Errno::CONNABORTED) => continue,
            Err(error) => return Err(error).doing("wait to be started"),
        };
        // Who only wants to know whether somebody waits says nothing.
        if let Ok(Some((message, _))) = channel.receive(WORD_MAX)
            && message == [ToChild::Start as u8]
        {
            return Ok(channel);
        }
    }
}
