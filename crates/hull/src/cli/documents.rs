//! Completion scripts and man pages, made from the same definition as parsing and help.

use std::path::PathBuf;

use clap_complete::Shell;

use crate::failure::Failure;
use crate::output;

/// Flags of `completion`.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Completion {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Prints the completion script of a shell.
pub(crate) fn completion(args: &Completion) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::definition(), "hull", &mut script);
    output::text(String::from_utf8_lossy(&script))
}

/// Flags of `man`.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Man {
    /// Where the pages are written
    #[arg(value_name = "DIRECTORY", value_hint = clap::ValueHint::DirPath)]
    directory: PathBuf,
}

/// Writes one page per command.
pub(crate) fn man(args: &Man) -> Result<(), Failure> {
    let directory = &args.directory;
    clap_mangen::generate_to(super::definition(), directory).map_err(|error| {
        Failure::new(format!("write man pages into {}: {error}", directory.display()))
    })
}
