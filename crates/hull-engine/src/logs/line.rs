//! One line of a `json-file` log.

use hull_model::time::Timestamp;
use serde::Deserialize;

/// A line a guest wrote, or a part of a very long one (no newline at its end).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogLine {
    /// When the shim read it.
    pub at: Timestamp,
    /// Where the guest wrote it.
    pub source: Source,
    /// What it wrote, with the newline.
    pub text: String,
}

/// Which of its two outputs a guest wrote to.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// File descriptor 1, or the terminal.
    Stdout,
    /// File descriptor 2.
    Stderr,
}

#[derive(Deserialize)]
struct Json<'a> {
    #[serde(default, borrow)]
    log: std::borrow::Cow<'a, str>,
    stream: Source,
    #[serde(borrow)]
    time: std::borrow::Cow<'a, str>,
}

impl LogLine {
    /// Reads one line of the file. `None` for a line that is damaged: after a crash of the host the
    /// last one may be cut, and a log is worth reading without it.
    pub(crate) fn parse(json: &[u8]) -> Option<Self> {
        let line: Json<'_> = serde_json::from_slice(json).ok()?;
        let at = Timestamp::parse_rfc3339(&line.time)?;
        Some(Self { at, source: line.stream, text: line.log.into_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dockers_lines_are_read_and_damaged_ones_left_out() {
        let good = br#"{"log":"a\u003cb\n","stream":"stderr","time":"2023-11-14T22:13:20.5Z"}"#;
        let line = LogLine::parse(good).unwrap();
        assert_eq!((line.text.as_str(), line.source), ("a<b\n", Source::Stderr));
        assert_eq!(line.at.as_nanos(), 1_700_000_000_500_000_000);
        for bad in [&good[..20], b"", b"{}", b"\xff", b"[1]"] {
            assert_eq!(LogLine::parse(bad), None);
        }
    }
}
