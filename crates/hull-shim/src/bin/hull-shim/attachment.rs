//! A client that is connected to the streams of a process.

use std::io::{ErrorKind, IoSlice, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use hull_shim::log::Stream;
use hull_shim::protocol::{Attach, Framing};
use rustix::event::PollFlags;

use crate::input::Input;

/// A client's bytes taken in one read.
const READ: usize = 32 << 10;

/// One attached client.
#[derive(Debug)]
pub(crate) struct Attachment {
    pub(crate) id: u32,
    socket: UnixStream,
    spec: Attach,
    /// What the client has not taken yet. Bounded: as long as there is any, nothing is read from
    /// the streams it is attached to.
    pending: Vec<u8>,
    /// Input that came right behind the request.
    early: Vec<u8>,
    input_open: bool,
    /// Gets no more output; closed when `pending` is empty.
    leaving: bool,
    /// Nobody is there any more, but input of theirs may still be in the socket.
    gone: bool,
}

impl Attachment {
    /// `pending` is what goes out first, `early` what came in already.
    pub(crate) fn new(
        id: u32,
        socket: UnixStream,
        spec: Attach,
        pending: Vec<u8>,
        early: Vec<u8>,
    ) -> Self {
        let input_open = spec.stdin;
        Self { id, socket, spec, pending, early, input_open, leaving: false, gone: false }
    }

    /// What to wait for; `None` when nothing that can happen now matters.
    pub(crate) fn waiting(&self, input: &Input) -> Option<(BorrowedFd<'_>, PollFlags)> {
        let mut flags = PollFlags::empty();
        if self.input_open && input.accepts() {
            flags |= PollFlags::IN;
        }
        if !self.pending.is_empty() {
            flags |= PollFlags::OUT;
        }
        // Someone who hung up is reported for ever, whatever we ask for.
        let quiet = self.gone && flags.is_empty();
        (!quiet).then(|| (self.socket.as_fd(), flags))
    }

    /// Whether this client holds a stream up.
    pub(crate) fn blocks(&self, stream: Stream) -> bool {
        !self.pending.is_empty() && self.wants(stream)
    }

    /// Whether output is waiting for this client.
    pub(crate) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Whether nothing more can happen here.
    pub(crate) fn is_over(&self) -> bool {
        (self.gone && !self.input_open) || (self.leaving && self.pending.is_empty())
    }

    fn wants(&self, stream: Stream) -> bool {
        let asked = match stream {
            Stream::Stdout => self.spec.stdout,
            Stream::Stderr => self.spec.stderr,
        };
        asked && !self.leaving && !self.gone
    }

    /// Gives the client output of a stream, or keeps what it does not take at once.
    pub(crate) fn send(&mut self, stream: Stream, bytes: &[u8]) {
        if !self.wants(stream) {
            return;
        }
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes();
        let [a, b, c, d] = length;
        let header = match self.spec.framing {
            Framing::Multiplexed => &[stream.number(), 0, 0, 0, a, b, c, d][..],
            Framing::Raw => &[],
        };
        let mut done = 0;
        if self.pending.is_empty() {
            done = loop {
                let parts = [IoSlice::new(header), IoSlice::new(bytes)];
                match self.socket.write_vectored(&parts) {
                    Ok(count) => break count,
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break 0,
                    Err(_gone) => return self.hung_up(),
                }
            };
        }
        if let Some(rest) = header.get(done..) {
            self.pending.extend_from_slice(rest);
        }
        self.pending.extend_from_slice(&bytes[done.saturating_sub(header.len())..]);
    }

    /// Tries to get rid of what is pending.
    pub(crate) fn flush(&mut self) {
        let mut done = 0;
        while done < self.pending.len() {
            match self.socket.write(&self.pending[done..]) {
                Ok(count) => done += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_gone) => return self.hung_up(),
            }
        }
        self.pending.drain(..done);
        if self.pending.is_empty() {
            self.pending = Vec::new();
        }
    }

    /// Takes input from the client, as much as the process accepts.
    pub(crate) fn receive(&mut self, input: &mut Input) {
        if !self.input_open || !input.accepts() {
            return;
        }
        if !self.early.is_empty() {
            return input.write(&std::mem::take(&mut self.early));
        }
        let mut buffer = Vec::with_capacity(READ);
        match rustix::io::read(&self.socket, rustix::buffer::spare_capacity(&mut buffer)) {
            Ok(count) if count > 0 => input.write(&buffer),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            _end_or_error => {
                self.input_open = false;
                self.leaving |= !input.client_ended();
            }
        }
    }

    /// Whether input is waiting that poll(2) does not know of.
    pub(crate) fn has_early(&self) -> bool {
        self.input_open && !self.early.is_empty()
    }

    /// The client takes no more output. Its input is read to the end first.
    pub(crate) fn hung_up(&mut self) {
        self.gone = true;
        self.pending = Vec::new();
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        // Closing a socket with unread bytes shows the other side an error instead of the end of
        // the output. After the shutdown no more can come in, so the loop ends.
        self.socket.shutdown(Shutdown::Both).unwrap_or_default();
        let mut buffer = [0; 1024];
        while matches!(self.socket.read(&mut buffer), Ok(1..)) {}
    }
}
