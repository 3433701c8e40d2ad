//! Process 1 of guests started with `--init`: `hull-init [--] COMMAND [ARG...]`.
//!
//! It starts the command in a process group of its own, in the foreground of the terminal if there
//! is one, passes every signal on to it, reaps whatever is orphaned, and ends as the command ended.
//! As long as it waits it is one thread asleep in one system call.

use std::ffi::OsString;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Command, ExitCode};

use hull_sys::supervise::{Blocked, Taken};
use rustix::process::{Pid, PidfdFlags, WaitOptions};

/// Signals that a fault in this very program raises; blocking them would hide the fault: `ILL`,
/// `TRAP`, `ABRT`, `BUS`, `FPE`, `SEGV`, `SYS` (`signal(7)`).
const FAULTS: [i32; 7] = [4, 5, 6, 7, 8, 11, 31];

/// `SIGCHLD`: not passed on, it tells of our own children.
const CHILD: i32 = 17;

/// `SIGTTIN` and `SIGTTOU`: the terminal telling us, and not the command, to stay away from it.
const BACKGROUND: [i32; 2] = [21, 22];

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1).peekable();
    // As tini, Docker's init, is called; a command of that name can still follow it.
    args.next_if(|arg| arg == "--");
    let Some(program) = args.next() else {
        return fail("usage: hull-init [--] COMMAND [ARG...]", 125);
    };
    let blocked = match Blocked::all_except(&FAULTS) {
        Ok(blocked) => blocked,
        Err(error) => return fail(&format!("block signals: {error}"), 125),
    };
    let (pid, pidfd) = match start(&program, args) {
        Ok(child) => child,
        Err(error) => {
            let code = if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 };
            return fail(&format!("execute {}: {error}", program.display()), code);
        }
    };
    loop {
        match blocked.wait() {
            Ok(Taken { signal: CHILD, .. }) => {
                if let Some(code) = reap(pid) {
                    return ExitCode::from(code);
                }
            }
            Ok(Taken { signal, .. }) if BACKGROUND.contains(&signal) => {}
            // One that has just ended needs no signal any more; its SIGCHLD is on the way.
            Ok(Taken { signal, .. }) => {
                hull_sys::supervise::send(pidfd.as_fd(), signal).unwrap_or_default();
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return fail(&format!("wait for a signal: {error}"), 125),
        }
    }
}

fn start(program: &OsString, args: impl Iterator<Item = OsString>) -> io::Result<(Pid, OwnedFd)> {
    #[expect(clippy::disallowed_methods, reason = "the command inherits everything, as exec would")]
    let mut command = Command::new(program);
    let child = hull_sys::supervise::lead_foreground(command.args(args)).spawn()?;
    let pid = Pid::from_child(&child);
    // Not reaped yet, so the number is still its own.
    Ok((pid, rustix::process::pidfd_open(pid, PidfdFlags::empty())?))
}

/// Reaps all that ended; gives the code to end with once `main` is among them.
fn reap(main: Pid) -> Option<u8> {
    let mut code = None;
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid == main => {
                let number = match (status.exit_status(), status.terminating_signal()) {
                    (Some(exit), _) => exit,
                    (None, signal) => 128 + signal.unwrap_or(0),
                };
                code = u8::try_from(number & 0xff).ok();
            }
            Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
            Ok(None) | Err(_) => return code,
        }
    }
}

fn fail(why: &str, code: u8) -> ExitCode {
    // There is nobody else to tell if standard error is closed.
    writeln!(io::stderr(), "hull-init: {why}").unwrap_or_default();
    ExitCode::from(code)
}
