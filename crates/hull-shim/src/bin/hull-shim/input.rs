//! Towards a process: its standard input.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use hull_shim::protocol::Stdin;
use rustix::io::Errno;

/// The input of a process, or what will become it.
#[derive(Debug)]
pub(crate) struct Input {
    mode: Stdin,
    terminal: bool,
    state: State,
    /// What the process has not taken yet.
    pending: Vec<u8>,
    /// Closed once `pending` is empty.
    ending: bool,
}

#[derive(Debug)]
enum State {
    NotYet,
    Open(OwnedFd),
    Closed,
}

impl Input {
    pub(crate) fn new(mode: Stdin, terminal: bool) -> Self {
        Self { mode, terminal, state: State::NotYet, pending: Vec::new(), ending: false }
    }

    /// The process is there; this is its input's other end, if it has one.
    pub(crate) fn open(&mut self, fd: Option<OwnedFd>) {
        self.state = fd.map_or(State::Closed, State::Open);
        self.flush();
    }

    /// Whether more bytes are welcome now. Once closed they always are: nobody will miss them.
    pub(crate) fn accepts(&self) -> bool {
        match self.state {
            State::NotYet => false,
            State::Open(_) => self.pending.is_empty(),
            State::Closed => true,
        }
    }

    /// What to wait for before [`Self::flush`].
    pub(crate) fn waiting(&self) -> Option<BorrowedFd<'_>> {
        match &self.state {
            State::Open(fd) if !self.pending.is_empty() => Some(fd.as_fd()),
            State::Open(_) | State::NotYet | State::Closed => None,
        }
    }

    /// Gives bytes to the process; only after [`Self::accepts`].
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        if matches!(self.state, State::Open(_)) && !self.ending {
            self.pending.extend_from_slice(bytes);
            self.flush();
        }
    }

    /// Tries to get rid of what is pending.
    pub(crate) fn flush(&mut self) {
        let State::Open(fd) = &self.state else { return };
        let mut done = 0;
        while done < self.pending.len() {
            match rustix::io::write(fd, &self.pending[done..]) {
                Ok(count) => done += count,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Err(_nobody_reads) => {
                    self.close();
                    return;
                }
            }
        }
        self.pending.drain(..done);
        if self.pending.is_empty() {
            self.pending = Vec::new();
            if self.ending {
                self.close();
            }
        }
    }

    /// Ends the input after what was written. A terminal has no end.
    pub(crate) fn end(&mut self) {
        if !self.terminal {
            self.ending = true;
            self.flush();
        }
    }

    /// A client's input is over; says whether its output goes on.
    ///
    /// As Docker (moby `container/stream/attach.go`): input that is to close once is closed, and
    /// output goes on; otherwise the end of a client's input ends its attachment.
    pub(crate) fn client_ended(&mut self) -> bool {
        match self.mode {
            Stdin::Once if !self.terminal => {
                self.end();
                true
            }
            Stdin::Null => true,
            Stdin::Once | Stdin::Open => false,
        }
    }

    pub(crate) fn close(&mut self) {
        self.state = State::Closed;
        self.pending = Vec::new();
    }
}
