//! `GET /containers/{id}/stats`, and hull's own for all containers at once.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::unfold;
use hull_api::container::stats::{self, EarlierView, Mode, StatsView};
use hull_api::own::stats::{AllStats, StatsQuery, write};
use hull_api::version::ApiVersion;
use hull_engine::{Engine, Guest, Reading, Span};
use serde::Serialize;
use tokio::time::Instant;

use super::{Answer, App, Call};
use crate::http::answer::{Failure, json, stream};

/// How often a stream has a line.
const EVERY: Duration = Duration::from_secs(1);

/// What one guest uses.
pub(super) async fn answer(app: &App, guest: &Guest, call: &Call) -> Answer {
    let (version, memory) = (call.version, app.host().memory);
    let span = match Mode::parse(&call.query, version)? {
        Mode::Stream => return one_stream(guest, memory, version),
        Mode::Once => Span::Interval,
        Mode::OneShot => Span::Moment,
    };
    let mut reading = (*guest.usage(span).await?).clone();
    if span == Span::Moment {
        // What is known of before is not told to a client that does not want it.
        reading.earlier = None;
    }
    Ok(shown(guest, &reading, memory, |view| json(&stats::write(view, version))))
}

/// A line a second, also while the guest does not run, until it is removed: as Docker has it, so that
/// whoever watches sees it start again.
fn one_stream(guest: &Guest, memory: u64, version: ApiVersion) -> Answer {
    let usages = guest.usages()?;
    let lines = unfold((guest.clone(), usages), move |(guest, mut usages)| async move {
        let reading = usages.next().await?;
        let line = shown(&guest, &reading, memory, |view| line(&stats::write(view, version)));
        Some((line, (guest, usages)))
    });
    Ok(stream("application/json", Box::pin(lines)))
}

/// What many guests use, in one answer or one a second.
pub(super) async fn all(app: &App, call: &Call) -> Answer {
    let query = StatsQuery::parse(&call.query);
    let memory = app.host().memory;
    let wanted = Wanted::find(app.engine(), &query)?;
    let first = wanted.read(app.engine(), memory).await?;
    if !query.stream {
        return Ok(json(&first));
    }
    let state = (app.engine().clone(), wanted, Some(first), Instant::now());
    let lines = unfold(state, move |(engine, wanted, first, last)| async move {
        let (all, at) = match first {
            Some(first) => (first, last),
            None => {
                tokio::time::sleep_until(last + EVERY).await;
                (wanted.read(&engine, memory).await.ok()?, last + EVERY)
            }
        };
        if all.containers.is_empty() && matches!(wanted, Wanted::These(_)) {
            return None;
        }
        // A client that was slow gets the present, not what it missed.
        let at = at.max(Instant::now().checked_sub(EVERY).unwrap_or(at));
        Some((line(&all), (engine, wanted, None, at)))
    });
    Ok(stream("application/json", Box::pin(lines)))
}

/// Whose use is told.
enum Wanted {
    /// Those that were named, until they are removed.
    These(Vec<Guest>),
    /// Those there are each time, running or not.
    All,
    /// Those that run each time.
    Running,
}

impl Wanted {
    fn find(engine: &Engine, query: &StatsQuery) -> Result<Self, Failure> {
        if query.containers.is_empty() {
            return Ok(if query.all { Self::All } else { Self::Running });
        }
        let named = query.containers.iter().map(|name| engine.guest(name));
        Ok(Self::These(named.collect::<Result<_, _>>()?))
    }

    async fn read(&self, engine: &Engine, memory: u64) -> Result<AllStats, Failure> {
        let guests = match self {
            Self::These(guests) => guests.clone(),
            Self::All => engine.guests(),
            Self::Running => {
                engine.guests().into_iter().filter(|guest| guest.view().is_running()).collect()
            }
        };
        let readings = engine.usage_of(&guests).await?;
        let one = |(guest, reading): &(Guest, Arc<Reading>)| {
            shown(guest, reading, memory, |view| write(view, reading.cpu_hundredths()))
        };
        Ok(AllStats { containers: readings.iter().map(one).collect() })
    }
}

/// Calls `show` with what is to be shown.
fn shown<T>(
    guest: &Guest,
    reading: &Reading,
    host_memory: u64,
    show: impl FnOnce(&StatsView<'_>) -> T,
) -> T {
    let record = guest.record();
    let earlier = reading.earlier.as_ref().map(|earlier| EarlierView {
        at: earlier.at,
        cpu: &earlier.cpu,
        host_cpu: earlier.host_cpu,
        processors: earlier.processors,
    });
    show(&StatsView {
        id: &record.id.to_string(),
        name: record.name.as_str(),
        at: reading.at,
        usage: reading.usage.as_ref(),
        host_cpu: reading.host_cpu,
        processors: reading.processors,
        host_memory,
        earlier,
    })
}

fn line(value: &impl Serialize) -> io::Result<Bytes> {
    let mut bytes = serde_json::to_vec(value).map_err(io::Error::other)?;
    bytes.push(b'\n');
    Ok(Bytes::from(bytes))
}
