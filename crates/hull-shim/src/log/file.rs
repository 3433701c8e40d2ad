//! The log's files: whole lines or nothing, put aside when full.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::json::Encoder;
use super::lines::Piece;
use crate::plan::LogPlan;

/// A log file and those put aside.
#[derive(Debug)]
pub(super) struct LogFile {
    plan: LogPlan,
    /// `None` after a file was put aside and no new one could be made.
    file: Option<File>,
    size: u64,
    /// Whether the file ends in the middle of a line, left by a power cut.
    torn: bool,
    lost: u64,
    /// Lost lines that the log does not tell of yet.
    untold: u64,
}

impl LogFile {
    pub(super) fn open(plan: &LogPlan) -> io::Result<Self> {
        let mut file = open(&plan.path)?;
        let size = file.seek(SeekFrom::End(0))?;
        let mut last = [b'\n'];
        if size > 0 {
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
        }
        let torn = last != *b"\n";
        Ok(Self { plan: plan.clone(), file: Some(file), size, torn, lost: 0, untold: 0 })
    }

    pub(super) fn lines_lost(&self) -> u64 {
        self.lost
    }

    /// Writes whole lines. What cannot be written is lost and counted.
    pub(super) fn write(&mut self, lines: &[u8], now: &str) {
        let mut lines = lines;
        if self.torn {
            self.torn = !matches!(self.try_write(b"\n"), Ok(1));
        }
        while !lines.is_empty() {
            if self.untold > 0 {
                self.tell_loss(now);
            }
            let here = match self.make_room() {
                Ok(()) => self.fitting(lines),
                Err(_refused) => return self.lose(lines),
            };
            let (now, later) = lines.split_at(here);
            let written = self.try_write(now).unwrap_or_else(|written| written);
            self.lose(&now[written..]);
            lines = later;
        }
    }

    /// How many bytes of `lines` go to the current file: up to and with the line that fills it.
    fn fitting(&self, lines: &[u8]) -> usize {
        let Some(room) = self.plan.size_max.map(|max| max.saturating_sub(self.size)) else {
            return lines.len();
        };
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        let from = room.saturating_sub(1);
        let end = lines.get(from..).and_then(|rest| rest.iter().position(|byte| *byte == b'\n'));
        end.map_or(lines.len(), |end| from + end + 1)
    }

    /// Writes whole lines to the current file, and says how many bytes stay there: on an error
    /// (`Err`) only as many as make whole lines.
    fn try_write(&mut self, lines: &[u8]) -> Result<usize, usize> {
        let Some(file) = &mut self.file else { return Err(0) };
        let mut written = 0;
        while written < lines.len() {
            match file.write(&lines[written..]) {
                Ok(0) => break,
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_refused) => break,
            }
        }
        if written == lines.len() {
            self.size += written as u64;
            return Ok(written);
        }
        let whole = lines[..written].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        self.size += whole as u64;
        if whole < written {
            // Half a line would spoil the next one.
            self.torn = file.set_len(self.size).is_err();
        }
        Err(whole)
    }

    /// Puts the current file aside if it is full. An error leaves it full: a log that cannot be
    /// rotated must not grow without bound.
    fn make_room(&mut self) -> io::Result<()> {
        let full = self.plan.size_max.is_some_and(|max| self.size >= max);
        if full && self.file.is_some() {
            self.put_aside()?;
            self.file = None;
        }
        if self.file.is_none() {
            self.file = Some(open(&self.plan.path)?);
            self.size = 0;
        }
        Ok(())
    }

    fn put_aside(&self) -> io::Result<()> {
        let path = &self.plan.path;
        if self.plan.files_max < 2 {
            // Removed, not truncated: somebody who follows the log reads the old file to its end.
            return fs::remove_file(path);
        }
        for number in (1..self.plan.files_max - 1).rev() {
            match fs::rename(numbered(path, number), numbered(path, number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        fs::rename(path, numbered(path, 1))
    }

    fn lose(&mut self, lines: &[u8]) {
        let count = lines.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.lost += count;
        self.untold += count;
    }

    /// Says in the log itself that lines are missing, as soon as it can be written again.
    fn tell_loss(&mut self, now: &str) {
        let text =
            format!("hull: {} lines of output were lost, the log cannot be written", self.untold);
        let mut line = Vec::new();
        let piece = Piece { text: [text.as_bytes(), &[]], newline: true, time: now };
        Encoder::new("stderr", now).encode(&piece, &mut line);
        if self.make_room().is_ok() && self.try_write(&line).is_ok() {
            self.untold = 0;
        }
    }
}

/// `log` → `log.1`.
fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).append(true).create(true).mode(0o640).open(path)
}
