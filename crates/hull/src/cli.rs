//! The command line as a whole: global flags, the tree of commands, and how mistakes are told.

pub(crate) mod booleans;
pub(crate) mod documents;
pub(crate) mod help;
pub(crate) mod mistake;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, CommandFactory as _, FromArgMatches as _, Parser};

use crate::commands::Command;
use crate::failure::Failure;

/// One engine for containers, system containers and virtual machines
#[derive(Debug, Parser)]
#[command(
    name = "hull",
    version,
    disable_version_flag = true,
    disable_help_subcommand = true,
    arg_required_else_help = true,
    // As with Docker: of a flag given twice the last counts.
    args_override_self = true,
    max_term_width = 100
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The flags before the command: which daemon, and how it is reached.
#[derive(Debug, clap::Args)]
pub(crate) struct Global {
    /// Daemon socket to connect to: unix:///path or tcp://host:port [default: HULL_HOST, DOCKER_HOST, or hull's own, started on demand]
    #[arg(short = 'H', long, value_name = "URL")]
    pub(crate) host: Option<String>,
    /// Enable debug mode
    #[arg(short = 'D', long)]
    pub(crate) debug: bool,
    /// Set the logging level ("debug", "info", "warn", "error", "fatal")
    #[arg(short, long, value_name = "LEVEL", default_value = "info")]
    pub(crate) log_level: String,
    /// Location of client certificates
    #[arg(long, value_name = "DIRECTORY", env = "DOCKER_CONFIG", hide_env = true)]
    pub(crate) config: Option<PathBuf>,
    /// Use TLS; implied by --tlsverify
    #[arg(long)]
    pub(crate) tls: bool,
    /// Trust certs signed only by this CA
    #[arg(long, value_name = "FILE")]
    pub(crate) tlscacert: Option<PathBuf>,
    /// Path to TLS certificate file
    #[arg(long, value_name = "FILE")]
    pub(crate) tlscert: Option<PathBuf>,
    /// Path to TLS key file
    #[arg(long, value_name = "FILE")]
    pub(crate) tlskey: Option<PathBuf>,
    /// Use TLS and verify the remote
    #[arg(long)]
    pub(crate) tlsverify: bool,
    /// Print version information and quit
    #[arg(short, long, action = ArgAction::Version)]
    version: Option<bool>,
}

/// The definition everything is made of: parsing, help, completion and man pages.
pub(crate) fn definition() -> clap::Command {
    Cli::command()
}

/// Reads the command line.
///
/// # Errors
/// Help, version and mistakes, as what is to be printed.
pub(crate) fn parse(arguments: Vec<OsString>) -> Result<Cli, Failure> {
    let mut definition = definition();
    let arguments = booleans::normalize(&definition, arguments);
    if asks_for_help(&arguments) {
        // Only then: grouping the commands costs more than parsing.
        let template = help::template(&definition);
        definition = definition.help_template(template);
    }
    let parsed = definition.try_get_matches_from_mut(&arguments);
    parsed
        .and_then(|matches| Cli::from_arg_matches(&matches))
        .map_err(|error| mistake::failure(&error, &mut definition, &arguments))
}

/// Whether the top help may be printed: there is no command, or a flag asks for it.
fn asks_for_help(arguments: &[OsString]) -> bool {
    let first = arguments.iter().skip(1).find(|a| !a.to_string_lossy().starts_with('-'));
    first.is_none()
}
