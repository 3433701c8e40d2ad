//! The daemon's end of a connection: finding the socket, and a blocking client.
//!
//! An asynchronous caller takes the stream of [`connect`], and [`encode`] and [`Decoder`].

use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use crate::frame::{Decoder, FrameError, encode};
use crate::plan::SOCKET_FILE;
use crate::protocol::{Answer, Ask, Attach, Event, MAGIC, Message, Request, State, VERSION};

/// Talking to a shim failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The socket cannot be reached, or broke.
    #[error("{doing} the shim at {}", dir.display())]
    Socket {
        /// What was attempted.
        doing: &'static str,
        /// The guest's run directory.
        dir: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The shim sent nonsense, or we were about to.
    #[error("talk to the shim at {}", dir.display())]
    Frame {
        /// The guest's run directory.
        dir: PathBuf,
        /// Why.
        source: FrameError,
    },
    /// The shim does not want this connection.
    #[error("the shim at {} refused: {reason}", dir.display())]
    Refused {
        /// The guest's run directory.
        dir: PathBuf,
        /// Its words.
        reason: String,
    },
    /// The shim answered something else than what was asked.
    #[error("the shim at {} answered out of turn", dir.display())]
    OutOfTurn {
        /// The guest's run directory.
        dir: PathBuf,
    },
}

/// Connects to the socket in a guest's run directory, however long its path is.
///
/// A socket's address holds 108 bytes; the way through `/proc/self/fd` is always shorter.
pub fn connect(run_dir: &Path) -> io::Result<UnixStream> {
    let dir = rustix::fs::open(
        run_dir,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    UnixStream::connect(format!("/proc/self/fd/{}/{SOCKET_FILE}", dir.as_raw_fd()))
}

/// The first message of every connection.
pub fn hello() -> Request {
    Request::Hello { magic: MAGIC, version: VERSION }
}

/// A control connection that blocks.
#[derive(Debug)]
pub struct Client {
    dir: PathBuf,
    stream: UnixStream,
    decoder: Decoder,
    number: u32,
    events: Vec<Event>,
}

impl Client {
    /// Connects and greets; the guest's state comes with the answer.
    pub fn connect(run_dir: &Path) -> Result<(Self, State), ClientError> {
        let dir = run_dir.to_owned();
        let stream = connect(run_dir).map_err(|source| ClientError::Socket {
            doing: "connect to",
            dir: dir.clone(),
            source,
        })?;
        let mut client =
            Self { dir, stream, decoder: Decoder::default(), number: 0, events: Vec::new() };
        client.send(&hello())?;
        let message = client.receive()?;
        if let Message::Welcome { state, .. } = message {
            return Ok((client, state));
        }
        Err(client.unexpected(message))
    }

    /// Asks and waits for the answer; events that come in between are kept for [`Self::event`].
    pub fn ask(&mut self, ask: Ask) -> Result<Answer, ClientError> {
        self.number = self.number.wrapping_add(1);
        let expected = self.number;
        self.send(&Request::Ask { number: expected, ask })?;
        loop {
            match self.receive()? {
                Message::Event(event) => self.events.push(event),
                Message::Answer { number, answer } if number == expected => return Ok(answer),
                other @ (Message::Answer { .. }
                | Message::Welcome { .. }
                | Message::Refused { .. }
                | Message::Attached) => return Err(self.unexpected(other)),
            }
        }
    }

    /// Waits for the next event.
    pub fn event(&mut self) -> Result<Event, ClientError> {
        if !self.events.is_empty() {
            return Ok(self.events.remove(0));
        }
        let message = self.receive()?;
        if let Message::Event(event) = message {
            return Ok(event);
        }
        Err(self.unexpected(message))
    }

    /// Turns a new connection into the streams of a process. The bytes returned with the stream
    /// are output that was read already.
    pub fn attach(run_dir: &Path, attach: Attach) -> Result<(UnixStream, Vec<u8>), ClientError> {
        let (mut client, _state) = Self::connect(run_dir)?;
        client.send(&Request::Attach(attach))?;
        loop {
            let message = client.receive()?;
            if message == Message::Attached {
                return Ok((client.stream, client.decoder.into_rest()));
            }
            // An event may come between the greeting and the attachment.
            if !matches!(message, Message::Event(_)) {
                return Err(client.unexpected(message));
            }
        }
    }

    fn send(&mut self, request: &Request) -> Result<(), ClientError> {
        let frame = encode(request)
            .map_err(|source| ClientError::Frame { dir: self.dir.clone(), source })?;
        self.stream.write_all(&frame).map_err(|source| self.broken("write to", source))
    }

    fn receive(&mut self) -> Result<Message, ClientError> {
        let mut buffer = [0; 4096];
        loop {
            match self.decoder.take() {
                Ok(Some(message)) => return Ok(message),
                Ok(None) => {}
                Err(source) => return Err(ClientError::Frame { dir: self.dir.clone(), source }),
            }
            match self.stream.read(&mut buffer) {
                Ok(0) => {
                    return Err(self.broken("read from", io::ErrorKind::UnexpectedEof.into()));
                }
                Ok(count) => self.decoder.push(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(self.broken("read from", source)),
            }
        }
    }

    fn broken(&self, doing: &'static str, source: io::Error) -> ClientError {
        ClientError::Socket { doing, dir: self.dir.clone(), source }
    }

    fn unexpected(&self, message: Message) -> ClientError {
        let dir = self.dir.clone();
        match message {
            Message::Refused { reason } => ClientError::Refused { dir, reason },
            Message::Welcome { .. }
            | Message::Answer { .. }
            | Message::Attached
            | Message::Event(_) => ClientError::OutOfTurn { dir },
        }
    }
}
