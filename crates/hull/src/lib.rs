//! The CLI of hull: Docker's words and flags, a client of the Docker Engine API.
//!
//! The same program is the daemon, as `hull daemon` or under the name `hulld`, and an OCI runtime, as
//! `hull runtime` or under the names `hull-runtime` and `runc`.

mod attach;
mod bootstrap;
mod cli;
mod client;
mod commands;
mod daemon;
mod failure;
mod options;
mod output;
mod reference;
mod template;
mod wire;

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;

use failure::Failure;

/// Runs the program with the process's own arguments.
#[must_use]
pub fn main() -> ExitCode {
    let mut arguments: Vec<OsString> = std::env::args_os().collect();
    let called = arguments.first().and_then(|name| Path::new(name).file_name());
    // First of all: who calls a runtime counts milliseconds.
    let is_runtime = |name: &OsStr| hull_runtime::NAMES.iter().any(|known| name == *known);
    if called.is_some_and(is_runtime) {
        return ExitCode::from(hull_runtime::main(arguments.split_off(1)));
    }
    if arguments.get(1).is_some_and(|word| word == "runtime") {
        return ExitCode::from(hull_runtime::main(arguments.split_off(2)));
    }
    if called.is_some_and(|name| name == "hulld") {
        arguments.splice(..1, ["hull".into(), "daemon".into()]);
    }
    match cli::parse(arguments).and_then(commands::dispatch) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Status(status)) => ExitCode::from(status),
        Err(Failure::Message { text, status }) => {
            output::talk(text);
            ExitCode::from(status)
        }
    }
}
