//! What happened lately, for whoever asks or watches.
//!
//! One bounded ring; a watcher is a place in it. A slow watcher holds nobody up: what leaves the
//! ring before it is read is lost to that watcher alone, and it is told how much.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use hull_model::event::{Occurrence, Subject};
use hull_model::time::Timestamp;
use tokio::sync::watch;

/// How many occurrences are kept.
const KEPT: usize = 4_096;

/// The engine's news.
#[derive(Debug)]
pub struct Events {
    ring: Mutex<Ring>,
    next: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Ring {
    /// The number of the first occurrence in `kept`.
    first: u64,
    kept: VecDeque<Arc<Occurrence>>,
}

/// A watcher's place in the news.
#[derive(Debug)]
pub struct Watcher {
    events: Arc<Events>,
    next: u64,
    changed: watch::Receiver<u64>,
}

impl Default for Events {
    fn default() -> Self {
        Self { ring: Mutex::default(), next: watch::Sender::new(0) }
    }
}

impl Events {
    /// Tells everybody that `action` happened now to the object `id`.
    pub fn publish(
        &self,
        subject: Subject,
        action: impl Into<String>,
        id: impl Into<String>,
        attributes: BTreeMap<String, String>,
    ) {
        let at = Timestamp::from(SystemTime::now());
        let (action, id) = (action.into(), id.into());
        let occurrence = Arc::new(Occurrence { at, subject, action, id, attributes });
        let next = {
            let mut ring = self.lock();
            if ring.kept.len() == KEPT {
                ring.kept.pop_front();
                ring.first += 1;
            }
            ring.kept.push_back(occurrence);
            ring.end()
        };
        // Two publishers may get here in the other order; the number never goes back.
        self.next.send_modify(|known| *known = next.max(*known));
    }

    /// What is kept and not older than `since`, oldest first, and a watcher for all that follows.
    pub fn watch(self: &Arc<Self>, since: Option<Timestamp>) -> (Vec<Arc<Occurrence>>, Watcher) {
        let changed = self.next.subscribe();
        let ring = self.lock();
        let past = match since {
            Some(since) => ring.kept.iter().filter(|o| o.at >= since).cloned().collect(),
            None => Vec::new(),
        };
        (past, Watcher { events: Arc::clone(self), next: ring.end(), changed })
    }

    /// How many watchers there are.
    pub fn watcher_count(&self) -> usize {
        self.next.receiver_count()
    }

    fn lock(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ring {
    fn end(&self) -> u64 {
        self.first + self.kept.len() as u64
    }

    /// The occurrence with this number, or the oldest after it, and its number.
    fn at(&self, number: u64) -> Option<(u64, Arc<Occurrence>)> {
        let number = number.max(self.first);
        let index = usize::try_from(number - self.first).ok()?;
        self.kept.get(index).map(|occurrence| (number, Arc::clone(occurrence)))
    }
}

impl Watcher {
    /// The next occurrence. Cancelling loses nothing.
    pub async fn next(&mut self) -> Arc<Occurrence> {
        loop {
            let found = self.events.lock().at(self.next);
            if let Some((number, occurrence)) = found {
                if number > self.next {
                    tracing::warn!(lost = number - self.next, "a slow watcher missed events");
                }
                self.next = number + 1;
                return occurrence;
            }
            if self.changed.changed().await.is_err() {
                unreachable!("`self.events` holds the sender");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publish(events: &Events, count: usize) {
        for n in 0..count {
            events.publish(Subject::Container, n.to_string(), "id", BTreeMap::new());
        }
    }

    #[tokio::test]
    async fn watchers_see_what_follows_and_the_past_on_request() {
        let events = Arc::new(Events::default());
        publish(&events, 2);
        let (past, mut watcher) = events.watch(Some(Timestamp::EPOCH));
        assert_eq!(past.len(), 2);
        assert!(events.watch(None).0.is_empty());
        publish(&events, 1);
        assert_eq!(watcher.next().await.action, "0");
    }

    #[tokio::test]
    async fn the_ring_is_bounded_and_a_slow_watcher_goes_on_with_the_oldest_kept() {
        let events = Arc::new(Events::default());
        let (_, mut watcher) = events.watch(None);
        publish(&events, KEPT + 10);
        assert_eq!(watcher.next().await.action, "10");
        assert_eq!(events.watch(Some(Timestamp::EPOCH)).0.len(), KEPT);
    }
}
