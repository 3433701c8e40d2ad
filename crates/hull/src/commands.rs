//! The commands, and which function carries each out.

pub(crate) mod container;
pub(crate) mod image;

use std::io;
use std::path::Path;

use clap::Subcommand;

use crate::cli::{Cli, Global};
use crate::client::Client;
use crate::client::connect::Connect;
use crate::client::host::Host;
use crate::client::tls::{Files, Tls};
use crate::daemon;
use crate::failure::Failure;
use crate::options::Surroundings;

/// Every top-level command.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create and run a new container from an image
    Run(container::run::Args),
    /// Create a new container
    Create(container::create::Args),
    /// Run the engine itself
    Daemon(daemon::Args),
}

/// Carries a command out.
///
/// # Errors
/// What is to be printed, and the exit status.
pub(crate) fn dispatch(cli: Cli) -> Result<(), Failure> {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Err(Failure::new(format!("start the async runtime: {error}"))),
    };
    let ended = runtime.block_on(async {
        let client = client(&cli.global)?;
        match cli.command {
            Command::Run(args) => container::run::run(&client, args).await,
            Command::Create(args) => container::create::run(&client, args).await,
            Command::Daemon(_) => Ok(()),
        }
    });
    // A thread may still sit in a read of standard input; nothing waits for it.
    runtime.shutdown_background();
    ended
}

/// The client for the daemon which flags and environment name.
fn client(global: &Global) -> Result<Client, Failure> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let verify = global.tlsverify || variable("DOCKER_TLS_VERIFY").is_some();
    let uses_tls = verify || global.tls || variable("DOCKER_TLS").is_some();
    let named =
        global.host.clone().or_else(|| variable("HULL_HOST")).or_else(|| variable("DOCKER_HOST"));
    let host = match named {
        Some(text) => Host::parse(&text, uses_tls).map_err(Failure::new)?,
        None => {
            let directory = variable("XDG_RUNTIME_DIR").map(std::path::PathBuf::from);
            Host::own(rustix::process::geteuid().is_root(), directory.as_deref())
        }
    };
    let tls = if uses_tls {
        let directory = variable("DOCKER_CERT_PATH")
            .map(Into::into)
            .or_else(|| global.config.clone())
            .unwrap_or_else(|| Path::new(&variable("HOME").unwrap_or_default()).join(".docker"));
        let file = |given: &Option<std::path::PathBuf>, name: &str| {
            given.clone().unwrap_or_else(|| directory.join(name))
        };
        Some(Tls::load(&Files {
            ca: file(&global.tlscacert, "ca.pem"),
            certificate: file(&global.tlscert, "cert.pem"),
            key: file(&global.tlskey, "key.pem"),
            verify,
        })?)
    } else {
        None
    };
    let version = variable("DOCKER_API_VERSION");
    Ok(Client::new(Connect { host, tls }, version.as_deref()))
}

/// Calls `work` with what the flags need to know of this machine.
fn with_surroundings<T>(work: impl FnOnce(&Surroundings<'_>) -> T) -> Result<T, Failure> {
    let directory = match std::env::current_dir() {
        Ok(directory) => directory,
        Err(error) => return Err(Failure::new(format!("find the working directory: {error}"))),
    };
    let read = |path: &Path| -> io::Result<String> { std::fs::read_to_string(path) };
    Ok(work(&Surroundings {
        directory: &directory,
        variable: &|name| std::env::var(name).ok(),
        read: &read,
    }))
}
