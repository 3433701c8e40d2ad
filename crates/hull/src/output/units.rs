//! Sizes and durations in the words of Docker's go-units. Pure.

/// A size in decimal units with three digits: `1.24MB`.
pub(crate) fn size(bytes: i64) -> String {
    scaled(bytes, 1000.0, ["B", "kB", "MB", "GB", "TB", "PB", "EB"], 3)
}

/// A size in binary units with four digits: `1.944GiB`.
pub(crate) fn memory(bytes: i64) -> String {
    scaled(bytes, 1024.0, ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"], 4)
}

fn scaled(bytes: i64, base: f64, units: [&str; 7], digits: usize) -> String {
    #[expect(clippy::cast_precision_loss, reason = "only three or four digits are shown")]
    let mut value = bytes as f64;
    let mut unit = 0;
    while value.abs() >= base && unit < units.len() - 1 {
        value /= base;
        unit += 1;
    }
    let whole = match value.abs() {
        ..10.0 => 1,
        ..100.0 => 2,
        ..1000.0 => 3,
        _ => 4,
    };
    let mut text = format!("{value:.*}", usize::saturating_sub(digits, whole));
    if text.contains('.') {
        text.truncate(text.trim_end_matches('0').trim_end_matches('.').len());
    }
    text + units[unit]
}

/// A time span as people say it: `About a minute`, `3 weeks`.
pub(crate) fn span(seconds: i64) -> String {
    let (minutes, hours) = (seconds / 60, (seconds + 1800) / 3600);
    match (seconds, minutes, hours) {
        (..1, ..) => "Less than a second".to_owned(),
        (1, ..) => "1 second".to_owned(),
        (..60, ..) => format!("{seconds} seconds"),
        (_, 1, _) => "About a minute".to_owned(),
        (_, ..60, _) => format!("{minutes} minutes"),
        (.., 1) => "About an hour".to_owned(),
        (.., ..48) => format!("{hours} hours"),
        (.., hours) if hours < 24 * 7 * 2 => format!("{} days", hours / 24),
        (.., hours) if hours < 24 * 30 * 2 => format!("{} weeks", hours / 24 / 7),
        (.., hours) if hours < 24 * 365 * 2 => format!("{} months", hours / 24 / 30),
        (.., hours) => format!("{} years", hours / 24 / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_as_docker_writes_them() {
        for (bytes, want) in [
            (0, "0B"),
            (999, "999B"),
            (1000, "1kB"),
            (1240, "1.24kB"),
            (12_345_678, "12.3MB"),
            (123_456_789, "123MB"),
            (1_000_000_000, "1GB"),
            (i64::MAX, "9.22EB"),
            (-1240, "-1.24kB"),
        ] {
            assert_eq!(size(bytes), want, "{bytes}");
        }
        for (bytes, want) in
            [(0, "0B"), (1024, "1KiB"), (2_087_321_600, "1.944GiB"), (536_870_912, "512MiB")]
        {
            assert_eq!(memory(bytes), want, "{bytes}");
        }
    }

    #[test]
    fn spans_as_docker_says_them() {
        const HOUR: i64 = 3600;
        const DAY: i64 = 24 * HOUR;
        for (seconds, want) in [
            (-5, "Less than a second"),
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (120, "2 minutes"),
            (59 * 60, "59 minutes"),
            (HOUR, "About an hour"),
            (2 * HOUR, "2 hours"),
            (47 * HOUR, "47 hours"),
            (2 * DAY, "2 days"),
            (14 * DAY, "2 weeks"),
            (60 * DAY, "2 months"),
            (3 * 365 * DAY, "3 years"),
        ] {
            assert_eq!(span(seconds), want, "{seconds}");
        }
    }
}
