//! When a guest is sampled. Pure, so the rules are tables in the tests.

use std::time::Duration;

use tokio::time::Instant;

/// How often a guest is sampled that somebody asked about lately.
pub(super) const TICK: Duration = Duration::from_secs(1);

/// The least time between two samples of a guest, and the most that one may be old for whoever asks.
///
/// The kernel brings a running process' time up to date with its tick, every 1 to 10 ms: that is then
/// the error of a percentage over this time.
pub(super) const SHORT: Duration = Duration::from_millis(100);

/// How long a guest is sampled on after the last question. Clients that ask again and again, like
/// `docker stats --no-stream` in a loop, are then served at once.
const LINGER: Duration = Duration::from_secs(10);

/// What is due this soon is done now, together with the rest.
const SLACK: Duration = Duration::from_millis(10);

/// How things stand with one guest.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    /// When somebody last asked.
    pub(super) asked: Instant,
    /// Whether somebody waits for what comes.
    pub(super) is_watched: bool,
    /// When it was last sampled.
    pub(super) newest: Option<Instant>,
    /// Whether that is all there is of a guest that runs: no interval yet.
    pub(super) is_alone: bool,
}

impl Standing {
    /// When it is to be sampled next, if all others are at `tick`.
    pub(super) fn due(&self, tick: Instant) -> Instant {
        match self.newest {
            None => self.asked,
            Some(newest) if self.is_alone => newest + SHORT,
            Some(newest) if !is_fresh(newest, self.asked) => self.asked,
            Some(_) => tick,
        }
    }

    /// Whether it is sampled at `now`.
    pub(super) fn is_due(&self, tick: Instant, now: Instant) -> bool {
        self.due(tick) <= now + SLACK
    }

    /// Whether nobody is interested any more.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        !self.is_watched && now >= self.asked + LINGER
    }

    /// When there is next something to decide.
    pub(super) fn next(&self, tick: Instant) -> Instant {
        self.due(tick).min(tick)
    }
}

/// When all are sampled next, if some are sampled at `now`.
pub(super) fn next_tick(tick: Instant, now: Instant) -> Instant {
    if tick <= now + SLACK { now + TICK } else { tick }
}

/// Whether a sample taken at `taken` serves somebody who asked at `asked`.
pub(super) fn is_fresh(taken: Instant, asked: Instant) -> bool {
    taken + SHORT > asked
}

/// Whether a stream whose last reading was taken at `last` gives the one taken at `taken`.
pub(super) fn is_next(last: Instant, taken: Instant) -> bool {
    taken + SHORT >= last + TICK
}

/// Which of the moments before `now`, oldest first, a percentage is reckoned from: the last one that
/// is about a second old, else the oldest.
pub(super) fn earlier(moments: &[Instant], now: Instant) -> Option<usize> {
    moments.iter().rposition(|at| is_next(*at, now)).or_else(|| (!moments.is_empty()).then_some(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_guest_is_sampled_when_asked_again_shortly_after_and_then_by_the_second() {
        let start = Instant::now();
        let at = |ms: u32| start + MS * ms;
        let (tick, asked) = (at(1_000), at(0));
        let due = |newest, is_alone, asked| {
            Standing { asked, is_watched: false, newest, is_alone }.due(tick)
        };
        for (newest, is_alone, asked, want, what) in [
            (None, false, asked, 0, "never sampled"),
            (Some(at(2)), true, asked, 102, "an interval is missing"),
            (Some(at(102)), false, asked, 1_000, "nobody waits"),
            (Some(at(102)), false, at(150), 1_000, "asked about what is known"),
            (Some(at(102)), false, at(400), 400, "asked about what is old"),
            (Some(at(2)), false, asked, 1_000, "a guest that does not run has no interval"),
        ] {
            assert_eq!(due(newest, is_alone, asked), at(want), "{what}");
        }
    }

    #[test]
    fn a_tick_is_taken_once() {
        let now = Instant::now();
        assert_eq!(next_tick(now + SLACK, now), now + TICK);
        assert_eq!(next_tick(now + SLACK * 2, now), now + SLACK * 2);
    }

    #[test]
    fn sampling_ends_when_nobody_asks_or_watches() {
        let now = Instant::now();
        let mut standing =
            Standing { asked: now, is_watched: false, newest: None, is_alone: false };
        assert!(!standing.is_over(now + LINGER - MS));
        assert!(standing.is_over(now + LINGER));
        standing.is_watched = true;
        assert!(!standing.is_over(now + LINGER * 9));
    }

    #[test]
    fn percentages_are_of_a_second_where_there_is_one() {
        let start = Instant::now();
        let at = |ms: u32| start + MS * ms;
        let moments = [at(0), at(1_000), at(1_500), at(1_900)];
        for (now, want) in [(2_000, 1), (1_950, 1), (1_700, 0), (2_600, 2), (9_000, 3)] {
            assert_eq!(earlier(&moments, at(now)), Some(want), "{now}");
        }
        assert_eq!(earlier(&moments[3..], at(2_000)), Some(0));
        assert_eq!(earlier(&[], start), None);
    }

    #[test]
    fn streams_give_a_reading_a_second_whoever_else_asks() {
        let last = Instant::now();
        for (ms, want) in [(100, false), (850, false), (950, true), (1_000, true), (3_000, true)] {
            assert_eq!(is_next(last, last + MS * ms), want, "{ms}");
        }
    }
}
