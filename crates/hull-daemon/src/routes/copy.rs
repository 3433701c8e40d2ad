//! Files of containers: copied out and in, listed, exported, and made an image of. Streamed.

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::header::{HeaderName, HeaderValue};
use http::{Response, StatusCode};
use hull_api::container::archive::{self, Change, ChangeKind, PathStat, STAT_HEADER};
use hull_api::container::commit::{self, CommitResponse};
use hull_engine::{Commit, Guest, Unpack};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::archive::place;
use super::{Answer, App, Call};
use crate::http::answer::{Failure, Outcome, empty, json, json_with, ok, stream};
use crate::http::body::Body;
use crate::http::bridge::{Received, download, upload};

/// Work on a thread that writes what a client downloads.
type Work = JoinHandle<Result<(), Failure>>;

/// `HEAD /containers/{id}/archive`.
pub(super) async fn stat(guest: &Guest, name: &str, call: &Call) -> Answer {
    let path = archive::path(&call.query)?;
    let files = guest.files(name).await?;
    let stat = blocking(move || Ok(files.stat(&path)?)).await?;
    let mut answer = empty(StatusCode::OK);
    tell(&mut answer, &shown(stat))?;
    Ok(Outcome::Answer(answer))
}

/// `GET /containers/{id}/archive`.
pub(super) async fn get(app: &App, guest: &Guest, name: &str, call: &Call) -> Answer {
    let path = archive::path(&call.query)?;
    let place = place(app).await;
    let files = guest.files(name).await?;
    let (mut out, pieces) = download();
    let (told, stat) = oneshot::channel();
    let work = tokio::task::spawn_blocking(move || {
        let _place = place;
        // A client that left does not want to know.
        files.pack(&path, |stat| drop(told.send(stat)), &mut out)?;
        flushed(&mut out)
    });
    let Ok(stat) = stat.await else { return Err(failed(work).await) };
    let mut outcome = stream("application/x-tar", body(None, pieces, work));
    if let Outcome::Answer(answer) = &mut outcome {
        tell(answer, &shown(stat))?;
    }
    Ok(outcome)
}

/// `PUT /containers/{id}/archive`.
pub(super) async fn put(app: &App, guest: &Guest, name: &str, call: Call) -> Answer {
    let path = archive::path(&call.query)?;
    let archive::Unpack { keep_kinds, to_user } = archive::unpack(&call.query);
    let place = place(app).await;
    let files = guest.files(name).await?;
    let (archive, pump) = upload(call.body);
    let thread = tokio::task::spawn_blocking(move || {
        let _place = place;
        files.unpack(&path, Unpack { keep_kinds, to_user }, archive)
    });
    let (done, ()) = tokio::join!(thread, pump.run());
    done.map_err(|error| Failure::internal(&error))??;
    Ok(ok())
}

/// `GET /containers/{id}/changes`.
pub(super) async fn changes(guest: &Guest, name: &str) -> Answer {
    let files = guest.files(name).await?;
    let changes = blocking(move || Ok(files.changes()?)).await?;
    let row = |change: hull_engine::Change| {
        let kind = match change.kind {
            hull_engine::ChangeKind::Changed => ChangeKind::Changed,
            hull_engine::ChangeKind::Added => ChangeKind::Added,
            hull_engine::ChangeKind::Deleted => ChangeKind::Deleted,
        };
        Change::new(change.path.to_string_lossy().into_owned(), kind)
    };
    let rows: Vec<Change> = changes.into_iter().map(row).collect();
    Ok(json(&rows))
}

/// `GET /containers/{id}/export`.
pub(super) async fn export(app: &App, guest: &Guest, name: &str) -> Answer {
    let place = place(app).await;
    let files = guest.files(name).await?;
    let (mut out, mut pieces) = download();
    let work = tokio::task::spawn_blocking(move || {
        let _place = place;
        files.export(&mut out)?;
        flushed(&mut out)
    });
    // Once something is written, the status is 200.
    let Some(first) = pieces.recv().await else { return Err(failed(work).await) };
    Ok(stream("application/octet-stream", body(Some(first), pieces, work)))
}

/// `POST /commit`.
pub(super) async fn commit(app: &App, call: Call) -> Answer {
    let query = call.query.clone();
    let body = app.json_body(call).await?;
    let request = commit::read(&query, &body)?;
    let guest = app.engine().guest(&request.container)?;
    let commit = Commit {
        name: request.name,
        author: request.author,
        comment: request.comment,
        pause: request.pause,
        changes: request.changes,
        config: request.config,
    };
    // On a task of its own: a client that leaves must not leave the guest frozen.
    let engine = app.engine().clone();
    let made = tokio::spawn(async move { engine.commit(&guest, commit).await }).await;
    let id = made.map_err(|error| Failure::internal(&error))??;
    Ok(json_with(StatusCode::CREATED, &CommitResponse::new(id)))
}

/// What the thread writes; its failure cuts the connection, so that no client takes a part for the
/// whole.
fn body(
    first: Option<Bytes>,
    pieces: mpsc::Receiver<Bytes>,
    work: Work,
) -> crate::http::body::ByteStream {
    let first = futures_util::stream::iter(first);
    let end = futures_util::stream::once(work).filter_map(|ended| async move {
        let failure = match ended {
            Ok(Ok(())) => return None,
            Ok(Err(failure)) => failure,
            Err(error) => Failure::internal(&error),
        };
        tracing::warn!(reason = %failure.message, "an archive was broken off");
        Some(Err(std::io::Error::other(failure.message)))
    });
    Box::pin(first.chain(Received(pieces)).map(Ok::<Bytes, std::io::Error>).chain(end))
}

/// Why the work ended before it wrote anything.
async fn failed(work: Work) -> Failure {
    match work.await {
        Ok(Ok(())) => Failure::invalid("the container's archive is empty"),
        Ok(Err(failure)) => failure,
        Err(error) => Failure::internal(&error),
    }
}

fn flushed(out: &mut impl std::io::Write) -> Result<(), Failure> {
    out.flush().map_err(|error| Failure::internal(&error))
}

fn tell(answer: &mut Response<Body>, stat: &PathStat) -> Result<(), Failure> {
    let value = HeaderValue::try_from(stat.header()).map_err(|error| Failure::internal(&error))?;
    answer.headers_mut().insert(HeaderName::from_static(STAT_HEADER), value);
    Ok(())
}

fn shown(stat: hull_engine::PathStat) -> PathStat {
    let hull_engine::PathStat { name, size, mode, modified, link_target } = stat;
    PathStat { name, size, mode, modified, link_target }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(Failure::internal(&error)),
    }
}
