//! `hull daemon`: where the CLI ends and the daemon begins.

use std::process::ExitCode;

pub(crate) use hull_daemon::Flags as Args;

use crate::failure::{self, Failure};

/// Runs the daemon until it is told to end. It leaves the session itself when `--detached` says so.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    // It has told on standard error what went wrong.
    let ended = hull_daemon::main(args);
    if ended == ExitCode::SUCCESS { Ok(()) } else { Err(Failure::Status(failure::GENERAL)) }
}
