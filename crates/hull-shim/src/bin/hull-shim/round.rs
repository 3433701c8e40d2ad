//! One turn of the loop: what can happen, and waiting until something does.

use std::os::fd::BorrowedFd;
use std::time::Duration;

use hull_shim::log::Stream;
use hull_shim::protocol::Process;
use rustix::event::{PollFd, PollFlags, Timespec};

/// Where something happened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Source {
    /// Somebody connects.
    Listener,
    /// A connection that is not attached, by number.
    Connection(u32),
    /// A process ended.
    Pidfd(Process),
    /// A process wrote.
    Output(Process, Stream),
    /// A process reads.
    Input(Process),
    /// An attached client, by number.
    Attachment(Process, u32),
    /// The guest's memory.
    Memory,
    /// Something an ended process left open.
    Leftover,
    /// A child ended, known or not.
    ChildEnded,
}

/// The things to wait for.
#[derive(Debug, Default)]
pub(crate) struct Interests<'a> {
    sources: Vec<Source>,
    fds: Vec<PollFd<'a>>,
}

impl<'a> Interests<'a> {
    pub(crate) fn add(&mut self, source: Source, fd: BorrowedFd<'a>, flags: PollFlags) {
        self.sources.push(source);
        self.fds.push(PollFd::from_borrowed_fd(fd, flags));
    }

    /// Waits for at least one of them, or until the time is over.
    pub(crate) fn wait(mut self, timeout: Option<Duration>) -> Vec<(Source, PollFlags)> {
        // A length that does not fit is as good as for ever.
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        // The only errors are EINTR and a lack of memory for a moment; both are tried again by
        // the next turn.
        if rustix::event::poll(&mut self.fds, timeout.as_ref()).is_err() {
            return Vec::new();
        }
        let happened = self.fds.iter().map(PollFd::revents);
        self.sources.into_iter().zip(happened).filter(|(_, flags)| !flags.is_empty()).collect()
    }
}
