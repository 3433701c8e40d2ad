//! Work that reports while it runs, as a stream of JSON lines.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;
use serde::Serialize;
use tokio::sync::mpsc;

use super::answer::Failure;
use super::body::ByteStream;

/// How many reports may wait for a slow client before the work waits too.
pub(crate) const REPORTS_MAX: usize = 32;

type Work = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>>;

/// Runs `work` until its first report or its end, and gives the stream of the rest.
///
/// `work` runs inside the stream: a client that goes away takes the work with it.
///
/// # Errors
/// The work's own, if it failed before it reported anything: that becomes the answer's status. A
/// later failure is the last line, since the status is out by then.
pub(crate) async fn start<T>(
    work: impl Future<Output = Result<(), Failure>> + Send + 'static,
    mut reports: mpsc::Receiver<T>,
) -> Result<ByteStream, Failure>
where
    T: Serialize + Send + 'static,
{
    let mut work: Work = Box::pin(work);
    let (first, work) = tokio::select! {
        biased;
        Some(report) = reports.recv() => (Some(report), Some(work)),
        ended = &mut work => {
            let first = reports.try_recv().ok();
            match (ended, first) {
                (Err(failure), None) => return Err(failure),
                (Ok(()), first) => (first, None),
                (Err(failure), first) => (first, Some(failed(failure))),
            }
        }
    };
    Ok(Box::pin(Progress { first, work, reports }))
}

fn failed(failure: Failure) -> Work {
    Box::pin(std::future::ready(Err(failure)))
}

struct Progress<T> {
    first: Option<T>,
    work: Option<Work>,
    reports: mpsc::Receiver<T>,
}

// Nothing in it is pinned in place: the work is boxed.
impl<T> Unpin for Progress<T> {}

impl<T: Serialize> Stream for Progress<T> {
    type Item = io::Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if let Some(report) = this.first.take() {
            return Poll::Ready(Some(line(&report)));
        }
        // Reports before the end of the work: both may be there, and the end comes last.
        if let Poll::Ready(Some(report)) = this.reports.poll_recv(cx) {
            return Poll::Ready(Some(line(&report)));
        }
        let Some(work) = &mut this.work else { return Poll::Ready(None) };
        let ended = work.as_mut().poll(cx);
        if let Ok(report) = this.reports.try_recv() {
            if let Poll::Ready(ended) = ended {
                this.work = ended.err().map(failed);
            }
            return Poll::Ready(Some(line(&report)));
        }
        let ended = std::task::ready!(ended);
        this.work = None;
        Poll::Ready(ended.err().map(|failure| line(&hull_api::stream::failure(&failure.message))))
    }
}

/// One JSON value and Docker's line end.
fn line(value: &impl Serialize) -> io::Result<Bytes> {
    let mut bytes = serde_json::to_vec(value).map_err(io::Error::other)?;
    bytes.extend_from_slice(b"\r\n");
    Ok(Bytes::from(bytes))
}
