//! Hearing of a guest that ran out of memory, at once and without looking again and again.

use std::fs;
use std::io::{self, Read, Seek};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::event::{EventfdFlags, PollFlags};

use super::{Cgroup, CgroupError, Directory};

/// Tells when the kernel finds no memory for something in the guest, its first process or another.
///
/// To be dropped before the cgroup is removed: the kernel reports that in the same way.
#[derive(Debug)]
pub enum OomWatch {
    /// v1: an eventfd that counts the times.
    Counter(OwnedFd),
    /// v2: `memory.events`, and how many were killed when it was last read.
    Events(fs::File, u64),
}

impl Cgroup {
    /// Begins to watch. `None` where no memory controller is.
    pub fn watch_oom(&self) -> Result<Option<OomWatch>, CgroupError> {
        if let Some(memory) = self.v1("memory").map(Directory::full) {
            return counter(&memory).map(Some);
        }
        let Some(path) = self.unified().map(|at| at.full().join("memory.events")) else {
            return Ok(None);
        };
        match fs::File::open(&path) {
            Ok(mut file) => {
                let kills = kills(&mut file).map_err(failed("read", &path))?;
                Ok(Some(OomWatch::Events(file, kills)))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("open", &path)(error)),
        }
    }
}

/// Registers an eventfd (`Documentation/admin-guide/cgroup-v1/memory.rst`, section 10).
fn counter(memory: &Path) -> Result<OomWatch, CgroupError> {
    let control = memory.join("memory.oom_control");
    let watched = fs::File::open(&control).map_err(failed("open", &control))?;
    let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
    let events = rustix::event::eventfd(0, flags)
        .map_err(|error| failed("make an eventfd for", &control)(error.into()))?;
    let path = memory.join("cgroup.event_control");
    let line = format!("{} {}", events.as_raw_fd(), watched.as_raw_fd());
    let written = fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .and_then(|mut file| io::Write::write_all(&mut file, line.as_bytes()));
    written.map_err(failed("register with", &path))?;
    Ok(OomWatch::Counter(events))
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CgroupError {
    let path = PathBuf::from(path);
    move |source| CgroupError::Path { doing, path, source }
}

impl OomWatch {
    /// What to wait for.
    pub fn waiting(&self) -> (BorrowedFd<'_>, PollFlags) {
        match self {
            Self::Counter(events) => (events.as_fd(), PollFlags::IN),
            Self::Events(file, _) => (file.as_fd(), PollFlags::PRI),
        }
    }

    /// Whether it happened since the last call. A cgroup that cannot be read any more has ended.
    pub fn happened(&mut self) -> bool {
        match self {
            Self::Counter(events) => {
                // Nothing to read is an error of the nonblocking descriptor.
                rustix::io::read(&*events, &mut [0; 8]).is_ok()
            }
            Self::Events(file, before) => {
                let Ok(now) = kills(file) else { return false };
                now > std::mem::replace(before, now)
            }
        }
    }
}

fn kills(file: &mut fs::File) -> io::Result<u64> {
    let mut text = String::new();
    file.rewind()?;
    file.take(4096).read_to_string(&mut text)?;
    let line = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
    Ok(line.and_then(|count| count.trim().parse().ok()).unwrap_or(0))
}
