//! The streams of a guest, connected to ours: attach, `run` and `exec`.

pub(crate) mod demux;
pub(crate) mod detach;
pub(crate) mod signals;
pub(crate) mod terminal;

use std::io::{self, Read as _};

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{
    AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadHalf, Stderr, Stdout, WriteHalf,
};
use tokio::sync::mpsc::{self, Receiver};

use demux::{Demux, Piece, Target};
use detach::Keys;

use crate::failure::Failure;

/// Why the streams ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The guest closed its side.
    Closed,
    /// The user typed the detach keys.
    Detached,
}

/// What can go wrong between the streams.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StreamError {
    #[error("start the thread that reads standard input")]
    Thread(#[source] io::Error),
    #[error("read the guest's output")]
    Read(#[source] io::Error),
    #[error("write the guest's output")]
    Write(#[source] io::Error),
    #[error("read standard input")]
    Stdin(#[source] io::Error),
    #[error("the guest's output is not in Docker's frames: a stream of kind {kind}")]
    Frame { kind: u8 },
    #[error("error from daemon in stream: {message}")]
    Daemon { message: String },
}

/// How the streams are to be connected.
pub(crate) struct Wiring {
    /// Whether our standard input is sent, and which keys in it detach.
    pub(crate) input: Option<Option<Keys>>,
    /// Whether the guest has a terminal: its output is then one raw stream, else it is framed.
    pub(crate) tty: bool,
    /// Whether any output is awaited.
    pub(crate) output: bool,
}

type Socket = TokioIo<Upgraded>;

/// Copies until the guest's output ends or the user detaches.
///
/// # Errors
/// When a stream breaks, or our own output cannot be written.
pub(crate) async fn pump(upgraded: Upgraded, wiring: Wiring) -> Result<End, Failure> {
    let (reader, writer) = tokio::io::split(TokioIo::new(upgraded));
    let tty = wiring.tty;
    let output = async move {
        if wiring.output { copy_output(reader, tty).await } else { std::future::pending().await }
    };
    let input = async move {
        let Some(keys) = wiring.input else { return std::future::pending().await };
        let end = copy_input(writer, keys).await?;
        // Without output to wait for, the end of the input is the end.
        if end == End::Closed && wiring.output { std::future::pending().await } else { Ok(end) }
    };
    let ended = tokio::select! {
        ended = output => ended.map(|()| End::Closed),
        ended = input => ended,
    };
    ended.map_err(told)
}

/// Output nobody reads any more (`| head`) ends us without a word, as it does other programs.
fn told(error: StreamError) -> Failure {
    match error {
        StreamError::Write(error) => crate::output::broken(&error),
        StreamError::Thread(_)
        | StreamError::Read(_)
        | StreamError::Stdin(_)
        | StreamError::Frame { .. }
        | StreamError::Daemon { .. } => error.into(),
    }
}

const CHUNK_BYTES: usize = 32 * 1024;
/// Chunks of input that wait for the network at most.
const INPUT_AHEAD_MAX: usize = 2;

/// Our standard input, read by a thread: it may block for ever, and ends with the process.
fn input() -> io::Result<Receiver<io::Result<Bytes>>> {
    let (chunks, receiver) = mpsc::channel(INPUT_AHEAD_MAX);
    std::thread::Builder::new().name("stdin".to_owned()).spawn(move || {
        let mut stdin = io::stdin().lock();
        let mut buffer = vec![0; CHUNK_BYTES];
        loop {
            let chunk = match stdin.read(&mut buffer) {
                Ok(0) => return,
                Ok(length) => Ok(Bytes::copy_from_slice(&buffer[..length])),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
            let failed = chunk.is_err();
            if chunks.blocking_send(chunk).is_err() || failed {
                return;
            }
        }
    })?;
    Ok(receiver)
}

async fn copy_input(
    mut writer: WriteHalf<Socket>,
    mut keys: Option<Keys>,
) -> Result<End, StreamError> {
    let mut chunks = input().map_err(StreamError::Thread)?;
    while let Some(chunk) = chunks.recv().await {
        let chunk = chunk.map_err(StreamError::Stdin)?;
        let (bytes, detached) = match &mut keys {
            Some(keys) => keys.feed(&chunk),
            None => (chunk.to_vec(), false),
        };
        // A guest that no longer reads is no error of ours: its output says how it ended.
        if writer.write_all(&bytes).await.is_err() {
            return Ok(End::Closed);
        }
        if writer.flush().await.is_err() {
            return Ok(End::Closed);
        }
        if detached {
            return Ok(End::Detached);
        }
    }
    // Half-close: the guest sees the end of its input and we still get its output. It fails only
    // when the guest is gone, which the output side reports.
    drop(writer.shutdown().await);
    Ok(End::Closed)
}

async fn copy_output(mut reader: ReadHalf<Socket>, tty: bool) -> Result<(), StreamError> {
    let mut sink = Sink::new(tty);
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        match reader.read(&mut buffer).await {
            Ok(0) => return sink.finish(),
            Ok(length) => sink.write(&buffer[..length]).await?,
            // The daemon closed while our input was on its way: the same as an end.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return sink.finish(),
            Err(error) => return Err(StreamError::Read(error)),
        }
    }
}

/// Copies an answer that is a stream of output (`logs`) to our own streams.
///
/// # Errors
/// As [`pump`].
pub(crate) async fn copy_answer(body: Incoming, tty: bool) -> Result<(), Failure> {
    copy_body(body, tty).await.map_err(told)
}

async fn copy_body(mut body: Incoming, tty: bool) -> Result<(), StreamError> {
    let mut sink = Sink::new(tty);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| StreamError::Read(io::Error::other(error)))?;
        if let Ok(chunk) = frame.into_data() {
            sink.write(&chunk).await?;
        }
    }
    sink.finish()
}

/// Our standard output and errors, fed with what a guest sends.
struct Sink {
    stdout: Stdout,
    stderr: Stderr,
    /// None when the stream is raw.
    demux: Option<Demux>,
}

impl Sink {
    fn new(tty: bool) -> Self {
        let demux = (!tty).then(Demux::default);
        Self { stdout: tokio::io::stdout(), stderr: tokio::io::stderr(), demux }
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), StreamError> {
        let Some(demux) = &mut self.demux else {
            return write_all(&mut self.stdout, bytes).await;
        };
        let mut rest = bytes;
        while !rest.is_empty() {
            let piece;
            (piece, rest) = demux.next(rest).map_err(|kind| StreamError::Frame { kind })?;
            match piece {
                Some(Piece { target: Target::Stdout, bytes }) => {
                    write_all(&mut self.stdout, bytes).await?;
                }
                Some(Piece { target: Target::Stderr, bytes }) => {
                    write_all(&mut self.stderr, bytes).await?;
                }
                None => {}
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<(), StreamError> {
        let ended = self.demux.map_or(Ok(()), Demux::finish);
        ended.map_err(|message| StreamError::Daemon { message })
    }
}

async fn write_all(
    target: &mut (impl AsyncWrite + Unpin),
    bytes: &[u8],
) -> Result<(), StreamError> {
    target.write_all(bytes).await.map_err(StreamError::Write)?;
    target.flush().await.map_err(StreamError::Write)
}
