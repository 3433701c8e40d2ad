//! What is sent with a request: some bytes, or a stream fed by another thread.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::mpsc::Receiver;

/// The body of a request.
pub(crate) enum Body {
    /// All of it.
    Whole(Option<Bytes>),
    /// Chunks as they come; an error breaks the request off.
    Stream(Receiver<io::Result<Bytes>>),
}

impl Body {
    pub(crate) fn empty() -> Self {
        Self::Whole(None)
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let chunk = match self.get_mut() {
            Self::Whole(bytes) => bytes.take().map(Ok),
            Self::Stream(chunks) => ready!(chunks.poll_recv(context)),
        };
        Poll::Ready(chunk.map(|chunk| chunk.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64))
            }
            Self::Stream(_) => SizeHint::default(),
        }
    }
}

/// Chunks read ahead of the network at most.
const READ_AHEAD_MAX: usize = 4;
const CHUNK_BYTES: usize = 256 * 1024;

/// Streams what a reader gives, from a thread of its own: files and pipes block.
///
/// # Errors
/// When the thread cannot be started.
pub(crate) fn stream(mut reader: impl io::Read + Send + 'static) -> io::Result<Body> {
    let (chunks, receiver) = tokio::sync::mpsc::channel(READ_AHEAD_MAX);
    std::thread::Builder::new().name("upload".to_owned()).spawn(move || {
        loop {
            let mut chunk = vec![0; CHUNK_BYTES];
            let sent = match reader.read(&mut chunk) {
                Ok(0) => return,
                Ok(length) => {
                    chunk.truncate(length);
                    chunks.blocking_send(Ok(chunk.into()))
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => chunks.blocking_send(Err(error)),
            };
            // Nobody listens any more: the request is over.
            if sent.is_err() {
                return;
            }
        }
    })?;
    Ok(Body::Stream(receiver))
}
