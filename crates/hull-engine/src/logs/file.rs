//! A rotated log as one sequence of lines: `x.log` is the newest file, `x.log.1` the one before.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Longest line read. The shim splits at 16 KiB of output, which is at most six times that in JSON.
const LINE_MAX: usize = 256 << 10;
/// How much is read at once.
const CHUNK: usize = 64 << 10;

/// A place in a rotated log. Opening a file keeps it readable when it is rotated away.
#[derive(Debug)]
pub(crate) struct LogFile {
    base: PathBuf,
    current: Option<File>,
    offset: u64,
    /// What was read behind the last whole line.
    partial: Vec<u8>,
}

impl LogFile {
    /// The beginning of the oldest file that is kept.
    pub(crate) fn at_start(base: &Path) -> io::Result<Self> {
        let mut log = Self { base: base.to_owned(), current: None, offset: 0, partial: Vec::new() };
        log.open_oldest()?;
        Ok(log)
    }

    /// The place from which there are `lines` whole lines, or all if there are fewer.
    pub(crate) fn at_last(base: &Path, lines: u64) -> io::Result<Self> {
        let mut missing = lines;
        let mut place = None;
        for file in newest_first(base) {
            let file = file?;
            let (offset, found) = last_lines(&file, missing)?;
            missing -= found;
            place = Some((file, offset));
            if missing == 0 {
                break;
            }
        }
        let (current, offset) = place.map_or((None, 0), |(file, offset)| (Some(file), offset));
        Ok(Self { base: base.to_owned(), current, offset, partial: Vec::new() })
    }

    /// The next lines, without newlines; none at the end of what is written so far.
    pub(crate) fn read(&mut self) -> io::Result<Vec<Vec<u8>>> {
        loop {
            let Some(file) = &self.current else {
                // The shim makes the file with the first start.
                self.open_oldest()?;
                if self.current.is_none() {
                    return Ok(Vec::new());
                }
                continue;
            };
            let mut chunk = vec![0; CHUNK];
            let count = file.read_at(&mut chunk, self.offset)?;
            if count > 0 {
                self.offset += count as u64;
                let lines = self.split(&chunk[..count]);
                if lines.is_empty() {
                    continue;
                }
                return Ok(lines);
            }
            if !self.open_next()? {
                return Ok(Vec::new());
            }
        }
    }

    fn split(&mut self, chunk: &[u8]) -> Vec<Vec<u8>> {
        let mut lines = Vec::new();
        let mut rest = chunk;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            self.partial.extend_from_slice(&rest[..end]);
            lines.push(std::mem::take(&mut self.partial));
            rest = &rest[end + 1..];
        }
        if self.partial.len() + rest.len() > LINE_MAX {
            // Not written by a shim; it will not parse, so its content does not matter.
            self.partial.clear();
        } else {
            self.partial.extend_from_slice(rest);
        }
        lines
    }

    /// Moves on to the file that was begun after the current one; false if there is none.
    fn open_next(&mut self) -> io::Result<bool> {
        let Some(current) = &self.current else { return Ok(false) };
        let inode = current.metadata()?.ino();
        let mut newer = None;
        for file in newest_first(&self.base) {
            let file = file?;
            if file.metadata()?.ino() == inode {
                break;
            }
            newer = Some(file);
        }
        // If the current one was rotated out of the kept ones while we read, this is the oldest.
        let Some(next) = newer else { return Ok(false) };
        self.begin(next);
        Ok(true)
    }

    fn open_oldest(&mut self) -> io::Result<()> {
        let oldest = newest_first(&self.base).last();
        if let Some(oldest) = oldest {
            self.begin(oldest?);
        }
        Ok(())
    }

    fn begin(&mut self, file: File) {
        self.current = Some(file);
        self.offset = 0;
        self.partial.clear();
    }
}

fn numbered(base: &Path, index: u32) -> PathBuf {
    match index {
        0 => base.to_owned(),
        n => {
            let mut name = base.as_os_str().to_owned();
            name.push(format!(".{n}"));
            PathBuf::from(name)
        }
    }
}

