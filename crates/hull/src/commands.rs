//! The commands, and which function carries each out.

pub(crate) mod container;
pub(crate) mod each;
pub(crate) mod filter;
pub(crate) mod image;
pub(crate) mod inspect;
pub(crate) mod network;
pub(crate) mod prune;
pub(crate) mod system;
pub(crate) mod volume;

use std::io;
use std::path::Path;

use clap::Subcommand;

use crate::cli::documents;
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
    #[command(flatten)]
    Remote(Remote),
    #[command(flatten)]
    Local(Local),
}

/// What is done by the engine.
#[derive(Debug, Subcommand)]
pub(crate) enum Remote {
    #[command(flatten)]
    Shared(container::Shared),
    /// List containers
    Ps(container::list::Args),
    /// List images
    Images(image::list::Args),
    /// Download an image from a registry
    Pull(image::pull::Args),
    /// Show the versions of hull and of the engine it talks to
    Version(system::version::Args),
    /// Display system-wide information
    Info(system::info::Args),
    /// Get real time events from the server
    Events(system::events::Args),
    /// Show the history of an image
    History(image::list::History),
    /// Import the contents from a tarball to create a filesystem image
    Import(image::archive::Import),
    /// Return low-level information on objects
    Inspect(inspect::Any),
    /// Load an image from a tar archive or STDIN
    Load(image::archive::Load),
    /// Remove one or more images
    Rmi(image::tag::Remove),
    /// Save one or more images to a tar archive (streamed to STDOUT by default)
    Save(image::archive::Save),
    /// Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE
    Tag(image::tag::Tag),
    /// Manage containers
    #[command(subcommand)]
    Container(container::Command),
    /// Manage images
    #[command(subcommand)]
    Image(image::Command),
    /// Manage networks
    #[command(subcommand)]
    Network(network::Command),
    /// Manage volumes
    #[command(subcommand)]
    Volume(volume::Command),
    /// Manage hull
    #[command(subcommand)]
    System(system::Command),
}

/// What is done here.
#[derive(Debug, Subcommand)]
pub(crate) enum Local {
    /// Run the engine itself
    Daemon(Box<daemon::Args>),
    /// Make and run containers of OCI bundles, with runc's words
    #[command(disable_help_flag = true)]
    Runtime(Words),
    /// Generate the completion script for a shell
    Completion(documents::Completion),
    /// Write the man pages into a directory
    #[command(hide = true)]
    Man(documents::Man),
}

/// What is for `hull_runtime` to read: it has come first already unless flags of ours were before it.
#[derive(Debug, clap::Args)]
pub(crate) struct Words {
    /// Commands and flags of runc; `hull runtime --help` tells them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<std::ffi::OsString>,
}

/// Carries a command out.
///
/// # Errors
/// What is to be printed, and the exit status.
pub(crate) fn dispatch(cli: Cli) -> Result<(), Failure> {
    match cli.command {
        Command::Remote(command) => with_client(&cli.global, command),
        Command::Local(Local::Daemon(args)) => daemon::run(&args),
        Command::Local(Local::Runtime(Words { words })) => match hull_runtime::main(words) {
            0 => Ok(()),
            status => Err(Failure::Status(status)),
        },
        Command::Local(Local::Completion(args)) => documents::completion(&args),
        Command::Local(Local::Man(args)) => documents::man(&args),
    }
}

/// Carries out a command that needs the engine.
fn with_client(global: &Global, command: Remote) -> Result<(), Failure> {
    let client = client(global)?;
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Err(Failure::new(format!("start the async runtime: {error}"))),
    };
    let ended = runtime.block_on(run(&client, command));
    // A thread may still sit in a read of standard input; nothing waits for it.
    runtime.shutdown_background();
    ended
}

async fn run(client: &Client, command: Remote) -> Result<(), Failure> {
    match command {
        // Boxed: these are the large ones, and the others should not pay for them.
        Remote::Shared(command) => Box::pin(container::shared(client, command)).await,
        Remote::Container(command) => Box::pin(container::run(client, command)).await,
        Remote::Image(command) => Box::pin(image::run(client, command)).await,
        Remote::Network(command) => network::run(client, command).await,
        Remote::Volume(command) => volume::run(client, command).await,
        Remote::System(command) => system::run(client, command).await,
        Remote::Ps(args) => container::list::run(client, &args).await,
        Remote::Images(args) => image::list::run(client, &args).await,
        Remote::Pull(args) => image::pull::run(client, &args).await,
        Remote::Version(args) => system::version::run(client, &args).await,
        Remote::Info(args) => system::info::run(client, &args).await,
        Remote::Events(args) => system::events::run(client, &args).await,
        Remote::History(args) => image::list::history(client, &args).await,
        Remote::Import(args) => image::archive::import(client, &args).await,
        Remote::Inspect(args) => inspect::any(client, &args).await,
        Remote::Load(args) => image::archive::load(client, &args).await,
        Remote::Rmi(args) => image::tag::remove(client, &args).await,
        Remote::Save(args) => image::archive::save(client, &args).await,
        Remote::Tag(args) => image::tag::tag(client, &args).await,
    }
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
