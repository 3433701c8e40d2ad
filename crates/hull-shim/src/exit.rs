//! How a process ended, and the file that keeps it for a daemon that was not there.

use std::fmt::Write;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::protocol::{Failure, Kind};

/// Bytes reserved on disk when the guest starts, so that a disk full at its end costs no status.
pub const RESERVED: usize = 4096;

/// What a process left behind.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ExitRecord {
    /// 0 to 255; 128 + number for a signal; 126, 127 or 128 for one that never ran.
    pub code: u8,
    /// The signal that ended it.
    pub signal: Option<u8>,
    /// Whether the kernel killed in the guest for want of memory.
    pub oom_killed: bool,
    /// Nanoseconds since 1970; `None` when it never ran.
    pub started_at: Option<u64>,
    /// Nanoseconds since 1970.
    pub finished_at: u64,
    /// Why it could not be started.
    pub failure: Option<Failure>,
}

/// The exit file is damaged.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ExitFileError {
    /// It ends before its last line: the host died while it was written.
    #[error("exit file is incomplete")]
    Incomplete,
    /// A line is not of the form or range it should be.
    #[error("exit file has a bad line: {0:?}")]
    BadLine(String),
}

const KINDS: [(Kind, &str); 7] = [
    (Kind::CommandNotFound, "command-not-found"),
    (Kind::NotExecutable, "not-executable"),
    (Kind::NoSuchUser, "no-such-user"),
    (Kind::NoSuchDirectory, "no-such-directory"),
    (Kind::NoSuchSource, "no-such-source"),
    (Kind::NotRunning, "not-running"),
    (Kind::Other, "other"),
];

impl ExitRecord {
    /// The record of a process that could not be started.
    ///
    /// The codes are those Docker keeps for a container that did not start (moby
    /// `daemon/start_unix.go` and `container/state.go`).
    pub fn of_failure(failure: Failure, finished_at: u64) -> Self {
        let code = match failure.kind {
            Kind::CommandNotFound => 127,
            Kind::NotExecutable => 126,
            Kind::NoSuchUser
            | Kind::NoSuchDirectory
            | Kind::NoSuchSource
            | Kind::NotRunning
            | Kind::Other => 128,
        };
        Self {
            code,
            signal: None,
            oom_killed: false,
            started_at: None,
            finished_at,
            failure: Some(failure),
        }
    }

    /// The text of the exit file: `name value` lines, the last one `end`.
    pub fn to_text(&self) -> String {
        let mut text = format!("hull-exit 1\ncode {}\n", self.code);
        let mut line = |name: &str, value: &dyn std::fmt::Display| {
            // Writing to a String cannot fail.
            writeln!(text, "{name} {value}").unwrap_or_default();
        };
        if let Some(signal) = self.signal {
            line("signal", &signal);
        }
        line("oom-killed", &self.oom_killed);
        if let Some(started_at) = self.started_at {
            line("started-at", &started_at);
        }
        line("finished-at", &self.finished_at);
        if let Some(failure) = &self.failure {
            let kind = KINDS.iter().find(|(kind, _)| *kind == failure.kind);
            line("failure", &kind.map_or("other", |(_, name)| name));
            line("message", &failure.message.replace('\n', "; "));
        }
        text.push_str("end\n");
        text
    }
}

impl FromStr for ExitRecord {
    type Err = ExitFileError;

    fn from_str(text: &str) -> Result<Self, ExitFileError> {
        let mut record = Self {
            code: 0,
            signal: None,
            oom_killed: false,
            started_at: None,
            finished_at: 0,
            failure: None,
        };
        let mut lines = text.lines();
        if lines.next() != Some("hull-exit 1") {
            return Err(ExitFileError::Incomplete);
        }
        for line in lines {
            if line == "end" {
                return Ok(record);
            }
            record.read_line(line).ok_or_else(|| ExitFileError::BadLine(line.to_owned()))?;
        }
        Err(ExitFileError::Incomplete)
    }
}

impl ExitRecord {
    fn read_line(&mut self, line: &str) -> Option<()> {
        let (name, value) = line.split_once(' ')?;
        match name {
            "code" => self.code = value.parse().ok()?,
            "signal" => self.signal = Some(value.parse().ok()?),
            "oom-killed" => self.oom_killed = value.parse().ok()?,
            "started-at" => self.started_at = Some(value.parse().ok()?),
            "finished-at" => self.finished_at = value.parse().ok()?,
            "failure" => {
                let (kind, _) = KINDS.iter().find(|(_, name)| *name == value)?;
                self.failure = Some(Failure { kind: *kind, message: String::new() });
            }
            "message" => value.clone_into(&mut self.failure.as_mut()?.message),
            _ => return None,
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> ExitRecord {
        ExitRecord {
            code: 137,
            signal: Some(9),
            oom_killed: true,
            started_at: Some(5),
            finished_at: u64::MAX,
            failure: None,
        }
    }

    #[test]
    fn a_record_survives_the_way_to_disk_padding_included() {
        let killed = record();
        assert_eq!(killed.to_text().parse(), Ok(killed.clone()));
        let mut padded = killed.to_text();
        padded.push_str(&"\n".repeat(RESERVED - padded.len()));
        assert_eq!(padded.parse(), Ok(killed));
    }

    #[test]
    fn a_failure_keeps_its_kind_and_an_endless_message_is_cut() {
        for (kind, _) in KINDS {
            let failure = Failure::new(kind, "é".repeat(9000));
            let record = ExitRecord::of_failure(failure, 7);
            assert!(record.to_text().len() <= RESERVED);
            assert_eq!(record.to_text().parse(), Ok(record));
        }
    }

    #[test]
    fn every_cut_file_is_noticed() {
        let text = record().to_text();
        for end in 0..text.len() - "end\n".len() {
            assert!(text[..end].parse::<ExitRecord>().is_err(), "{:?}", &text[..end]);
        }
        let text = text.replace("137", "256");
        assert_eq!(text.parse::<ExitRecord>(), Err(ExitFileError::BadLine("code 256".into())));
    }
}
