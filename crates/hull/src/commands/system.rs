//! Commands on the engine itself.

pub(crate) mod disk;
pub(crate) mod events;
pub(crate) mod info;
pub(crate) mod version;

use clap::Subcommand;

use crate::client::Client;
use crate::failure::Failure;

/// `hull system ...`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show disk usage
    Df(disk::Args),
    /// Get real time events from the server
    Events(events::Args),
    /// Display system-wide information
    Info(info::Args),
}

/// Carries `hull system ...` out.
pub(crate) async fn run(client: &Client, command: Command) -> Result<(), Failure> {
    match command {
        Command::Df(args) => disk::run(client, &args).await,
        Command::Events(args) => events::run(client, &args).await,
        Command::Info(args) => info::run(client, &args).await,
    }
}
