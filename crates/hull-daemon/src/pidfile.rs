//! The file with the daemon's process id, for scripts that want it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Removed when dropped.
#[derive(Debug)]
pub(crate) struct PidFile(PathBuf);

/// Why it cannot be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PidFileError {
    /// The daemon it names is alive.
    #[error("write the pid file {}: process {pid}, which it names, is running", path.display())]
    Running {
        /// The file.
        path: PathBuf,
        /// What it says.
        pid: i32,
    },
    /// A file operation failed.
    #[error("write the pid file {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl PidFile {
    /// Writes our process id to `path`, all at once.
    ///
    /// # Errors
    /// If it names another process that is alive, or cannot be written.
    pub(crate) fn write(path: &Path) -> Result<Self, PidFileError> {
        if let Some(pid) = living(path) {
            return Err(PidFileError::Running { path: path.to_owned(), pid });
        }
        let own = std::process::id();
        let mut new = path.as_os_str().to_owned();
        new.push(format!(".{own}"));
        let write = || {
            fs::write(&new, format!("{own}\n"))?;
            fs::rename(&new, path)
        };
        write().map_err(|source| PidFileError::File { path: path.to_owned(), source })?;
        Ok(Self(path.to_owned()))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "remove the pid file");
        }
    }
}

/// The process named by the file, if it is another one and alive.
fn living(path: &Path) -> Option<i32> {
    let pid = fs::read_to_string(path).ok()?.trim().parse::<i32>().ok()?;
    if pid <= 0 || u32::try_from(pid) == Ok(std::process::id()) {
        return None;
    }
    let process = rustix::process::Pid::from_raw(pid)?;
    let gone = rustix::process::test_kill_process(process) == Err(rustix::io::Errno::SRCH);
    (!gone).then_some(pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_for_as_long_as_we_live_and_never_over_a_living_process() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pid");
        for stale in ["", "garbage", "2147483647", "-1", "0"] {
            fs::write(&path, stale).unwrap();
            let file = PidFile::write(&path).unwrap();
            let text = fs::read_to_string(&path).unwrap();
            assert_eq!(text, format!("{}\n", std::process::id()));
            drop(file);
            assert!(!path.exists());
        }
        fs::write(&path, "1\n").unwrap();
        let refused = PidFile::write(&path).unwrap_err().to_string();
        assert!(refused.ends_with("process 1, which it names, is running"), "{refused}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "1\n");
    }
}
