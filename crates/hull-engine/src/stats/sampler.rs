//! The one task that samples guests, while anybody is interested.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use hull_model::id::GuestId;
use hull_model::life::State as Life;
use hull_model::time::Timestamp;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::Readings;
use super::clock::{Clock, HostCpu};
use super::reading::{Reading, Ring, Sampled};
use super::schedule::{self, Standing, TICK};
use crate::engine::Inner;

/// Who is asked about. Costs nothing while nobody is.
#[derive(Debug, Default)]
pub(crate) struct Sampler {
    state: Mutex<State>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct State {
    asked: HashMap<GuestId, Entry>,
    /// Whether the task runs.
    runs: bool,
    clock: Clock,
}

#[derive(Debug)]
struct Entry {
    asked: Instant,
    newest: Option<Instant>,
    ring: Ring,
    readings: watch::Sender<Option<Arc<Reading>>>,
}

impl Entry {
    fn standing(&self) -> Standing {
        Standing {
            asked: self.asked,
            is_watched: self.readings.receiver_count() > 0,
            newest: self.newest,
            is_alone: self.ring.is_alone(),
        }
    }
}

/// What the task does next.
enum Next {
    Sample(Vec<GuestId>),
    Wait(Instant),
    End,
}

impl Sampler {
    /// Somebody asks about a guest: it is sampled from now on. Its readings come by the receiver,
    /// which is closed when the guest is removed.
    pub(crate) fn ask(&self, engine: &Arc<Inner>, guest: GuestId) -> Readings {
        let now = Instant::now();
        let mut state = self.lock();
        let entry = state.asked.entry(guest).or_insert_with(|| Entry {
            asked: now,
            newest: None,
            ring: Ring::default(),
            readings: watch::Sender::new(None),
        });
        entry.asked = now;
        let readings = entry.readings.subscribe();
        if !std::mem::replace(&mut state.runs, true) {
            engine.run_until_closed(run(Arc::clone(engine)));
        }
        drop(state);
        self.wake.notify_one();
        readings
    }

    /// Ends all streams. The task is ended with the engine's others.
    pub(crate) fn close(&self) {
        self.lock().asked.clear();
    }

    fn next(&self, tick: Instant) -> Next {
        let now = Instant::now();
        let mut state = self.lock();
        state.asked.retain(|_, entry| !entry.standing().is_over(now));
        let mut due = Vec::new();
        let mut next = tick;
        for (guest, entry) in &state.asked {
            let standing = entry.standing();
            next = next.min(standing.next(tick));
            if standing.is_due(tick, now) {
                due.push(*guest);
            }
        }
        if state.asked.is_empty() {
            // Under the lock: whoever asks next starts the task again.
            state.runs = false;
            state.asked.shrink_to_fit();
            return Next::End;
        }
        if due.is_empty() { Next::Wait(next) } else { Next::Sample(due) }
    }

    fn publish(&self, guest: GuestId, sampled: Option<Sampled>) {
        let mut state = self.lock();
        let Some(sampled) = sampled else {
            state.asked.remove(&guest);
            return;
        };
        if let Some(entry) = state.asked.get_mut(&guest) {
            entry.newest = Some(sampled.taken);
            let reading = entry.ring.add(sampled);
            entry.readings.send_replace(Some(reading));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn run(engine: Arc<Inner>) {
    let mut tick = Instant::now() + TICK;
    loop {
        let now = Instant::now();
        match engine.sampler.next(tick) {
            Next::End => return,
            Next::Wait(until) => {
                tokio::select! {
                    () = tokio::time::sleep_until(until) => {}
                    () = engine.sampler.wake.notified() => {}
                }
            }
            Next::Sample(guests) => {
                tick = schedule::next_tick(tick, now);
                let worker = Arc::clone(&engine);
                let sampled = tokio::task::spawn_blocking(move || sample(&worker, &guests)).await;
                if let Err(error) = sampled {
                    tracing::error!(%error, "cannot read what guests use");
                }
            }
        }
    }
}

/// Samples `guests`, each published as soon as it is there.
fn sample(engine: &Inner, guests: &[GuestId]) {
    for guest in guests {
        let now = Instant::now();
        let host = engine.sampler.lock().clock.read(now);
        engine.sampler.publish(*guest, sample_one(engine, *guest, now, host));
    }
}

/// `None` if the guest does not exist any more.
fn sample_one(engine: &Inner, id: GuestId, taken: Instant, host: HostCpu) -> Option<Sampled> {
    let id_text = id.to_string();
    let guest = engine.index().find(&id_text).ok()?;
    let record = guest.record();
    let at = Timestamp::from(SystemTime::now());
    let mut usage = match record.state {
        Life::Running | Life::Paused => {
            engine.cgroup_of(&record).ok().and_then(|cgroup| cgroup.usage())
        }
        Life::Created | Life::Starting | Life::Exited(_) | Life::Removing => None,
    };
    if let (Some(usage), Some(pid)) = (&mut usage, record.pid) {
        usage.interfaces = hull_container::usage::interfaces(pid, &id_text);
    }
    Some(Sampled { at, taken, host, usage, started: record.started })
}
