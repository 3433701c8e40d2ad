//! Points in time: as the API sends them, as tables show them, as flags take them.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// How long ago, as tables show it: `3 minutes ago`.
pub(crate) fn ago(seconds: i64, now: Timestamp) -> String {
    format!("{} ago", super::units::span(now.as_second() - seconds))
}

/// Go's way to print a local time: `2024-05-01 12:00:00 +0200 CEST`.
pub(crate) fn local(seconds: i64) -> String {
    match Timestamp::from_second(seconds) {
        Ok(time) => {
            let zoned = time.to_zoned(TimeZone::system());
            zoned.strftime("%Y-%m-%d %H:%M:%S %z %Z").to_string()
        }
        // A server's nonsense is shown as the number it is.
        Err(_) => seconds.to_string(),
    }
}

/// A time in RFC 3339 with nanoseconds, in the local zone, as `events` prints it.
pub(crate) fn precise(nanoseconds: i64) -> String {
    match Timestamp::from_nanosecond(nanoseconds.into()) {
        Ok(time) => {
            let zoned = time.to_zoned(TimeZone::system());
            zoned.strftime("%Y-%m-%dT%H:%M:%S.%9f%:z").to_string()
        }
        Err(_) => nanoseconds.to_string(),
    }
}

/// Reads `--since` and `--until`: a Unix time, a date, or a duration before now.
///
/// # Errors
/// A message that names the text when it is none of these.
pub(crate) fn point(text: &str, now: Timestamp) -> Result<String, String> {
    if text.is_empty() || is_unix(text) {
        return Ok(text.to_owned());
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(written(time));
    }
    // Without a zone it is our own.
    let local = text.parse::<jiff::civil::DateTime>();
    if let Ok(time) = local.and_then(|time| time.to_zoned(TimeZone::system())) {
        return Ok(written(time.timestamp()));
    }
    let before = crate::options::parse::duration(text)
        .ok()
        .and_then(|span| now.checked_sub(jiff::SignedDuration::from_nanos(span)).ok());
    match before {
        Some(time) => Ok(written(time)),
        None => Err(format!("failed to parse value as time or duration: {text:?}")),
    }
}

fn is_unix(text: &str) -> bool {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let seconds = seconds.strip_prefix('-').unwrap_or(seconds);
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits(seconds) && digits(fraction)
}

/// Seconds, with nanoseconds where there are any.
fn written(time: Timestamp) -> String {
    match time.subsec_nanosecond() {
        0 => time.as_second().to_string(),
        nanoseconds => format!("{}.{nanoseconds:09}", time.as_second()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_flags() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        for (text, want) in [
            ("", ""),
            ("123", "123"),
            ("123.5", "123.5"),
            ("10m", "999400"),
            ("1h30m", "994600"),
            ("1970-01-02T00:00:00Z", "86400"),
            ("1970-01-02T00:00:00.25Z", "86400.250000000"),
        ] {
            assert_eq!(point(text, now).as_deref(), Ok(want), "{text}");
        }
        for text in ["x", "12x", "2024-13-01", "99999999999h", "."] {
            assert!(point(text, now).is_err(), "{text}");
        }
    }
}
