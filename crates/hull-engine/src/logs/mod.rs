//! Reading back what a guest wrote.

mod file;
mod line;
mod stream;

pub use line::{LogLine, Source};
pub use stream::LogStream;

use hull_model::time::Timestamp;

/// Which lines of a log are wanted.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogQuery {
    /// Of standard output.
    pub stdout: bool,
    /// Of standard error.
    pub stderr: bool,
    /// Not older than this.
    pub since: Option<Timestamp>,
    /// Not newer than this.
    pub until: Option<Timestamp>,
    /// Only so many of the newest; `None` for all.
    pub tail: Option<u64>,
    /// Go on with what comes until the guest ends.
    pub follow: bool,
}

impl LogQuery {
    fn wants(&self, line: &LogLine) -> bool {
        let source = match line.source {
            Source::Stdout => self.stdout,
            Source::Stderr => self.stderr,
        };
        source && self.since.is_none_or(|since| line.at >= since)
    }

    /// Lines are in the order of their times, so nothing wanted comes after such a line.
    fn ends_before(&self, line: &LogLine) -> bool {
        self.until.is_some_and(|until| line.at > until)
    }
}
