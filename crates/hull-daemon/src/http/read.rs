//! Bodies of requests with JSON: read whole, and bounded.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::sync::Semaphore;

use super::answer::Failure;

/// Longest JSON body. Docker has no limit; the longest real ones are some hundred KiB.
pub(crate) const JSON_MAX: usize = 16 << 20;
/// Longest time a JSON body may take to come.
const JSON_TIMEOUT: Duration = Duration::from_secs(60);
/// Bodies up to this size are read without asking [`Bodies`] for room.
const SMALL: usize = 64 << 10;
/// How much of a refused body is read and dropped, so that its sender lives to read the answer.
const DISCARD_MAX: u64 = 512 << 20;
/// How long that may take.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(10);

/// Memory for large bodies, shared by all connections so that many of them cannot exhaust it.
#[derive(Clone, Debug)]
pub(crate) struct Bodies(Arc<Semaphore>);

impl Default for Bodies {
    /// Room for four of the longest.
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(4 * JSON_MAX)))
    }
}

impl Bodies {
    /// Reads the whole body.
    ///
    /// # Errors
    /// 400 if it is longer than [`JSON_MAX`], comes too slowly or breaks off.
    pub(crate) async fn read(&self, body: Incoming) -> Result<Bytes, Failure> {
        let announced = body.size_hint().exact().map_or(JSON_MAX, to_usize);
        if announced > JSON_MAX {
            discard(body).await;
            return Err(too_long());
        }
        let read = async {
            let _room = match u32::try_from(announced) {
                Ok(size) if announced > SMALL => self.0.acquire_many(size).await.ok(),
                Ok(_) | Err(_) => None,
            };
            collect(body).await
        };
        match tokio::time::timeout(JSON_TIMEOUT, read).await {
            Ok(read) => read,
            Err(_elapsed) => Err(Failure::invalid(format!(
                "read the request body: it did not come within {} s",
                JSON_TIMEOUT.as_secs()
            ))),
        }
    }
}

async fn collect(mut body: Incoming) -> Result<Bytes, Failure> {
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            Failure::invalid(format!("read the request body: {}", chain(&error)))
        })?;
        let Ok(data) = frame.into_data() else { continue };
        if whole.len() + data.len() > JSON_MAX {
            drop(whole);
            discard(body).await;
            return Err(too_long());
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}

/// Reads and forgets: closing a socket with unread input would reset it, and with it our answer.
pub(super) async fn discard(mut body: Incoming) {
    let drain = async {
        let mut rest = DISCARD_MAX;
        while let Some(Ok(frame)) = body.frame().await {
            let length = frame.data_ref().map_or(0, |data| data.len() as u64);
            rest = rest.saturating_sub(length);
            if rest == 0 {
                break;
            }
        }
    };
    // Whether it all came or not, the answer is the same.
    tokio::time::timeout(DISCARD_TIMEOUT, drain).await.ok();
}

fn too_long() -> Failure {
    Failure::invalid(format!("request body too large: at most {} MiB", JSON_MAX >> 20))
}

fn to_usize(size: u64) -> usize {
    usize::try_from(size).unwrap_or(usize::MAX)
}

/// An error with its causes: hyper's own text leaves them out.
fn chain(error: &hyper::Error) -> String {
    let cause = std::error::Error::source(error);
    cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}