/// The files of a log. While it is rotated, one is missing for a moment.
fn newest_first(base: &Path) -> impl Iterator<Item = io::Result<File>> {
    let mut missing = 0;
    let files = (0..).map(|index| open(&numbered(base, index)).transpose());
    files
        .take_while(move |file| {
            missing += u32::from(file.is_none());
            missing < 2
        })
        .flatten()
}

fn open(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Where the last `wanted` lines of `file` begin, and how many there are, read from its end.
fn last_lines(file: &File, wanted: u64) -> io::Result<(u64, u64)> {
    let mut end = file.metadata()?.len();
    if wanted == 0 {
        return Ok((end, 0));
    }
    let mut found = 0;
    let mut chunk = vec![0; CHUNK];
    while end > 0 {
        let start = end.saturating_sub(CHUNK as u64);
        let length = usize::try_from(end - start).unwrap_or(CHUNK);
        file.read_exact_at(&mut chunk[..length], start)?;
        for (index, _) in chunk[..length].iter().enumerate().rev().filter(|(_, b)| **b == b'\n') {
            // Each newline ends a line; the one before the wanted lines is where they begin.
            if found == wanted {
                return Ok((start + index as u64 + 1, found));
            }
            found += 1;
        }
        end = start;
    }
    Ok((0, found))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Write as _;

    fn all(log: &mut LogFile) -> String {
        let mut lines = Vec::new();
        loop {
            let some = log.read().unwrap();
            if some.is_empty() {
                break;
            }
            lines.extend(some.into_iter().map(|line| String::from_utf8(line).unwrap()));
        }
        lines.join(" ")
    }

    fn rotate(base: &Path) {
        for index in (0..3).rev() {
            if numbered(base, index).exists() {
                fs::rename(numbered(base, index), numbered(base, index + 1)).unwrap();
            }
        }
    }

    #[test]
    fn files_are_read_oldest_first_and_tails_reach_across_them() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().join("x.log");
        for text in ["1\n2\n", "3\n4\n", "5\n6\n"] {
            rotate(&base);
            fs::write(&base, text).unwrap();
        }
        assert_eq!(all(&mut LogFile::at_start(&base).unwrap()), "1 2 3 4 5 6");
        for (count, lines) in [(0, ""), (1, "6"), (2, "5 6"), (3, "4 5 6"), (9, "1 2 3 4 5 6")] {
            assert_eq!(all(&mut LogFile::at_last(&base, count).unwrap()), lines, "{count}");
        }
    }

    #[test]
    fn following_survives_rotation_and_waits_for_whole_lines() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().join("x.log");
        let mut log = LogFile::at_start(&base).unwrap();
        assert_eq!(all(&mut log), "");
        fs::write(&base, "1\n2").unwrap();
        assert_eq!(all(&mut log), "1");
        fs::OpenOptions::new().append(true).open(&base).unwrap().write_all(b"2\n").unwrap();
        rotate(&base);
        fs::write(&base, "3\n").unwrap();
        rotate(&base);
        fs::write(&base, "4\n").unwrap();
        assert_eq!(all(&mut log), "22 3 4");
    }

    #[test]
    fn a_log_is_whole_in_the_middle_of_a_rotation() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().join("x.log");
        for text in ["1\n", "2\n"] {
            rotate(&base);
            fs::write(&base, text).unwrap();
        }
        rotate(&base);
        assert_eq!(all(&mut LogFile::at_start(&base).unwrap()), "1 2");
        assert_eq!(all(&mut LogFile::at_last(&base, 1).unwrap()), "2");
    }

    #[test]
    fn a_line_without_end_uses_no_memory_without_end() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().join("x.log");
        fs::write(&base, [vec![b'x'; 4 * LINE_MAX], b"\nok\n".to_vec()].concat()).unwrap();
        let mut log = LogFile::at_start(&base).unwrap();
        let lines = std::iter::from_fn(|| Some(log.read().unwrap()).filter(|l| !l.is_empty()));
        let lines: Vec<_> = lines.flatten().collect();
        assert!(lines.iter().all(|line| line.len() <= LINE_MAX));
        assert_eq!(lines.last().unwrap(), b"ok");
    }
}
