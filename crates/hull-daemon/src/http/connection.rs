//! One connection: HTTP until it ends, or until a request takes it over.
//!
//! Docker's attach takes a connection over with or without `Upgrade`. hyper lets go of a connection
//! only for the former, so here the request stays unanswered, its taker comes out by a channel, and
//! hyper is taken apart while it waits.

use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::time::Duration;

use http::{Method, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{mpsc, watch};

use super::answer::Outcome;
use super::held::{Held, Hold};

/// How long a connection may be without a complete request: idle, or sending a head slowly.
const HEAD_TIMEOUT: Duration = Duration::from_secs(300);
/// Longest request head: as long as Docker's clients need for large filters and credentials.
const HEAD_MAX: usize = 128 << 10;
/// How long closing may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Serves a connection to its end with `handle`.
///
/// When `stop` turns true the request in progress is finished and no further one is read.
pub(crate) async fn serve<S, H, F>(socket: S, handle: H, mut stop: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + std::os::fd::AsFd + Unpin + Send + 'static,
    H: Fn(Request<Incoming>) -> F,
    F: Future<Output = Outcome> + Send + 'static,
{
    let hold = Hold::default();
    let (take, mut taken) = mpsc::channel(1);
    let service = service_fn(|request: Request<Incoming>| {
        hold.set(may_take_over(request.method(), request.uri().path()));
        let (outcome, hold, take) = (handle(request), hold.clone(), take.clone());
        let answer = async move {
            match outcome.await {
                Outcome::Answer(answer) => {
                    hold.set(false);
                    Ok::<_, Infallible>(answer)
                }
                Outcome::Raw(raw) => {
                    // The loop below holds the other end as long as we are polled.
                    take.send(raw).await.ok();
                    pending().await
                }
            }
        };
        Box::pin(answer) as Pin<Box<dyn Future<Output = _> + Send>>
    });
    let io = TokioIo::new(Held::new(socket, hold.clone()));
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_MAX)
        // As Go writes them; there are scripts that look for `Api-Version`.
        .title_case_headers(true)
        .serve_connection(io, service);
    let mut closing = false;
    let raw = loop {
        tokio::select! {
            biased;
            Some(raw) = taken.recv() => break Some(raw),
            ended = poll_fn(|cx| connection.poll_without_shutdown(cx)) => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "connection ended");
                }
                break None;
            }
            // A stop whose sender is gone never comes: then the daemon is gone too.
            Ok(_) = stop.wait_for(|stop| *stop), if !closing => {
                closing = true;
                Pin::new(&mut connection).graceful_shutdown();
            }
        }
    };
    let parts = connection.into_parts();
    let mut socket = parts.io.into_inner().into_inner();
    match raw {
        Some(raw) => raw.run(socket, parts.read_buf).await,
        None => {
            // A client that is gone or does not read cannot be told anything more.
            tokio::time::timeout(CLOSE_TIMEOUT, socket.shutdown()).await.ok();
        }
    }
}

/// Whether such a request can become a raw stream, as far as its head tells.
fn may_take_over(method: &Method, path: &str) -> bool {
    let path = path.trim_end_matches('/');
    method == Method::POST
        && (path.ends_with("/attach") || (path.ends_with("/start") && path.contains("/exec/")))
}
