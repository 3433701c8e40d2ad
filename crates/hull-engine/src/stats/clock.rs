//! The time of all the host's processors together.
//!
//! `/proc/stat` counts in hundredths of a second and cuts each of its numbers: over a tenth of a
//! second the sum is wrong by a third. So it is only where counting begins; what is added is the
//! number of processors times the time that passed, which is what the sum grows by.

use std::fs;
use std::time::Duration;

use tokio::time::Instant;

/// Nanoseconds of one of `/proc/stat`'s units: `USER_HZ` is 100 on every architecture Linux has.
const TICK_NANOS: u64 = 10_000_000;

/// The host's processor time, going on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Clock {
    last: Option<(u64, Instant)>,
}

/// The host's processors at one moment.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct HostCpu {
    /// Nanoseconds of all of them together, idle or not.
    pub(super) total: u64,
    /// How many there are.
    pub(super) processors: u32,
}

impl Clock {
    /// The time at `now`, which is never before that of the last call.
    pub(super) fn read(&mut self, now: Instant) -> HostCpu {
        let processors = processors();
        let total = match self.last {
            None => fs::read_to_string("/proc/stat").map_or(0, |text| sum(&text)),
            Some((total, then)) => advance(total, now.saturating_duration_since(then), processors),
        };
        self.last = Some((total, now));
        HostCpu { total, processors }
    }
}

fn advance(total: u64, passed: Duration, processors: u32) -> u64 {
    let nanos = u64::try_from(passed.as_nanos()).unwrap_or(u64::MAX);
    total.saturating_add(nanos.saturating_mul(u64::from(processors)))
}

/// The first seven numbers of the first line (moby `daemon/stats_unix.go`, `getSystemCPUUsage`): what
/// comes behind them is counted in them already, or was not this host's time.
fn sum(stat: &str) -> u64 {
    let line = stat.lines().next().and_then(|line| line.strip_prefix("cpu "));
    let numbers = line.unwrap_or_default().split_ascii_whitespace().take(7);
    let ticks = numbers.filter_map(|number| number.parse::<u64>().ok());
    ticks.fold(0, |sum: u64, one| sum.saturating_add(one)).saturating_mul(TICK_NANOS)
}

fn processors() -> u32 {
    let online = fs::read_to_string("/sys/devices/system/cpu/online").ok();
    online.as_deref().and_then(count).unwrap_or(1)
}

/// How many numbers a list such as `0-3,8` has.
fn count(list: &str) -> Option<u32> {
    let each = list.trim().split(',').map(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        last.checked_sub(first)?.checked_add(1)
    });
    each.sum::<Option<u32>>().filter(|count| *count > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_processors_are_counted() {
        for (list, want) in
            [("0\n", Some(1)), ("0-3,8\n", Some(5)), ("", None), ("3-1", None), ("x", None)]
        {
            assert_eq!(count(list), want, "{list:?}");
        }
    }

    #[test]
    fn the_sum_is_of_the_first_seven_numbers() {
        assert_eq!(sum("cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 1 1\n"), 28 * TICK_NANOS);
        assert_eq!(sum("intr 5\n"), 0);
    }

    #[test]
    fn time_goes_on_exactly() {
        assert_eq!(advance(5, Duration::from_nanos(7), 4), 33);
        let (mut clock, now) = (Clock::default(), Instant::now());
        let first = clock.read(now);
        let second = clock.read(now + Duration::from_millis(100));
        assert!(first.total > 0);
        assert_eq!(second.total - first.total, 100_000_000 * u64::from(second.processors));
        assert_eq!(clock.read(now).total, second.total, "never backwards");
    }
}
