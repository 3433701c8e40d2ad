//! A connection that left HTTP: bytes both ways between a client and a guest.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use hull_api::stream::{Detach, DetachKeys};
use rustix::event::{PollFd, PollFlags};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// How much is copied at once.
const CHUNK: usize = 16 << 10;
/// How often a client that closed its sending side is asked whether it is still there.
const HANG_UP_INTERVAL: Duration = Duration::from_secs(1);
/// How long the last bytes may take to go out.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// The guest's side: what is read goes to the client, what is written is the guest's input.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// The guest's side, when it is there.
pub(crate) type Opened = Pin<Box<dyn Future<Output = Box<dyn Stream>> + Send>>;

/// What a connection becomes.
pub(crate) struct Raw {
    /// The head of the answer, with its empty line.
    pub(crate) head: String,
    /// The guest's side. It is opened once the head is out: docker-py loses what comes in one
    /// packet with the head, so a process must not write before.
    pub(crate) stream: Opened,
    /// The keys that end it from the client's side; only terminals have them.
    pub(crate) detach: Option<Detaching>,
}

/// How a client leaves without ending anything.
pub(crate) struct Detaching {
    /// What it types.
    pub(crate) keys: DetachKeys,
    /// Tells others that it did.
    pub(crate) tell: Box<dyn FnOnce() + Send>,
}

impl fmt::Debug for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Raw").field("head", &self.head).finish_non_exhaustive()
    }
}

/// Whether the client asked for `101` or for a plain `200` before the raw bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Opening {
    /// `101 UPGRADED`.
    Upgrade,
    /// `200 OK`.
    Plain,
}

impl Opening {
    /// What the request's headers ask for.
    pub(crate) fn of(headers: &http::HeaderMap) -> Self {
        if headers.contains_key(http::header::UPGRADE) { Self::Upgrade } else { Self::Plain }
    }

    /// The head of the answer; `headers` are lines of their own, each with its end.
    pub(crate) fn head(self, content_type: &str, headers: &str) -> String {
        let (status, last) = match self {
            Self::Upgrade => ("101 UPGRADED", "Connection: Upgrade\r\nUpgrade: tcp\r\n"),
            Self::Plain => ("200 OK", ""),
        };
        format!("HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\n{last}{headers}\r\n")
    }
}

impl Raw {
    /// Answers and copies until the guest's side ends, the client is gone or detaches.
    ///
    /// `early` is what the client sent before it saw the answer.
    pub(crate) async fn run<S>(self, client: S, early: Bytes)
    where
        S: AsyncRead + AsyncWrite + AsFd + Unpin,
    {
        match self.copy(client, early).await {
            Ok(()) => {}
            Err(error) => tracing::debug!(%error, "raw stream ended"),
        }
    }

    async fn copy<S>(self, client: S, early: Bytes) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + AsFd + Unpin,
    {
        let watched = client.as_fd().try_clone_to_owned()?;
        let (from_client, mut to_client) = tokio::io::split(client);
        to_client.write_all(self.head.as_bytes()).await?;
        to_client.flush().await?;
        let (from_guest, to_guest) = tokio::io::split(self.stream.await);
        let (keys, tell) = match self.detach {
            Some(Detaching { keys, tell }) => (Some(keys), Some(tell)),
            None => (None, None),
        };
        let ended = {
            let input = input(early.as_ref().chain(from_client), to_guest, keys);
            let mut output = std::pin::pin!(output(from_guest, &mut to_client));
            tokio::select! {
                ended = &mut output => ended,
                end = input => match end {
                    // Half of it is over; the guest may go on talking.
                    InputEnd::Closed => tokio::select! {
                        ended = &mut output => ended,
                        () = hung_up(&watched) => Ok(()),
                    },
                    InputEnd::Detached => {
                        tell.into_iter().for_each(|tell| tell());
                        Ok(())
                    }
                },
            }
        };
        // Either the client has everything, or it does not want it any more.
        tokio::time::timeout(CLOSE_TIMEOUT, to_client.shutdown()).await.ok();
        ended
    }
}

/// Why input ended.
enum InputEnd {
    /// The client closed its side, or the guest takes no more.
    Closed,
    /// The client typed the detach keys.
    Detached,
}

/// Copies from the client; its end becomes the end of the guest's input.
///
/// A failure on either side ends the input only: what the guest still has to say may get through,
/// and if not, writing it tells.
async fn input(
    mut client: impl AsyncRead + Unpin,
    mut guest: impl AsyncWrite + Unpin,
    detach: Option<DetachKeys>,
) -> InputEnd {
    let mut detach = detach.map(Detach::new);
    let mut chunk = vec![0; CHUNK];
    loop {
        let length = match client.read(&mut chunk).await {
            Ok(0) | Err(_) => break,
            Ok(length) => length,
        };
        let (bytes, detached) = match &mut detach {
            None => (Cow::Borrowed(&chunk[..length]), false),
            Some(detach) => detach.filter(&chunk[..length]),
        };
        if guest.write_all(&bytes).await.is_err() || guest.flush().await.is_err() {
            return InputEnd::Closed;
        }
        if detached {
            return InputEnd::Detached;
        }
    }
    // A guest that ended takes no end of input; its output says the rest.
    guest.shutdown().await.ok();
    InputEnd::Closed
}

/// Copies to the client until the guest's side ends.
async fn output(
    mut guest: impl AsyncRead + Unpin,
    client: &mut (impl AsyncWrite + Unpin),
) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    loop {
        let length = guest.read(&mut chunk).await?;
        if length == 0 {
            return Ok(());
        }
        client.write_all(&chunk[..length]).await?;
        client.flush().await?;
    }
}

/// Resolves when the other side is closed in both directions.
///
/// After a half-close reading says nothing any more, and a silent guest writes nothing that could
/// fail; without this a client that left would be held as long as the guest is silent.
async fn hung_up(socket: &OwnedFd) {
    let mut interval = tokio::time::interval(HANG_UP_INTERVAL);
    loop {
        interval.tick().await;
        let mut polled = [PollFd::new(socket, PollFlags::empty())];
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        if rustix::event::poll(&mut polled, Some(&now)).is_ok()
            && polled[0].revents().intersects(PollFlags::HUP | PollFlags::ERR)
        {
            return;
        }
    }
}
