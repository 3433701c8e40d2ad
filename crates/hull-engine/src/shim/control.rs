//! A control connection to one shim.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::time::Duration;

use hull_shim::client::{connect, hello};
use hull_shim::frame::{Decoder, FrameError, encode};
use hull_shim::protocol::{Answer, Ask, Attach, Event, Message, Request, State};
use tokio::net::UnixStream;
use tokio::time::timeout;

use crate::error::{Error, Kind};

/// How long a shim may take to answer. It only does bounded work between two reads.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// Talking to a shim failed. Whether its guest lives is another question.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ControlError {
    /// The socket is not there, or broke.
    #[error("the guest's shim is not reachable")]
    Socket(#[source] io::Error),
    /// The shim sent nonsense, or we were about to.
    #[error("talking to the guest's shim")]
    Frame(#[source] FrameError),
    /// The shim does not want to talk to us.
    #[error("the guest's shim refused: {0}")]
    Refused(String),
    /// The shim answered something else than what was asked.
    #[error("the guest's shim answered out of turn")]
    OutOfTurn,
    /// The shim did not answer.
    #[error("the guest's shim does not answer")]
    Silent,
}

/// A control connection.
#[derive(Debug)]
pub(crate) struct Control {
    stream: UnixStream,
    decoder: Decoder,
    number: u32,
    events: VecDeque<Event>,
}

impl Control {
    /// Connects to the shim of the run directory `dir`; its state comes with the greeting.
    pub(crate) async fn connect(dir: &Path) -> Result<(Self, State), ControlError> {
        Self::connect_within(dir, ANSWER_MAX).await
    }

    /// As [`Self::connect`], to a shim that may still have to build its guest.
    pub(crate) async fn connect_within(
        dir: &Path,
        patience: Duration,
    ) -> Result<(Self, State), ControlError> {
        let stream = connect(dir).map_err(ControlError::Socket)?;
        let mut control = Self::over(stream)?;
        control.send(&hello()).await?;
        let greeting = timeout(patience, control.receive()).await;
        let greeting = greeting.unwrap_or(Err(ControlError::Silent))?;
        let Message::Welcome { state, .. } = greeting else { return Err(unexpected(greeting)) };
        Ok((control, state))
    }

    fn over(stream: std::os::unix::net::UnixStream) -> Result<Self, ControlError> {
        stream.set_nonblocking(true).map_err(ControlError::Socket)?;
        let stream = UnixStream::from_std(stream).map_err(ControlError::Socket)?;
        Ok(Self { stream, decoder: Decoder::default(), number: 0, events: VecDeque::new() })
    }

    /// Asks and waits for the answer; events that come in between are kept for [`Self::event`].
    pub(crate) async fn ask(&mut self, ask: Ask) -> Result<Answer, ControlError> {
        self.number = self.number.wrapping_add(1);
        let expected = self.number;
        self.send(&Request::Ask { number: expected, ask }).await?;
        loop {
            let message = self.answer_in_time().await?;
            match message {
                Message::Event(event) => self.events.push_back(event),
                Message::Answer { number, answer } if number == expected => return Ok(answer),
                Message::Welcome { .. }
                | Message::Refused { .. }
                | Message::Answer { .. }
                | Message::Attached => return Err(unexpected(message)),
            }
        }
    }

    /// The next event. Cancelling loses nothing.
    pub(crate) async fn event(&mut self) -> Result<Event, ControlError> {
        if let Some(event) = self.events.pop_front() {
            return Ok(event);
        }
        let message = self.receive().await?;
        let Message::Event(event) = message else { return Err(unexpected(message)) };
        Ok(event)
    }

    /// Turns the connection into the streams of a process. The bytes are what was read of its output
    /// already.
    pub(crate) async fn attach(
        mut self,
        attach: Attach,
    ) -> Result<(UnixStream, Vec<u8>), ControlError> {
        self.send(&Request::Attach(attach)).await?;
        loop {
            match self.answer_in_time().await? {
                Message::Attached => return Ok((self.stream, self.decoder.into_rest())),
                // One may come between the greeting and the attachment.
                Message::Event(_) => {}
                other @ (Message::Welcome { .. }
                | Message::Refused { .. }
                | Message::Answer { .. }) => return Err(unexpected(other)),
            }
        }
    }

    /// Kills the shim, and with it its guest; returns once it is gone.
    pub(crate) async fn end_shim(mut self) {
        const PATIENCE: Duration = Duration::from_secs(5);
        let peer = self.stream.peer_cred().ok().and_then(|peer| peer.pid());
        let Some(pid) = peer.and_then(rustix::process::Pid::from_raw) else { return };
        super::program::kill(pid);
        let gone = async { while self.receive().await.is_ok() {} };
        if timeout(PATIENCE, gone).await.is_err() {
            tracing::warn!(?pid, "a killed shim does not end");
        }
    }

    async fn send(&mut self, request: &Request) -> Result<(), ControlError> {
        use tokio::io::AsyncWriteExt;
        let frame = encode(request).map_err(ControlError::Frame)?;
        match timeout(ANSWER_MAX, self.stream.write_all(&frame)).await {
            Ok(sent) => sent.map_err(ControlError::Socket),
            Err(_elapsed) => Err(ControlError::Silent),
        }
    }

    async fn answer_in_time(&mut self) -> Result<Message, ControlError> {
        timeout(ANSWER_MAX, self.receive()).await.unwrap_or(Err(ControlError::Silent))
    }

    async fn receive(&mut self) -> Result<Message, ControlError> {
        loop {
            if let Some(message) = self.decoder.take().map_err(ControlError::Frame)? {
                return Ok(message);
            }
            self.stream.readable().await.map_err(ControlError::Socket)?;
            // On the stack for the moment of the call only: an idle guest holds no buffer.
            let mut buffer = [0; 4096];
            match self.stream.try_read(&mut buffer) {
                Ok(0) => return Err(ControlError::Socket(io::ErrorKind::UnexpectedEof.into())),
                Ok(count) => self.decoder.push(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(ControlError::Socket(error)),
            }
        }
    }
}

/// The shim answered a question that was not asked.
pub(crate) fn out_of_turn(answer: &Answer) -> Error {
    Error::new(Kind::Internal, format!("the guest's shim answered out of turn: {answer:?}"))
}

fn unexpected(message: Message) -> ControlError {
    match message {
        Message::Refused { reason } => ControlError::Refused(reason),
        Message::Welcome { .. }
        | Message::Answer { .. }
        | Message::Attached
        | Message::Event(_) => ControlError::OutOfTurn,
    }
}
