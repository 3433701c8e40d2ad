//! The streams of a process, as a client sees them: there at once, connected when the guest starts.

use std::fmt;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hull_shim::protocol::Attach;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio::sync::oneshot;

use crate::error::{Error, Result};
use crate::shim::control::{Control, ControlError};

/// A connection to a process: reading gives its output (behind Docker's 8-byte headers unless it
/// has a terminal), writing goes to its input, shutting down ends the input.
pub struct Streams {
    inner: Inner,
    /// What has to happen before a reader is told of the end.
    end: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

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
        (sender, Self { inner: Inner::Waiting(receiver), end: None })
    }

    /// Streams of a process that exists.
    pub(crate) fn connected(connected: Connected) -> Self {
        Self { inner: Inner::Connected(connected), end: None }
    }

    /// The same streams, whose reader is told of their end after `end`.
    ///
    /// An exec's client reads to the end and then asks for the exit code, which must be known then.
    pub(crate) fn ending_after(self, end: impl Future<Output = ()> + Send + 'static) -> Self {
        Self { end: Some(Box::pin(end)), ..self }
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(end) = &mut self.end {
            ready!(end.as_mut().poll(cx));
            self.end = None;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_connected(&mut self, cx: &mut Context<'_>) -> Poll<Option<&mut Connected>> {
        if let Inner::Waiting(receiver) = &mut self.inner {
            self.inner = match ready!(Pin::new(receiver).poll(cx)) {
                Ok(connected) => Inner::Connected(connected),
                Err(_never_started) => Inner::Ended,
            };
        }
        Poll::Ready(match &mut self.inner {
            Inner::Connected(connected) => Some(connected),
            Inner::Waiting(_) | Inner::Ended => None,
        })
    }
}

/// Attaches to a process of the shim in `dir`.
pub(crate) async fn attach(dir: &Path, request: Attach) -> Result<Connected> {
    let attached: Result<_, ControlError> =
        async { Control::connect(dir).await?.0.attach(request).await }.await;
    let (stream, early) = attached.map_err(Error::internal("attach to the guest"))?;
    Ok(Connected { stream, early })
}

impl fmt::Debug for Streams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl AsyncRead for Streams {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(connected) = ready!(self.poll_connected(cx)) else { return self.poll_end(cx) };
        if connected.early.is_empty() {
            let before = buffer.filled().len();
            return match ready!(Pin::new(&mut connected.stream).poll_read(cx, buffer)) {
                Ok(()) if buffer.filled().len() == before => self.poll_end(cx),
                // The process ended before it had read all that was sent to it.
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => self.poll_end(cx),
                outcome => Poll::Ready(outcome),
            };
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
