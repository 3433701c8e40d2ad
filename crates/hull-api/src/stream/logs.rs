//! `GET /containers/{id}/logs`: what is asked for, and one line of the answer.

use hull_model::time::Timestamp;

use super::frame::{Output, frame};
use crate::query::Query;
use crate::refusal::{Refusal, Result};

/// Which lines of a log a client wants.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LogsQuery {
    /// Lines of standard output.
    pub stdout: bool,
    /// Lines of standard error.
    pub stderr: bool,
    /// None before this.
    pub since: Option<Timestamp>,
    /// None after this.
    pub until: Option<Timestamp>,
    /// Only so many of the newest; `None` for all.
    pub tail: Option<u64>,
    /// Go on with what comes.
    pub follow: bool,
    /// Put the time before each line.
    pub timestamps: bool,
}

impl LogsQuery {
    /// Reads the parameters of a request for logs at `now`.
    pub fn parse(query: &Query, now: Timestamp) -> Result<Self> {
        let (stdout, stderr) = (query.flag("stdout"), query.flag("stderr"));
        if !stdout && !stderr {
            return Err(Refusal::invalid("Bad parameters: you must choose at least one stream"));
        }
        Ok(Self {
            stdout,
            stderr,
            since: query.time("since", now)?,
            until: query.time("until", now)?,
            // Docker takes everything that is no number for "all", `all` included.
            tail: query.text("tail").parse().ok(),
            follow: query.flag("follow"),
            timestamps: query.flag("timestamps"),
        })
    }
}

/// One line as it goes to the client: with its time if `at` is given, raw for a terminal.
pub fn log_line(output: Output, at: Option<Timestamp>, text: &[u8], tty: bool) -> Vec<u8> {
    let mut line = at.map(|at| format!("{} ", fixed(at)).into_bytes()).unwrap_or_default();
    line.extend_from_slice(text);
    if tty { line } else { frame(output, &line) }
}

/// RFC 3339 with nine digits, so that lines align (moby `jsonmessage.RFC3339NanoFixed`).
fn fixed(at: Timestamp) -> String {
    let whole = Timestamp::from_nanos(at.as_secs() * 1_000_000_000).to_string();
    let nanos = at.as_nanos() % 1_000_000_000;
    format!("{}.{nanos:09}Z", whole.trim_end_matches('Z'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_dockers() {
        let read = |text| LogsQuery::parse(&Query::parse(Some(text)), Timestamp::EPOCH);
        let query = read("stdout=1&tail=5&since=1700000000.5&follow=0").unwrap();
        assert_eq!(
            (query.stdout, query.stderr, query.tail, query.follow),
            (true, false, Some(5), false)
        );
        assert_eq!(query.since.unwrap().as_nanos(), 1_700_000_000_500_000_000);
        for all in ["stderr=1&tail=all", "stderr=1&tail=-1", "stderr=1"] {
            assert_eq!(read(all).unwrap().tail, None);
        }
        assert_eq!(
            read("follow=1").unwrap_err().message,
            "Bad parameters: you must choose at least one stream"
        );
        assert!(read("stdout=1&since=yesterday").is_err());
    }

    #[test]
    fn lines_carry_times_of_one_width() {
        let at = Some(Timestamp::from_nanos(1_700_000_000_120_000_000));
        let raw = log_line(Output::Stdout, at, b"hi\n", true);
        assert_eq!(raw, b"2023-11-14T22:13:20.120000000Z hi\n");
        assert_eq!(log_line(Output::Stderr, None, b"x", false), b"\x02\0\0\0\0\0\0\x01x");
    }
}
