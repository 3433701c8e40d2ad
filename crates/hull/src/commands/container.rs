//! Commands on containers.

pub(crate) mod actions;
pub(crate) mod copy;
pub(crate) mod create;
pub(crate) mod exec;
pub(crate) mod explain;
pub(crate) mod files;
pub(crate) mod foreground;
pub(crate) mod list;
pub(crate) mod logs;
pub(crate) mod ports;
pub(crate) mod run;
pub(crate) mod start;
pub(crate) mod stats;
pub(crate) mod top;
pub(crate) mod update;

use clap::Subcommand;

use super::{inspect, prune};
use crate::client::Client;
use crate::failure::Failure;

/// The commands there are both as `hull X` and `hull container X`.
#[derive(Debug, Subcommand)]
pub(crate) enum Shared {
    /// Attach local standard input, output, and error streams to a running container
    Attach(start::Attach),
    /// Create a new image from a container's changes
    Commit(files::Commit),
    /// Copy files/folders between a container and the local filesystem
    Cp(copy::Args),
    /// Create a new container
    Create(Box<create::Args>),
    /// Inspect changes to files or directories on a container's filesystem
    Diff(files::Diff),
    /// Execute a command in a running container
    Exec(exec::Args),
    /// Explain what separates a container from its host, and why
    Explain(explain::Args),
    /// Export a container's filesystem as a tar archive
    Export(files::Export),
    /// Kill one or more running containers
    Kill(actions::Kill),
    /// Fetch the logs of a container
    Logs(logs::Args),
    /// Pause all processes within one or more containers
    Pause(actions::Names),
    /// List port mappings or a specific mapping for the container
    Port(top::Port),
    /// Rename a container
    Rename(actions::Rename),
    /// Restart one or more containers
    Restart(actions::Stop),
    /// Remove one or more containers
    #[command(alias = "remove")]
    Rm(actions::Remove),
    /// Create and run a new container from an image
    Run(Box<run::Args>),
    /// Start one or more stopped containers
    Start(start::Start),
    /// Display a live stream of container(s) resource usage statistics
    Stats(stats::Args),
    /// Stop one or more running containers
    Stop(actions::Stop),
    /// Display the running processes of a container
    Top(top::Top),
    /// Unpause all processes within one or more containers
    Unpause(actions::Names),
    /// Update configuration of one or more containers
    Update(Box<update::Update>),
    /// Block until one or more containers stop, then print their exit codes
    Wait(actions::Names),
}

/// `hull container ...`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[command(flatten)]
    Shared(Shared),
    /// Display detailed information on one or more containers
    Inspect(inspect::Container),
    /// List containers
    #[command(visible_aliases = ["list", "ps"])]
    Ls(list::Args),
    /// Remove all stopped containers
    Prune(prune::Args),
}

/// Carries a shared command out.
pub(crate) async fn shared(client: &Client, command: Shared) -> Result<(), Failure> {
    match command {
        Shared::Attach(args) => start::attach(client, args).await,
        Shared::Commit(args) => files::commit(client, &args).await,
        Shared::Cp(args) => copy::run(client, &args).await,
        Shared::Create(args) => create::run(client, *args).await,
        Shared::Diff(args) => files::diff(client, &args).await,
        Shared::Export(args) => files::export(client, &args).await,
        Shared::Exec(args) => exec::run(client, args).await,
        Shared::Explain(args) => explain::run(client, &args).await,
        Shared::Kill(args) => actions::kill(client, &args).await,
        Shared::Logs(args) => logs::run(client, &args).await,
        Shared::Pause(args) => actions::simple(client, &args, "pause").await,
        Shared::Port(args) => top::port(client, &args).await,
        Shared::Rename(args) => actions::rename(client, &args).await,
        Shared::Restart(args) => actions::stop(client, &args, "restart").await,
        Shared::Rm(args) => actions::remove(client, &args).await,
        Shared::Run(args) => run::run(client, *args).await,
        Shared::Start(args) => start::start(client, args).await,
        Shared::Stats(args) => stats::run(client, &args).await,
        Shared::Stop(args) => actions::stop(client, &args, "stop").await,
        Shared::Top(args) => top::top(client, &args).await,
        Shared::Unpause(args) => actions::simple(client, &args, "unpause").await,
        Shared::Update(args) => update::update(client, &args).await,
        Shared::Wait(args) => actions::wait(client, &args).await,
    }
}

/// Carries `hull container ...` out.
pub(crate) async fn run(client: &Client, command: Command) -> Result<(), Failure> {
    match command {
        Command::Shared(command) => shared(client, command).await,
        Command::Inspect(args) => inspect::containers(client, &args).await,
        Command::Ls(args) => list::run(client, &args).await,
        Command::Prune(args) => prune::run(client, &args, prune::Subject::Containers).await,
    }
}
