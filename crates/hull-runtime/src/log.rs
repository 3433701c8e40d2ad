//! The log that callers read: lines as Go's logrus writes them, which containerd and Podman parse.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use jiff::Timestamp;
use serde_json::json;

use crate::failure::{Doing, Failure};

/// How lines look.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) enum Format {
    /// `time="…" level=error msg="…"`.
    #[default]
    Text,
    /// One object in each line.
    Json,
}

impl Format {
    /// The format called `name`.
    pub(crate) fn named(name: &str) -> Result<Self, Failure> {
        match name {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            other => Err(Failure::new(format!("invalid log-format: {other:?}"))),
        }
    }

    fn line(self, level: &str, message: &str, now: Timestamp) -> String {
        let time = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        match self {
            Self::Text => format!("time={time:?} level={level} msg={message:?}\n"),
            Self::Json => {
                format!("{}\n", json!({"level": level, "msg": message, "time": time}))
            }
        }
    }
}

/// Where messages go.
#[derive(Debug, Default)]
pub(crate) struct Log {
    file: Option<File>,
    format: Format,
    debug: bool,
}

impl Log {
    /// A log at `file`, or on standard error.
    pub(crate) fn open(file: Option<&str>, format: Format, debug: bool) -> Result<Self, Failure> {
        let open = |path: &str| {
            // A pipe is a fine log, but a device must not become our terminal.
            let flags = rustix::fs::OFlags::NOCTTY.bits();
            let flags = i32::try_from(flags).unwrap_or_default();
            let path = Path::new(path);
            let mut options = OpenOptions::new();
            options.append(true).create(true).mode(0o600).custom_flags(flags);
            options.open(path).doing_at("open log", path)
        };
        let file = file.filter(|path| !path.is_empty()).map(open).transpose()?;
        Ok(Self { file, format, debug })
    }

    /// Something failed. Told on standard error too, for callers that show that.
    pub(crate) fn error(&self, message: &str) {
        self.write("error", message);
        if self.file.is_some() {
            // Nobody can be told that nobody can be told.
            writeln!(std::io::stderr(), "{message}").unwrap_or_default();
        }
    }

    /// Something is not as it should be, and it goes on.
    pub(crate) fn warning(&self, message: &str) {
        self.write("warning", message);
    }

    /// A step, for who looks for a fault.
    pub(crate) fn debug(&self, message: &str) {
        if self.debug {
            self.write("debug", message);
        }
    }

    fn write(&self, level: &str, message: &str) {
        let line = self.format.line(level, message, Timestamp::now());
        // One write, so that lines of several processes stay whole.
        let written = match self.file.as_ref() {
            Some(mut file) => file.write_all(line.as_bytes()),
            None => std::io::stderr().write_all(line.as_bytes()),
        };
        // A full disk must not keep a container from being deleted.
        written.unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_those_that_callers_parse() {
        let text = Format::Text.line("error", "a \"b\"", Timestamp::UNIX_EPOCH);
        assert_eq!(text, "time=\"1970-01-01T00:00:00Z\" level=error msg=\"a \\\"b\\\"\"\n");
        let json = Format::Json.line("warning", "a\nb", Timestamp::UNIX_EPOCH);
        let line =
            r#"{"level":"warning","msg":"a\nb","time":"1970-01-01T00:00:00Z"}"#.to_owned() + "\n";
        assert_eq!(json, line);
        assert_eq!(Format::named("xml").unwrap_err().to_string(), "invalid log-format: \"xml\"");
    }

    #[test]
    fn messages_are_appended_to_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let log = Log::open(path.to_str(), Format::Json, false).unwrap();
        log.debug("not shown");
        log.warning("one");
        log.error("two");
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(Log::open(Some("/no/such/log"), Format::Text, false).is_err());
    }
}
