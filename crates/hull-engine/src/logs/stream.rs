//! The lines of a log, as they are asked for.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::file::LogFile;
use super::{LogLine, LogQuery};
use crate::error::{Error, Result};
use crate::guest::Watch;

/// How soon a new line is noticed while following.
///
/// Looking costs one read(2) that finds nothing. The log's directory is not watched with inotify:
/// the number of watches is limited for each user, and hundreds of followers would use it up.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Lines of a guest's log, oldest first.
#[derive(Debug)]
pub struct LogStream {
    /// Taken while a blocking read is under way.
    file: Option<LogFile>,
    query: LogQuery,
    /// The guest, to know when nothing more can come.
    guest: Watch,
    lines: VecDeque<LogLine>,
    ended: bool,
}

impl LogStream {
    pub(crate) fn open(path: &Path, query: LogQuery, guest: Watch) -> io::Result<Self> {
        let file = match query.tail {
            Some(lines) => LogFile::at_last(path, lines)?,
            None => LogFile::at_start(path)?,
        };
        Ok(Self { file: Some(file), query, guest, lines: VecDeque::new(), ended: false })
    }

    /// The next line; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<LogLine>> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                if self.query.ends_before(&line) {
                    self.ended = true;
                    self.lines.clear();
                    return Ok(None);
                }
                return Ok(Some(line));
            }
            if self.ended {
                return Ok(None);
            }
            // Looked at before reading: what the guest wrote before its end is then read for sure.
            let over = !self.query.follow || !self.guest.may_write();
            if self.fill().await? == 0 {
                self.ended = over;
                if !over {
                    // Wakes up early when the guest ends.
                    tokio::time::timeout(LOOK_AGAIN, self.guest.changed()).await.unwrap_or(());
                }
            }
        }
    }

    /// Reads some lines; returns how many there were, wanted or not.
    async fn fill(&mut self) -> Result<usize> {
        let Some(mut file) = self.file.take() else { return Ok(0) };
        let (file, lines) = tokio::task::spawn_blocking(move || {
            let lines = file.read();
            (file, lines)
        })
        .await
        .map_err(Error::internal("read the log"))?;
        self.file = Some(file);
        let lines = lines.map_err(Error::internal("read the log"))?;
        let count = lines.len();
        let query = self.query;
        let parsed = lines.iter().filter_map(|line| LogLine::parse(line));
        self.lines.extend(parsed.filter(|line| query.wants(line)));
        Ok(count)
    }
}
