//! `POST /containers/{id}/attach`, and what it shares with starting an exec.

use http::HeaderMap;
use hull_api::stream::{DetachKeys, RAW, content_type};
use hull_api::version::ApiVersion;
use hull_engine::{AttachRequest, Guest, Streams};
use tokio::io::AsyncReadExt as _;

use super::{Answer, App, Call};
use crate::http::answer::{Failure, Outcome};
use crate::http::body::ByteStream;
use crate::http::bridge::Reader;
use crate::http::raw::{Detaching, Opened, Opening, Raw, Stream};

/// Connects the client with the guest's streams.
pub(super) async fn answer(app: &App, guest: &Guest, call: Call) -> Answer {
    let Call { version, query, headers, .. } = &call;
    let request = AttachRequest {
        stdin: query.flag("stdin"),
        stdout: query.flag("stdout"),
        stderr: query.flag("stderr"),
    };
    let (version, logs, live) = (*version, query.flag("logs"), query.flag("stream"));
    let keys = keys(query.text("detachKeys"))?;
    let headers = headers.clone();
    // Whatever a client sends as a body is not the guest's input.
    app.body(call).await?;
    let tty = guest.record().spec.streams.tty;
    let past = if logs { Some(super::logs::past(guest, request, tty).await?) } else { None };
    let streams = if live { Some(guest.attach(request).await?) } else { None };
    let told = guest.clone();
    let detach = (tty && request.stdin)
        .then(|| Detaching { keys, tell: Box::new(move || told.client_detached()) });
    let past = past.unwrap_or_else(|| Box::pin(futures_util::stream::empty()));
    let stream = Box::pin(std::future::ready(after(past, streams)));
    Ok(raw(Takeover { version, headers: &headers, tty, detach }, stream))
}

/// The keys that detach a client; empty text means Docker's.
pub(super) fn keys(text: &str) -> Result<DetachKeys, Failure> {
    Ok(DetachKeys::parse(text)?)
}

/// How a connection is taken over.
pub(super) struct Takeover<'a> {
    pub(super) version: ApiVersion,
    pub(super) headers: &'a HeaderMap,
    pub(super) tty: bool,
    pub(super) detach: Option<Detaching>,
}

/// The connection as what `stream` opens.
pub(super) fn raw(takeover: Takeover<'_>, stream: Opened) -> Outcome {
    let Takeover { version, headers, tty, detach } = takeover;
    let opening = Opening::of(headers);
    // Docker names the framed format only to clients that ask for an upgrade.
    let content_type = match opening {
        Opening::Upgrade => content_type(tty, version),
        Opening::Plain => RAW,
    };
    let head = opening.head(content_type, &super::raw_headers());
    Outcome::Raw(Box::new(Raw { head, stream, detach }))
}

/// What is past, then `streams`; without them it ends there.
pub(super) fn after(past: ByteStream, streams: Option<Streams>) -> Box<dyn Stream> {
    let past = Reader::new(past);
    match streams {
        Some(streams) => {
            let (read, write) = tokio::io::split(streams);
            Box::new(tokio::io::join(past.chain(read), write))
        }
        None => Box::new(tokio::io::join(past, tokio::io::sink())),
    }
}
