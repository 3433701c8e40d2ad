//! `POST /containers/{id}/wait`.

use std::io;

use bytes::Bytes;
use hull_engine::{Guest, WaitFor};

use super::{Answer, Call};
use crate::http::answer::{Failure, stream};

/// Waits for a guest. The head goes out at once: the docker CLI starts the guest only after it saw
/// it, and from then on no end may be missed.
pub(super) fn answer(guest: &Guest, call: &Call) -> Answer {
    let until = match call.query.text("condition") {
        "" | "not-running" => WaitFor::NotRunning,
        "next-exit" => WaitFor::NextExit,
        "removed" => WaitFor::Removed,
        other => {
            let short: String = other.chars().take(50).collect();
            return Err(Failure::invalid(format!("invalid condition: {short:?}")));
        }
    };
    // Registers now, not when the body is first read.
    let ended = guest.wait(until);
    let body = async move {
        // Docker's `Error` is about a start that failed, which is told to whoever asked for it. A daemon
        // that closes breaks the answer off: no code is better than a wrong one.
        let code = ended.await.map_err(io::Error::other)?;
        let body = hull_api::container::wait::write(i64::from(code), None);
        let mut text = serde_json::to_vec(&body).map_err(io::Error::other)?;
        text.push(b'\n');
        Ok(Bytes::from(text))
    };
    Ok(stream("application/json", Box::pin(futures_util::stream::once(body))))
}
