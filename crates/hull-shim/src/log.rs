//! The guest's output on disk, byte for byte as Docker's `json-file` driver writes it.

mod file;
mod json;
mod lines;
mod time;

use std::io;
use std::time::SystemTime;

use file::LogFile;
use json::Encoder;
use lines::Lines;

use crate::plan::LogPlan;

/// Encoded lines are written out when there are this many bytes of them.
const BATCH: usize = 128 << 10;

/// An output of a process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stream {
    /// Standard output, and all of a terminal's.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// Its name in the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }

    /// Its number in Docker's stream format.
    pub fn number(self) -> u8 {
        match self {
            Self::Stdout => 1,
            Self::Stderr => 2,
        }
    }
}

/// A log that is being written.
///
/// A disk that refuses never fails the guest: whole lines are lost, counted, and a line in the log
/// says how many as soon as one can be written again.
#[derive(Debug)]
pub struct Log {
    file: LogFile,
    lines: [Lines; 2],
    batch: Vec<u8>,
}

impl Log {
    /// Opens the log, going on where an earlier run of the guest ended.
    pub fn open(plan: &LogPlan) -> io::Result<Self> {
        Ok(Self {
            file: LogFile::open(plan)?,
            lines: [Lines::default(), Lines::default()],
            batch: Vec::new(),
        })
    }

    /// Adds what a stream brought. Everything that ends in a newline is on disk afterwards.
    pub fn append(&mut self, stream: Stream, bytes: &[u8], now: SystemTime) {
        self.write(stream, now, |lines, now, emit| lines.feed(bytes, now, emit));
    }

    /// Ends a stream: writes its last line even though it has no newline.
    pub fn end(&mut self, stream: Stream, now: SystemTime) {
        self.write(stream, now, Lines::end);
    }

    /// Lines that could not be written.
    pub fn lines_lost(&self) -> u64 {
        self.file.lines_lost()
    }

    /// Gives back memory that is only worth keeping while output flows.
    pub fn rest(&mut self) {
        self.batch = Vec::new();
    }

    fn write<F>(&mut self, stream: Stream, now: SystemTime, produce: F)
    where
        F: FnOnce(&mut Lines, &str, &mut dyn FnMut(lines::Piece<'_>)),
    {
        let Self { file, lines, batch } = self;
        let now = time::rfc3339(now);
        let encoder = Encoder::new(stream.name(), &now);
        let lines = &mut lines[usize::from(stream.number() - 1)];
        produce(lines, &now, &mut |piece| {
            encoder.encode(&piece, batch);
            if batch.len() >= BATCH {
                file.write(batch, &now);
                batch.clear();
            }
        });
        if !batch.is_empty() {
            file.write(batch, &now);
            batch.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn plan(dir: &Path, size_max: Option<u64>, files_max: u32) -> LogPlan {
        LogPlan { path: dir.join("log"), size_max, files_max }
    }

    fn moment() -> SystemTime {
        UNIX_EPOCH + Duration::new(1_700_000_000, 120_000_000)
    }

    #[test]
    fn two_streams_keep_their_unfinished_lines_apart() {
        let dir = tempfile::tempdir().unwrap();
        let plan = plan(dir.path(), None, 1);
        let mut log = Log::open(&plan).unwrap();
        log.append(Stream::Stdout, b"one", moment());
        log.append(Stream::Stderr, b"err\n", moment());
        log.append(Stream::Stdout, b" two\nlast", moment());
        log.end(Stream::Stdout, moment());
        log.end(Stream::Stderr, moment());
        assert_eq!(
            fs::read_to_string(&plan.path).unwrap(),
            concat!(
                r#"{"log":"err\n","stream":"stderr","time":"2023-11-14T22:13:20.12Z"}"#,
                "\n",
                r#"{"log":"one two\n","stream":"stdout","time":"2023-11-14T22:13:20.12Z"}"#,
                "\n",
                r#"{"log":"last","stream":"stdout","time":"2023-11-14T22:13:20.12Z"}"#,
                "\n",
            )
        );
    }

    #[test]
    fn a_file_that_is_full_is_put_aside_and_only_so_many_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let plan = plan(dir.path(), Some(200), 3);
        let mut log = Log::open(&plan).unwrap();
        let text: Vec<u8> = (0..40).flat_map(|n| format!("line {n:02}\n").into_bytes()).collect();
        log.append(Stream::Stdout, &text, moment());
        let mut names: Vec<PathBuf> =
            fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().path()).collect();
        names.sort();
        assert_eq!(names, ["log", "log.1", "log.2"].map(|name| dir.path().join(name)));
        let mut all = String::new();
        for name in ["log.2", "log.1", "log"] {
            let text = fs::read_to_string(dir.path().join(name)).unwrap();
            // Docker looks before it writes: a file passes the limit by less than one line.
            assert!(text.len() < 200 + 80, "{name} has {} bytes", text.len());
            all.push_str(&text);
        }
        let kept: Vec<&str> = all.lines().map(|line| &line[13..15]).collect();
        let first: usize = kept[0].parse().unwrap();
        let expected: Vec<String> = (first..40).map(|n| format!("{n:02}")).collect();
        assert_eq!(kept, expected);
    }

    #[test]
    fn with_one_file_an_open_reader_keeps_the_old_one() {
        let dir = tempfile::tempdir().unwrap();
        let plan = plan(dir.path(), Some(10), 1);
        let mut log = Log::open(&plan).unwrap();
        log.append(Stream::Stdout, b"old\n", moment());
        let mut reader = fs::File::open(&plan.path).unwrap();
        log.append(Stream::Stdout, b"new\n", moment());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(fs::read_to_string(&plan.path).unwrap().contains("new"));
        let mut old = String::new();
        io::Read::read_to_string(&mut reader, &mut old).unwrap();
        assert!(old.contains("old") && !old.contains("new"));
    }

    #[test]
    fn a_restart_goes_on_behind_a_line_that_was_torn() {
        let dir = tempfile::tempdir().unwrap();
        let plan = plan(dir.path(), None, 1);
        fs::write(&plan.path, b"{\"log\":\"half").unwrap();
        let mut log = Log::open(&plan).unwrap();
        log.append(Stream::Stdout, b"whole\n", moment());
        let text = fs::read_to_string(&plan.path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[1].starts_with(r#"{"log":"whole\n""#));
    }

    #[test]
    fn a_rotation_that_fails_loses_lines_instead_of_growing_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let plan = plan(dir.path(), Some(300), 2);
        // A directory that is not empty cannot be replaced by a file.
        fs::create_dir_all(dir.path().join("log.1/x")).unwrap();
        let mut log = Log::open(&plan).unwrap();
        for _ in 0..100 {
            log.append(Stream::Stdout, b"0123456789\n", moment());
        }
        assert!(fs::metadata(&plan.path).unwrap().len() < 400);
        assert!(log.lines_lost() > 90);
        fs::remove_dir_all(dir.path().join("log.1")).unwrap();
        log.append(Stream::Stdout, b"again\n", moment());
        let text = fs::read_to_string(&plan.path).unwrap();
        assert!(text.contains("lines of output were lost"), "{text}");
        assert!(text.contains("again"), "{text}");
    }
}
