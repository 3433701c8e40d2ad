//! Instants, as records and clients write them.

use std::fmt;
use std::time::{Duration, SystemTime};

use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};

/// Nanoseconds since 1970, UTC. Not before 1970, not after 2554.
#[derive(
    Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize,
)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// 1970-01-01T00:00:00Z, also "not known".
    pub const EPOCH: Self = Self(0);

    /// `nanos` nanoseconds after [`Timestamp::EPOCH`].
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since [`Timestamp::EPOCH`].
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Whole seconds since [`Timestamp::EPOCH`].
    pub const fn as_secs(self) -> u64 {
        self.0 / 1_000_000_000
    }

    /// How long after `earlier` this is; zero if it is before.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// Reads RFC 3339 with any offset.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let instant: jiff::Timestamp = text.parse().ok()?;
        u64::try_from(instant.as_nanosecond()).ok().map(Self)
    }

    /// Reads what Docker's `since` and `until` take: seconds with an optional fraction, RFC 3339,
    /// a date or a date with a time (UTC), or a Go duration back from `now`.
    pub fn parse_docker(text: &str, now: Self) -> Option<Self> {
        seconds(text)
            .or_else(|| Self::parse_rfc3339(text))
            .or_else(|| {
                let local: DateTime = text.trim_end_matches('Z').parse().ok()?;
                let instant = local.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
                u64::try_from(instant.as_nanosecond()).ok().map(Self)
            })
            .or_else(|| {
                let back = u64::try_from(go_duration(text)?.as_nanos()).ok()?;
                now.0.checked_sub(back).map(Self)
            })
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC with the fraction's trailing zeros left out, as Go's `RFC3339Nano`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_nanosecond(i128::from(self.0)) {
            Ok(instant) => instant.fmt(f),
            Err(e) => unreachable!("2554 is within jiff's range: {e}"),
        }
    }
}

/// `time` as Go writes it: `1m30s`, `1.5s`, `200ms`.
pub fn write_go_duration(time: Duration) -> String {
    let (seconds, nanos) = (time.as_secs(), time.subsec_nanos());
    let decimal = |whole: u64, rest: u64, digits: usize| {
        let rest = format!("{rest:0digits$}");
        match rest.trim_end_matches('0') {
            "" => whole.to_string(),
            rest => format!("{whole}.{rest}"),
        }
    };
    match (seconds, u64::from(nanos)) {
        (0, 0) => "0s".to_owned(),
        (0, nanos @ 0..1_000) => format!("{nanos}ns"),
        (0, nanos @ 0..1_000_000) => format!("{}µs", decimal(nanos / 1_000, nanos % 1_000, 3)),
        (0, nanos) => format!("{}ms", decimal(nanos / 1_000_000, nanos % 1_000_000, 6)),
        (_, nanos) => {
            let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
            let rest = decimal(seconds % 60, nanos, 9);
            match (hours, minutes) {
                (0, 0) => format!("{rest}s"),
                (0, minutes) => format!("{minutes}m{rest}s"),
                (hours, minutes) => format!("{hours}h{minutes}m{rest}s"),
            }
        }
    }
}

/// `1700000000` or `1700000000.123456789`.
fn seconds(text: &str) -> Option<Timestamp> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let nanos: u64 = format!("{fraction:0<9}").parse().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(1_000_000_000)?.checked_add(nanos).map(Timestamp)
}

/// Go's `time.ParseDuration` for durations that are not negative: `1h30m`, `1.5s`, `300ms`.
pub fn go_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let number_len = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(number_len);
        let unit_len = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_len);
        let seconds: f64 = match unit {
            "h" => 3_600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" | "μs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        let part = number.parse::<f64>().ok()? * seconds;
        total = total.checked_add(Duration::try_from_secs_f64(part).ok()?)?;
        rest = tail;
    }
    (!text.is_empty()).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_nanos(1_700_000_000_000_000_000);

    #[test]
    fn written_as_go_writes_it() {
        assert_eq!(NOW.to_string(), "2023-11-14T22:13:20Z");
        let fraction = Timestamp::from_nanos(NOW.as_nanos() + 120_000_000);
        assert_eq!(fraction.to_string(), "2023-11-14T22:13:20.12Z");
        assert_eq!(Timestamp::from_nanos(u64::MAX).to_string(), "2554-07-21T23:34:33.709551615Z");
    }

    #[test]
    fn reads_all_that_since_takes() {
        let read = |text| Timestamp::parse_docker(text, NOW).map(|t| t.to_string());
        let is = |text| Some(String::from(text));
        assert_eq!(read("1700000000"), is("2023-11-14T22:13:20Z"));
        assert_eq!(read("1700000000.5"), is("2023-11-14T22:13:20.5Z"));
        assert_eq!(read("2023-11-14T23:13:20+01:00"), is("2023-11-14T22:13:20Z"));
        assert_eq!(read("2023-11-14T22:13:20"), is("2023-11-14T22:13:20Z"));
        assert_eq!(read("2023-11-14"), is("2023-11-14T00:00:00Z"));
        assert_eq!(read("1h13m20s"), is("2023-11-14T21:00:00Z"));
        for bad in ["", "x", "-5", "1.2.3", "99999999999999999999", "1y", "1e400s", "."] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn durations_are_written_as_go_writes_them() {
        for text in ["0s", "15ns", "1.5µs", "200ms", "1.000001ms", "1s", "2.05s", "1m30s", "1h0m0s"]
        {
            let time = if text.contains('µ') {
                Duration::from_nanos(1_500)
            } else {
                go_duration(text).unwrap()
            };
            assert_eq!(write_go_duration(time), text);
        }
    }
}
