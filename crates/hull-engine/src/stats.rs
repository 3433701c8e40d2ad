//! What guests use, for as many clients as ask, from one sampler.
//!
//! Nobody is sampled unless somebody asked lately (see `docs/decisions/0011-sampling.md`). A client
//! gets what was sampled a moment ago or at once, with the processor time of about a second before;
//! only the first one has to wait, for a tenth of a second. Clients that stream share the samples.

mod clock;
mod reading;
mod sampler;
mod schedule;

pub use reading::{Earlier, Reading};
pub(crate) use sampler::Sampler;

use std::sync::Arc;
use std::time::Duration;

use hull_model::id::GuestId;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::engine::Engine;
use crate::error::{Error, Kind, Result};
use crate::guest::Guest;

/// How long a client waits for a sample. Far more than it can take, unless the host hangs.
const PATIENCE: Duration = Duration::from_secs(10);

type Readings = watch::Receiver<Option<Arc<Reading>>>;

/// What a reading has to have.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Span {
    /// The present.
    Moment,
    /// Also the processor time of a moment before, as a percentage needs it.
    Interval,
}

impl Guest {
    /// What it uses now. A guest that does not run uses nothing, and that is known at once.
    pub async fn usage(&self, span: Span) -> Result<Arc<Reading>> {
        let asked = Instant::now();
        let engine = self.engine()?;
        let readings = engine.sampler.ask(&engine, self.id());
        first(readings, asked, span, self.id()).await
    }

    /// What it uses now and then every second, until it is removed; also while it does not run.
    pub fn usages(&self) -> Result<Usages> {
        let engine = self.engine()?;
        let readings = engine.sampler.ask(&engine, self.id());
        Ok(Usages { guest: self.id(), readings, last: None })
    }
}

impl Engine {
    /// What all of `guests` use now, in their order. Those that are removed meanwhile are left out.
    pub async fn usage_of(&self, guests: &[Guest]) -> Result<Vec<(Guest, Arc<Reading>)>> {
        let asked = Instant::now();
        let ask = |guest: &Guest| (guest.clone(), self.inner.sampler.ask(&self.inner, guest.id()));
        let asking: Vec<_> = guests.iter().map(ask).collect();
        let mut found = Vec::with_capacity(asking.len());
        for (guest, readings) in asking {
            match first(readings, asked, Span::Interval, guest.id()).await {
                Ok(reading) => found.push((guest, reading)),
                Err(error) if error.kind == Kind::Missing => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }
}

/// What one guest uses, again and again.
#[derive(Debug)]
pub struct Usages {
    guest: GuestId,
    readings: Readings,
    last: Option<Instant>,
}

impl Usages {
    /// The next reading: at once, then a second after the last one. `None` when the guest is removed
    /// or the engine closes.
    pub async fn next(&mut self) -> Option<Arc<Reading>> {
        let reading = match self.last {
            None => {
                let readings = self.readings.clone();
                first(readings, Instant::now(), Span::Interval, self.guest).await.ok()?
            }
            Some(last) => {
                let later = |reading: &Option<Arc<Reading>>| {
                    reading.as_ref().is_some_and(|r| schedule::is_next(last, r.taken))
                };
                self.readings.wait_for(later).await.ok()?.clone()?
            }
        };
        self.last = Some(reading.taken);
        Some(reading)
    }
}

/// The first reading that serves somebody who asked at `asked`.
async fn first(
    mut readings: Readings,
    asked: Instant,
    span: Span,
    guest: GuestId,
) -> Result<Arc<Reading>> {
    let serves = |reading: &Option<Arc<Reading>>| {
        reading.as_ref().is_some_and(|reading| {
            let whole = reading.earlier.is_some() || reading.usage.is_none();
            schedule::is_fresh(reading.taken, asked) && (whole || span == Span::Moment)
        })
    };
    match tokio::time::timeout(PATIENCE, readings.wait_for(serves)).await {
        Ok(Ok(reading)) => match &*reading {
            Some(reading) => Ok(Arc::clone(reading)),
            None => unreachable!("`serves` wants a reading"),
        },
        Ok(Err(_removed)) => Err(Error::new(Kind::Missing, format!("No such container: {guest}"))),
        Err(_elapsed) => {
            let text = format!("read what container {guest} uses: not done in {PATIENCE:?}");
            Err(Error::new(Kind::Unavailable, text))
        }
    }
}
