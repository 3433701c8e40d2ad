//! `diff`, `export` and `commit`: what a container made of its image's files.

use std::path::PathBuf;

use serde::Deserialize;

use crate::client::Client;
use crate::client::call::Call;
use crate::commands::image::archive::write_to;
use crate::failure::Failure;
use crate::output;

/// The container of `diff`.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Diff {
    /// Container by name or id
    #[arg(value_name = "CONTAINER")]
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Change {
    path: String,
    kind: u8,
}

/// Lists what changed.
pub(crate) async fn diff(client: &Client, args: &Diff) -> Result<(), Failure> {
    let call = Call::get(&["containers", &args.name, "changes"]);
    let changes: Option<Vec<Change>> = client.json(call).await?;
    for Change { path, kind } in changes.unwrap_or_default() {
        let letter = match kind {
            0 => "C",
            1 => "A",
            2 => "D",
            _ => "?",
        };
        output::line(format_args!("{letter} {path}"))?;
    }
    Ok(())
}

/// Flags of `export`.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Export {
    /// Write to a file, instead of STDOUT
    #[arg(short, long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    output: Option<PathBuf>,
    /// Container by name or id
    #[arg(value_name = "CONTAINER")]
    name: String,
}

/// Writes a container's files as an archive.
pub(crate) async fn export(client: &Client, args: &Export) -> Result<(), Failure> {
    let call = Call::get(&["containers", &args.name, "export"]);
    write_to(client, call, args.output.as_deref(), "export").await
}

/// Flags of `commit`.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Commit {
    /// Author (e.g., "John Hannibal Smith <hannibal@a-team.com>")
    #[arg(short, long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    author: String,
    /// Apply Dockerfile instruction to the created image
    #[arg(short, long, value_name = "INSTRUCTION")]
    change: Vec<String>,
    /// Commit message
    #[arg(short, long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    message: String,
    /// Pause container during commit
    #[arg(
        short,
        long,
        value_name = "BOOL",
        default_value = "true",
        default_missing_value = "true",
        num_args = 0..=1,
        require_equals = true,
        action = clap::ArgAction::Set,
        hide_default_value = true
    )]
    pause: bool,
    /// Disable container pause during commit
    #[arg(long, conflicts_with = "pause")]
    no_pause: bool,
    /// Container by name or id
    #[arg(value_name = "CONTAINER")]
    name: String,
    /// The name of the image
    #[arg(value_name = "REPOSITORY[:TAG]", default_value = "", hide_default_value = true)]
    image: String,
}

/// Makes an image of a container and prints its id.
pub(crate) async fn commit(client: &Client, args: &Commit) -> Result<(), Failure> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Made {
        id: String,
    }
    let mut call = Call::post(&["commit"]).query("container", &args.name);
    for change in &args.change {
        call = call.query("changes", change);
    }
    let call = call
        .query_given("author", &args.author)
        .query_given("comment", &args.message)
        .query_given("repo", &args.image)
        .query("pause", if args.pause && !args.no_pause { "1" } else { "0" });
    let made: Made = client.json(call).await?;
    output::line(made.id)
}
