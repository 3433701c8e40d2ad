//! `GET /containers/{id}/logs`, and the past of an attach.

use std::io;
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::stream::unfold;
use hull_api::stream::{self, LogsQuery};
use hull_engine::{AttachRequest, Guest, LogQuery, LogStream, Source};
use hull_model::time::Timestamp;

use super::{Answer, Call};
use crate::http::answer;
use crate::http::body::ByteStream;

/// Streams a guest's log.
pub(super) async fn answer(guest: &Guest, call: &Call) -> Answer {
    let now = Timestamp::from(SystemTime::now());
    let query = LogsQuery::parse(&call.query, now)?;
    let tty = guest.record().spec.streams.tty;
    let wanted = LogQuery {
        stdout: query.stdout,
        stderr: query.stderr,
        since: query.since,
        until: query.until,
        tail: query.tail,
        follow: query.follow,
    };
    let log = guest.logs(wanted).await?;
    let content_type = stream::content_type(tty, call.version);
    Ok(answer::stream(content_type, lines(log, tty, query.timestamps)))
}

/// All that was written until now.
pub(super) async fn past(
    guest: &Guest,
    request: AttachRequest,
    tty: bool,
) -> Result<ByteStream, hull_engine::Error> {
    let AttachRequest { stdout, stderr, .. } = request;
    let wanted = LogQuery { stdout, stderr, ..LogQuery::default() };
    Ok(lines(guest.logs(wanted).await?, tty, false))
}

/// The lines in Docker's format, read as the client takes them.
fn lines(log: LogStream, tty: bool, timestamps: bool) -> ByteStream {
    Box::pin(unfold(Some(log), move |log| async move {
        let mut log = log?;
        match log.next().await {
            Ok(Some(line)) => {
                let at = timestamps.then_some(line.at);
                let output = match line.source {
                    Source::Stdout => stream::Output::Stdout,
                    Source::Stderr => stream::Output::Stderr,
                };
                let bytes = stream::log_line(output, at, line.text.as_bytes(), tty);
                Some((Ok(Bytes::from(bytes)), Some(log)))
            }
            Ok(None) => None,
            Err(error) => Some((Err(io::Error::other(error)), None)),
        }
    }))
}
