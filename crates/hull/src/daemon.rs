//! `hull daemon`: where the CLI ends and the daemon begins.

/// Flags of the daemon.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Leave the terminal and the session: how the CLI starts its own daemon.
    #[arg(long, hide = true)]
    detached: bool,
}
