//! `hull daemon`: where the CLI ends and the daemon begins.

use crate::failure::Failure;

/// Flags of the daemon.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// Leave the terminal and the session: how the CLI starts its own daemon
    #[arg(long, hide = true)]
    detached: bool,
}

/// Runs the daemon until it is told to end.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    if args.detached {
        // Ours is a fresh child, so it leads no group and may start a session.
        rustix::process::setsid()?;
    }
    Err(Failure::new("this build has no daemon"))
}
