//! The process's standard streams and its session.

use std::os::fd::{AsFd, OwnedFd};

use rustix::process::{ioctl_tiocsctty, setsid};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};

use crate::failure::{Doing, Failure};
use crate::launch::terminal;

/// Makes `streams` (input, output, errors) the process's own, in a session without terminal.
pub(crate) fn take(streams: &[OwnedFd]) -> Result<(), Failure> {
    let [stdin, stdout, stderr] = streams else {
        return Err(Failure::other(format!("{} streams were received, not 3", streams.len())));
    };
    start_session()?;
    connect(stdin, stdout, stderr)
}

/// Makes `terminal` all three, and the controlling terminal of a new session.
pub(crate) fn take_terminal(terminal: &OwnedFd) -> Result<(), Failure> {
    start_session()?;
    ioctl_tiocsctty(terminal).doing("take the terminal as controlling")?;
    connect(terminal, terminal, terminal)
}

/// Gives pipes and terminal to the user, who can then open `/dev/stdout`.
pub(crate) fn give(uid: u32) -> Result<(), Failure> {
    terminal::give(rustix::stdio::stdin(), uid, None)?;
    terminal::give(rustix::stdio::stdout(), uid, None)?;
    terminal::give(rustix::stdio::stderr(), uid, None)
}

fn start_session() -> Result<(), Failure> {
    setsid().doing("start a session").map(drop)
}

fn connect(stdin: impl AsFd, stdout: impl AsFd, stderr: impl AsFd) -> Result<(), Failure> {
    dup2_stdin(stdin).doing("connect standard input")?;
    dup2_stdout(stdout).doing("connect standard output")?;
    dup2_stderr(stderr).doing("connect standard error")
}
