//! Starting a shim, and ending one that is not wanted any more.

use std::io::{self, Read};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use hull_shim::plan::LISTENING;

/// The shim could not be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProgramError {
    /// A file operation.
    #[error("{doing} {}", path.display())]
    File {
        /// What was attempted.
        doing: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It said why it cannot work.
    #[error("the guest's shim did not start: {0}")]
    Refused(String),
}

/// FNV-1a, 64 bits: tells builds apart; nobody hostile chooses the content.
pub(crate) fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Starts the shim of `run_dir` and returns once its socket is there. Blocks.
///
/// Nothing of the daemon is inherited: no environment, no descriptor (all are close-on-exec), and
/// std starts it by `posix_spawn(3)`, which does not copy the daemon's memory.
pub(crate) fn start(program: BorrowedFd<'_>, run_dir: &Path) -> Result<Child, ProgramError> {
    // By descriptor: its mount has no path.
    let program = PathBuf::from(format!("/proc/self/fd/{}", program.as_raw_fd()));
    let failed = |doing| {
        let path = program.clone();
        move |source| ProgramError::File { doing, path, source }
    };
    // Whoever finds it locked knows that there is a shim, listening or not.
    let plan = hull_shim::plan::hold(run_dir).map_err(failed("lock the plan of"))?;
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where the engine starts a program; done as the lint's reason asks"
    )]
    let mut child = std::process::Command::new(&program)
        .arg(run_dir)
        .env_clear()
        .stdin(Stdio::from(plan))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed("execute"))?;
    let mut announced = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        let limit = LISTENING.len() as u64;
        stdout.take(limit).read_to_end(&mut announced).map_err(failed("listen to"))?;
    }
    if announced == LISTENING {
        // It has let go of its end, and has nothing more to say there.
        drop(child.stderr.take());
        return Ok(child);
    }
    let mut reason = String::new();
    if let Some(stderr) = child.stderr.take() {
        // What was read until a failure is as good a reason as any.
        stderr.take(4096).read_to_string(&mut reason).unwrap_or_default();
    }
    // It may hang where it should end: it has no guest yet, so nothing is lost.
    child.kill().map_err(failed("end"))?;
    child.wait().map_err(failed("reap"))?;
    Err(ProgramError::Refused(reason.trim().to_owned()))
}

/// Ends a shim that this daemon started, and with it its guest. Blocks.
pub(crate) fn end(mut child: Child) {
    // One that has ended already cannot be killed, only reaped.
    child.kill().unwrap_or_default();
    if let Err(error) = child.wait() {
        tracing::warn!(%error, "cannot reap a shim");
    }
}

/// Ends the shim that listens in `run_dir`, if there is one: a guest nobody knows.
pub(crate) fn end_of(run_dir: &Path) {
    let Ok(stream) = hull_shim::client::connect(run_dir) else { return };
    if let Ok(peer) = rustix::net::sockopt::socket_peercred(&stream) {
        kill(peer.pid);
    }
}

/// Kills a process that was seen alive a moment ago.
pub(crate) fn kill(pid: rustix::process::Pid) {
    match rustix::process::kill_process(pid, rustix::process::Signal::KILL) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => {}
        Err(error) => tracing::warn!(?pid, %error, "cannot end a shim"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn a_program_that_gives_up_tells_its_reason() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(hull_shim::plan::PLAN_FILE), "").unwrap();
        // It cannot print a directory.
        let cat = std::fs::File::open("/bin/cat").unwrap();
        let error = start(cat.as_fd(), dir.path()).unwrap_err().to_string();
        assert!(error.starts_with("the guest's shim did not start: "), "{error}");
        assert!(error.contains("directory"), "{error}");
    }
}
