//! Between streams and threads that block: archives are read and written by blocking code.

use std::io::{self, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures_util::Stream;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::body::ByteStream;

/// Pieces that wait between the two sides.
const PIECES_MAX: usize = 8;
/// How much is written before it is passed on.
const PIECE: usize = 64 << 10;
/// How long a client may neither send nor take anything: long enough for one who pages through an
/// archive, but what it holds (threads, mounts, layers) is not its own for ever.
const STALLED_MAX: Duration = Duration::from_secs(600);

/// What a client uploads, for a thread that reads.
#[derive(Debug)]
pub(crate) struct Upload {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    current: Bytes,
    ended: bool,
}

/// The other side of an [`Upload`]: moves the body along while it is polled.
pub(crate) struct Pump {
    body: Incoming,
    pieces: mpsc::Sender<io::Result<Bytes>>,
    patience: Duration,
}

/// A body as something to read and something to poll meanwhile.
pub(crate) fn upload(body: Incoming) -> (Upload, Pump) {
    let (sender, pieces) = mpsc::channel(PIECES_MAX);
    let pump = Pump { body, pieces: sender, patience: STALLED_MAX };
    (Upload { pieces, current: Bytes::new(), ended: false }, pump)
}

impl Pump {
    /// Moves everything, and then the end; or the failure that stands for it.
    pub(crate) async fn run(mut self) {
        loop {
            let Ok(frame) = timeout(self.patience, self.body.frame()).await else {
                self.pieces.send(Err(stalled("sent", self.patience))).await.ok();
                return;
            };
            let Some(frame) = frame else { break };
            let piece = match frame.map(|frame| frame.into_data()) {
                // An empty piece would be the end.
                Ok(Ok(data)) if !data.is_empty() => Ok(data),
                Ok(Ok(_) | Err(_)) => continue,
                Err(error) => Err(io::Error::other(error)),
            };
            let failed = piece.is_err();
            if failed {
                self.pieces.send(piece).await.ok();
                return;
            }
            if self.pieces.send(piece).await.is_err() {
                // Nobody reads on, and an answer is on its way.
                super::read::discard(self.body).await;
                return;
            }
        }
        // The end is a message of its own: a channel that is merely closed is a client that
        // vanished, and half an archive must not pass for a whole one.
        self.pieces.send(Ok(Bytes::new())).await.ok();
    }
}

impl Read for Upload {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        while self.current.is_empty() && !self.ended {
            match self.pieces.blocking_recv() {
                Some(Ok(piece)) => {
                    self.ended = piece.is_empty();
                    self.current = piece;
                }
                Some(Err(error)) => return Err(error),
                None => {
                    let text = "the client left before the end of the archive";
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
                }
            }
        }
        let count = self.current.len().min(buffer.len());
        self.current.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}

/// What a thread writes, for a client to download.
#[derive(Debug)]
pub(crate) struct Download {
    pieces: mpsc::Sender<Bytes>,
    current: BytesMut,
    patience: Duration,
    /// Keeps the time while the thread waits.
    runtime: Handle,
}

/// Something to write, and what comes of it. Called on the runtime.
pub(crate) fn download() -> (Download, mpsc::Receiver<Bytes>) {
    let (pieces, receiver) = mpsc::channel(PIECES_MAX);
    let (current, runtime) = (BytesMut::with_capacity(PIECE), Handle::current());
    (Download { pieces, current, patience: STALLED_MAX, runtime }, receiver)
}

fn stalled(what: &str, patience: Duration) -> io::Error {
    let text = format!("the client {what} nothing for {} seconds", patience.as_secs());
    io::Error::new(io::ErrorKind::TimedOut, text)
}

impl Write for Download {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(PIECE - self.current.len());
        self.current.extend_from_slice(&bytes[..count]);
        if self.current.len() == PIECE {
            self.flush()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.current.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.current, BytesMut::with_capacity(PIECE));
        let (patience, sent) = (self.patience, self.pieces.send(piece.freeze()));
        match self.runtime.block_on(async { timeout(patience, sent).await }) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_client_left)) => Err(io::ErrorKind::BrokenPipe.into()),
            Err(_elapsed) => Err(stalled("took", self.patience)),
        }
    }
}

/// A stream of pieces, to be read.
pub(crate) struct Reader {
    stream: ByteStream,
    current: Bytes,
}

impl Reader {
    pub(crate) fn new(stream: ByteStream) -> Self {
        Self { stream, current: Bytes::new() }
    }
}

impl AsyncRead for Reader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.current.is_empty() {
            match std::task::ready!(self.stream.as_mut().poll_next(cx)) {
                Some(Ok(piece)) => self.current = piece,
                Some(Err(error)) => return Poll::Ready(Err(error)),
                None => return Poll::Ready(Ok(())),
            }
        }
        let count = self.current.len().min(buffer.remaining());
        buffer.put_slice(&self.current.split_to(count));
        Poll::Ready(Ok(()))
    }
}

/// A channel as a stream.
pub(crate) struct Received<T>(pub(crate) mpsc::Receiver<T>);

impl<T> Stream for Received<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.0.poll_recv(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_written_comes_out_in_pieces_until_the_reader_leaves() {
        let (mut writer, mut pieces) = download();
        let thread = std::thread::spawn(move || {
            writer.write_all(&vec![7; 3 * PIECE + 5])?;
            writer.flush()?;
            Ok::<_, io::Error>(writer)
        });
        let mut length = 0;
        while length < 3 * PIECE + 5 {
            length += pieces.recv().await.unwrap().len();
        }
        let mut writer = thread.join().unwrap().unwrap();
        drop(pieces);
        let refused = std::thread::spawn(move || writer.write_all(&vec![7; 2 * PIECE]));
        assert_eq!(refused.join().unwrap().unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }

    #[tokio::test]
    async fn a_reader_that_takes_nothing_is_not_waited_for_for_ever() {
        let (mut writer, pieces) = download();
        writer.patience = Duration::from_millis(20);
        let written = tokio::task::spawn_blocking(move || writer.write_all(&vec![7; 20 * PIECE]));
        let error = written.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(error.to_string().contains("took nothing"), "{error}");
        assert_eq!(pieces.len(), PIECES_MAX);
    }

    #[test]
    fn an_upload_ends_only_where_it_was_said_to() {
        let upload = |pieces: &[&'static str]| {
            let (sender, receiver) = mpsc::channel(PIECES_MAX);
            for piece in pieces {
                sender.blocking_send(Ok(Bytes::from_static(piece.as_bytes()))).unwrap();
            }
            drop(sender);
            let mut text = String::new();
            Upload { pieces: receiver, current: Bytes::new(), ended: false }
                .read_to_string(&mut text)
                .map(|_| text)
        };
        assert_eq!(upload(&["ab", "c", ""]).unwrap(), "abc");
        assert_eq!(upload(&["ab"]).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn streams_are_read_whole() {
        let pieces = ["a", "", "bc"].map(|piece| Ok(Bytes::from_static(piece.as_bytes())));
        let mut text = String::new();
        let mut reader = Reader::new(Box::pin(futures_util::stream::iter(pieces)));
        tokio::io::AsyncReadExt::read_to_string(&mut reader, &mut text).await.unwrap();
        assert_eq!(text, "abc");
    }
}
