//! `GET /events`.

use std::io;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::{iter, unfold};
use hull_api::system::events::{EventsQuery, write};
use hull_model::event::Occurrence;
use hull_model::time::Timestamp;

use super::{Answer, App, Call};
use crate::http::answer::stream;

const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// Streams what happened since `since`, and then what happens until `until`, or until the client
/// leaves.
pub(super) fn answer(app: &App, call: &Call) -> Answer {
    let now = Timestamp::from(SystemTime::now());
    let query = EventsQuery::parse(&call.query, now)?;
    let version = call.version;
    let (past, watcher) = app.engine().events().watch(query.since);
    // Instants have an end; nobody waits longer than a year.
    let end = |until: Timestamp| tokio::time::Instant::now() + until.since(now).min(YEAR);
    let ends = query.until.map(|until| (until, end(until)));
    let line = move |occurrence: &Occurrence| {
        let mut text = serde_json::to_vec(&write(occurrence, version)).map_err(io::Error::other)?;
        text.push(b'\n');
        Ok(Bytes::from(text))
    };
    let past = iter(past);
    let coming = unfold(watcher, move |mut watcher| async move {
        match ends {
            None => Some((watcher.next().await, watcher)),
            Some((_, end)) => {
                let next = tokio::time::timeout_at(end, watcher.next()).await;
                next.ok().map(|occurrence| (occurrence, watcher))
            }
        }
    });
    let wanted = past.chain(coming).filter_map(move |occurrence| {
        let in_time = ends.is_none_or(|(until, _)| occurrence.at <= until);
        let wanted = in_time && query.accepts(&occurrence);
        std::future::ready(wanted.then(|| line(&occurrence)))
    });
    Ok(stream("application/json", Box::pin(wanted)))
}
