//! A connection on which requests come in and answers and events go out.

use std::io::{ErrorKind, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use hull_shim::frame::{self, Decoder};
use hull_shim::protocol::{MAGIC, Message, Request};
use rustix::event::PollFlags;
use rustix::io::Errno;

/// Bytes a client may leave unread before it is given up on. Events are small and few: whoever
/// lets this much pile up is not reading at all.
const UNREAD_MAX: usize = 256 << 10;

const READ: usize = 4 << 10;

/// One client, before it attaches to anything.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) id: u32,
    socket: UnixStream,
    decoder: Decoder,
    unsent: Vec<u8>,
    /// It said hello; only then it hears of events.
    pub(crate) greeted: bool,
    /// Nothing more is read from it; closed when everything is sent.
    closing: bool,
    broken: bool,
}

impl Connection {
    pub(crate) fn new(id: u32, socket: UnixStream) -> Self {
        Self {
            id,
            socket,
            decoder: Decoder::default(),
            unsent: Vec::new(),
            greeted: false,
            closing: false,
            broken: false,
        }
    }

    pub(crate) fn waiting(&self) -> (BorrowedFd<'_>, PollFlags) {
        let mut flags = PollFlags::empty();
        if !self.closing {
            flags |= PollFlags::IN;
        }
        if !self.unsent.is_empty() {
            flags |= PollFlags::OUT;
        }
        (self.socket.as_fd(), flags)
    }

    pub(crate) fn is_over(&self) -> bool {
        self.broken || (self.closing && self.unsent.is_empty())
    }

    pub(crate) fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Reads what is there, a little at a time: others want to be heard too.
    pub(crate) fn fill(&mut self) {
        let mut buffer = [0; READ];
        match rustix::io::read(&self.socket, &mut buffer) {
            Ok(0) => self.broken = true,
            Ok(count) => self.decoder.push(&buffer[..count]),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_broken) => self.broken = true,
        }
    }

    /// The next request. Nonsense is answered with a reason, and then the connection is closed.
    pub(crate) fn request(&mut self) -> Option<Request> {
        if self.closing || self.broken {
            return None;
        }
        match self.decoder.take::<Request>() {
            Ok(None) => None,
            Ok(Some(Request::Hello { magic, .. })) if self.greeted || magic != MAGIC => {
                self.refuse("not a greeting of hull".to_owned());
                None
            }
            Ok(Some(request)) => {
                let hello = matches!(request, Request::Hello { .. });
                if !hello && !self.greeted {
                    self.refuse("expected a greeting first".to_owned());
                    return None;
                }
                self.greeted = true;
                Some(request)
            }
            Err(error) => {
                self.refuse(error.to_string());
                None
            }
        }
    }

    pub(crate) fn refuse(&mut self, reason: String) {
        self.send(&Message::Refused { reason });
        self.closing = true;
    }

    pub(crate) fn send(&mut self, message: &Message) {
        let frame = frame::encode(message)
            .or_else(|error| frame::encode(&Message::Refused { reason: error.to_string() }));
        match frame {
            Ok(frame) if self.unsent.len() + frame.len() <= UNREAD_MAX => {
                self.unsent.extend_from_slice(&frame);
                self.flush();
            }
            _too_much => self.broken = true,
        }
    }

    pub(crate) fn flush(&mut self) {
        let mut done = 0;
        while done < self.unsent.len() {
            match self.socket.write(&self.unsent[done..]) {
                Ok(count) => done += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_gone) => {
                    self.broken = true;
                    return;
                }
            }
        }
        self.unsent.drain(..done);
        if self.unsent.is_empty() {
            self.unsent = Vec::new();
        }
    }

    /// Takes the connection apart: the socket, what has to go out first, what came in already.
    pub(crate) fn into_parts(self) -> (UnixStream, Vec<u8>, Vec<u8>) {
        (self.socket, self.unsent, self.decoder.into_rest())
    }
}
