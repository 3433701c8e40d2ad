//! Waiting for a process: signals go to it, its terminal is ours, its end is our end.

mod relay;

use std::os::fd::{AsFd, OwnedFd};

use hull_container::launch::{Running, WindowSize};
use hull_sys::supervise::{Blocked, send};
use rustix::process::{Pid, WaitOptions, WaitStatus, wait, waitpid};
use rustix::termios::{tcgetwinsize, tcsetwinsize};

use crate::failure::{Doing, Failure};
use relay::Relay;

/// Signals that mean us and not the process: SIGCHLD, SIGPIPE, SIGURG.
const OURS: [i32; 3] = [17, 13, 23];
const CHILD: i32 = 17;
const WINDOW: i32 = 28;
/// Those that say that this very program is broken: SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE,
/// SIGSEGV, SIGSYS.
const FAULTS: [i32; 7] = [4, 5, 6, 7, 8, 11, 31];

/// Signals kept for the process; made before it, so that none is lost.
pub(crate) struct Foreground {
    signals: Blocked,
}

/// Whose ends are waited for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Reap {
    /// The process's.
    One,
    /// Also those of processes that lost their parents.
    All,
}

impl Foreground {
    /// From now on signals wait.
    pub(crate) fn begin() -> Result<Self, Failure> {
        Ok(Self { signals: Blocked::all_except(&FAULTS).doing("block signals")? })
    }

    /// Looks after `running` until it ends; gives its exit status, or 128 and the signal's number.
    pub(crate) fn wait(
        &self,
        running: &Running,
        terminal: Option<OwnedFd>,
        reap: Reap,
    ) -> Result<u8, Failure> {
        let relay = terminal.map(Relay::start).transpose()?;
        if let Some(relay) = &relay {
            resize(relay.terminal());
        }
        let status = loop {
            // First of all: it may have ended before anybody waited.
            if let Some(status) = ended(running.pid, reap)? {
                break status;
            }
            match self.signals.wait() {
                Ok(taken) if taken.signal == CHILD => {}
                Ok(taken) if taken.signal == WINDOW && relay.is_some() => {
                    relay.as_ref().map(Relay::terminal).into_iter().for_each(resize);
                }
                // Gone meanwhile is as good: the loop finds out.
                Ok(taken) if !OURS.contains(&taken.signal) => {
                    send(running.pidfd.as_fd(), taken.signal).unwrap_or_default();
                }
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error).doing("wait for signals"),
            }
        };
        if let Some(relay) = relay {
            relay.finish();
        }
        Ok(status)
    }
}

/// The size of our own terminal, if we have one.
pub(crate) fn window_size() -> WindowSize {
    tcgetwinsize(rustix::stdio::stdin()).map_or_else(
        |_no_terminal| WindowSize::default(),
        |size| WindowSize { rows: size.ws_row, columns: size.ws_col },
    )
}

fn resize(terminal: impl AsFd) {
    if let Ok(size) = tcgetwinsize(rustix::stdio::stdin()) {
        // A terminal of the wrong size is still a terminal.
        tcsetwinsize(terminal, size).unwrap_or_default();
    }
}

/// How `pid` ended, if it has.
fn ended(pid: Pid, reap: Reap) -> Result<Option<u8>, Failure> {
    loop {
        let found = match reap {
            Reap::One => waitpid(Some(pid), WaitOptions::NOHANG),
            // Not waitpid(None), which is for the caller's process group.
            Reap::All => wait(WaitOptions::NOHANG),
        };
        match found {
            Ok(None) => return Ok(None),
            Ok(Some((ended, status))) if ended == pid => return Ok(Some(code(status))),
            // An orphan.
            Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).doing("wait for the process"),
        }
    }
}

fn code(status: WaitStatus) -> u8 {
    let signal = status.terminating_signal().map(|signal| signal + 128);
    // Both are below 256 by their making.
    status.exit_status().or(signal).and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}
