//! The streams of a process, as a client sees them: there at once, connected when the guest starts.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hull_shim::client::Client;
use hull_shim::protocol::Attach;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio::sync::oneshot;

use crate::error::{Error, Result};

/// A connection to a process: reading gives its output (behind Docker's 8-byte headers unless it
/// has a terminal), writing goes to its input, shutting down ends the input.
#[derive(Debug)]
pub struct Streams(Inner);

#[derive(Debug)]
enum Inner {
    /// The guest has not started. A dropped sender means that it never will.
    Waiting(oneshot::Receiver<Connected>),
    Connected(Connected),
    /// Nothing came and nothing will.
    Ended,
}

/// A connection, and what was already read from it.
#[derive(Debug)]
pub(crate) struct Connected {
    stream: UnixStream,
    early: Vec<u8>,
}

impl Streams {
    /// Streams that are connected when the sender is used.
    pub(crate) fn waiting() -> (oneshot::Sender<Connected>, Self) {
        let (sender, receiver) = oneshot::channel();
        (sender, Self(Inner::Waiting(receiver)))
    }

    /// Streams of a process that exists.
    pub(crate) fn connected(connected: Connected) -> Self {
        Self(Inner::Connected(connected))
    }

    fn poll_connected(&mut self, cx: &mut Context<'_>) -> Poll<Option<&mut Connected>> {
        if let Inner::Waiting(receiver) = &mut self.0 {
            self.0 = match ready!(Pin::new(receiver).poll(cx)) {
                Ok(connected) => Inner::Connected(connected),
                Err(_never_started) => Inner::Ended,
            };
        }
        Poll::Ready(match &mut self.0 {
            Inner::Connected(connected) => Some(connected),
            Inner::Waiting(_) | Inner::Ended => None,
        })
    }
}

/// Attaches to a process of the shim in `dir`.
pub(crate) async fn attach(dir: &Path, request: Attach) -> Result<Connected> {
    let dir = dir.to_owned();
    let attached = tokio::task::spawn_blocking(move || Client::attach(&dir, request)).await;
    let (stream, early) = attached
        .map_err(Error::internal("attach"))?
        .map_err(Error::internal("attach to the guest"))?;
    stream.set_nonblocking(true).map_err(Error::internal("attach to the guest"))?;
    let stream = UnixStream::from_std(stream).map_err(Error::internal("attach to the guest"))?;
    Ok(Connected { stream, early })
}

impl AsyncRead for Streams {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(connected) = ready!(self.poll_connected(cx)) else { return Poll::Ready(Ok(())) };
        if connected.early.is_empty() {
            return Pin::new(&mut connected.stream).poll_read(cx, buffer);
        }
        let count = connected.early.len().min(buffer.remaining());
        buffer.put_slice(&connected.early[..count]);
        connected.early.drain(..count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Streams {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match ready!(self.poll_connected(cx)) {
            Some(connected) => Pin::new(&mut connected.stream).poll_write(cx, bytes),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A socket keeps nothing back.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match ready!(self.poll_connected(cx)) {
            Some(connected) => Pin::new(&mut connected.stream).poll_shutdown(cx),
            None => Poll::Ready(Ok(())),
        }
    }
}
