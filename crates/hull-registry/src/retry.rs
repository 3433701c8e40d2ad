//! When to try again, and after how long. Pure: chance and clock are arguments.

use std::time::{Duration, SystemTime};

/// How often and how patiently a broken exchange is repeated.
#[derive(Clone, Debug)]
pub struct Retry {
    /// Repetitions after the first try; for a blob, after the last one that made progress.
    pub repeats: u32,
    /// Wait before the first repetition; doubled before each further one.
    pub base: Duration,
    /// Longest wait, also where a registry asks for a longer one by `Retry-After`.
    pub longest: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { repeats: 5, base: Duration::from_millis(500), longest: Duration::from_secs(30) }
    }
}

impl Retry {
    /// The wait before repetition `number` (from 0); `None` if there shall be no more.
    ///
    /// By `chance` the waits are spread over their upper half, so that clients cut off together do
    /// not come back together. What the registry `asked` for is not shortened, except
    /// to the longest wait.
    pub(crate) fn wait(
        &self,
        number: u32,
        asked: Option<Duration>,
        chance: u8,
    ) -> Option<Duration> {
        if number >= self.repeats {
            return None;
        }
        let doubled = self.base.saturating_mul(2_u32.saturating_pow(number)).min(self.longest);
        let spread = doubled - (doubled / 510) * u32::from(u8::MAX - chance);
        Some(asked.map_or(spread, |asked| asked.max(spread)).min(self.longest))
    }
}

/// Reads `Retry-After`: seconds, or a date that lies in the future of `now`.
pub(crate) fn parse_after(header: &str, now: SystemTime) -> Option<Duration> {
    let header = header.trim();
    if let Ok(seconds) = header.parse() {
        return Some(Duration::from_secs(seconds));
    }
    httpdate::parse_http_date(header).ok()?.duration_since(now).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_are_spread_and_end() {
        let retry =
            Retry { repeats: 4, base: Duration::from_secs(1), longest: Duration::from_secs(5) };
        let wait = |number, asked: Option<u64>, chance| {
            retry.wait(number, asked.map(Duration::from_secs), chance).map(|w| w.as_millis())
        };
        assert_eq!(wait(0, None, 0), Some(500));
        assert_eq!(wait(0, None, 255), Some(1000));
        assert_eq!(wait(2, None, 255), Some(4000));
        assert_eq!(wait(3, None, 255), Some(5000));
        assert_eq!(wait(4, None, 255), None);
        assert_eq!(wait(0, Some(3), 0), Some(3000));
        assert_eq!(wait(0, Some(u64::MAX), 0), Some(5000));
        assert_eq!(wait(0, Some(0), 0), Some(500));
    }

    #[test]
    fn both_forms_of_retry_after_are_read() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        assert_eq!(parse_after(" 7 ", now), Some(Duration::from_secs(7)));
        assert_eq!(
            parse_after("Sun, 06 Nov 1994 08:49:47 GMT", now),
            Some(Duration::from_secs(10))
        );
        for bad in ["", "-1", "1.5", "Sun, 06 Nov 1994 08:49:27 GMT", "99999999999999999999"] {
            assert_eq!(parse_after(bad, now), None, "{bad}");
        }
    }
}
