//! Commands on images.

pub(crate) mod archive;
pub(crate) mod bootstrap;
pub(crate) mod list;
pub(crate) mod pull;
pub(crate) mod tag;

use clap::Subcommand;

use super::{inspect, prune};
use crate::client::Client;
use crate::failure::Failure;

/// `hull image ...`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a base image from packages of this machine's distribution, without a registry
    Bootstrap(bootstrap::Args),
    /// Show the history of an image
    History(list::History),
    /// Import the contents from a tarball to create a filesystem image
    Import(archive::Import),
    /// Display detailed information on one or more images
    Inspect(inspect::Image),
    /// Load an image from a tar archive or STDIN
    Load(archive::Load),
    /// List images
    #[command(visible_alias = "list")]
    Ls(list::Args),
    /// Remove unused images
    Prune(prune::Args),
    /// Download an image from a registry
    Pull(pull::Args),
    /// Remove one or more images
    #[command(alias = "remove")]
    Rm(tag::Remove),
    /// Save one or more images to a tar archive (streamed to STDOUT by default)
    Save(archive::Save),
    /// Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE
    Tag(tag::Tag),
}

/// Carries `hull image ...` out.
pub(crate) async fn run(client: &Client, command: Command) -> Result<(), Failure> {
    match command {
        Command::Bootstrap(args) => bootstrap::run(client, &args).await,
        Command::History(args) => list::history(client, &args).await,
        Command::Import(args) => archive::import(client, &args).await,
        Command::Inspect(args) => inspect::images(client, &args).await,
        Command::Load(args) => archive::load(client, &args).await,
        Command::Ls(args) => list::run(client, &args).await,
        Command::Prune(args) => prune::run(client, &args, prune::Subject::Images).await,
        Command::Pull(args) => pull::run(client, &args).await,
        Command::Rm(args) => tag::remove(client, &args).await,
        Command::Save(args) => archive::save(client, &args).await,
        Command::Tag(args) => tag::tag(client, &args).await,
    }
}
