//! hulld's face: sockets, HTTP, Docker's routes, hijacked streams, configuration, TLS.
//!
//! Translates and decides nothing: `hull-api` knows Docker's words, `hull-engine` does the work.

mod config;
mod engine;
mod http;
mod identities;
mod listen;
mod log;
mod notify;
mod pidfile;
mod roots;
mod routes;
mod run;
mod signals;

use std::io::Write as _;
use std::process::ExitCode;

pub use config::{Directives, Flags};

/// Is the daemon until a signal ends it: `hull daemon`.
///
/// Fails with 1 and a message on standard error. Guests that run keep running either way, unless
/// [`Flags::stop_guests`] is set.
#[must_use]
pub fn main(flags: &Flags) -> ExitCode {
    match run::run(flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Without a standard error nobody is there to be told.
            writeln!(std::io::stderr(), "hulld: {}", log::chain(&error)).ok();
            ExitCode::FAILURE
        }
    }
}
