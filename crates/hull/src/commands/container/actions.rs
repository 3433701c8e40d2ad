//! Commands that do one thing to each named container.

use serde::Deserialize;

use crate::client::Client;
use crate::client::call::Call;
use crate::commands::each::{self, Failures};
use crate::failure::Failure;
use crate::output;

/// Containers by name or id.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Names {
    /// Containers by name or id
    #[arg(value_name = "CONTAINER", required = true)]
    names: Vec<String>,
}

/// Flags of `stop` and `restart`.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Stop {
    /// Signal to send to the container
    #[arg(short, long, value_name = "SIGNAL", default_value = "", hide_default_value = true)]
    signal: String,
    /// Seconds to wait before killing the container
    #[arg(
        short,
        long,
        visible_alias = "time",
        value_name = "SECONDS",
        allow_negative_numbers = true
    )]
    timeout: Option<i64>,
    #[command(flatten)]
    names: Names,
}

/// Stops or restarts.
pub(crate) async fn stop(client: &Client, args: &Stop, action: &str) -> Result<(), Failure> {
    let timeout = args.timeout.map(|seconds| seconds.to_string()).unwrap_or_default();
    each::name(client, &args.names.names, |name| {
        Call::post(&["containers", name, action])
            .query_given("signal", &args.signal)
            .query_given("t", &timeout)
    })
    .await
}

/// Flags of `kill`.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Kill {
    /// Signal to send to the container
    #[arg(short, long, value_name = "SIGNAL", default_value = "", hide_default_value = true)]
    signal: String,
    #[command(flatten)]
    names: Names,
}

/// Sends a signal.
pub(crate) async fn kill(client: &Client, args: &Kill) -> Result<(), Failure> {
    each::name(client, &args.names.names, |name| {
        Call::post(&["containers", name, "kill"]).query_given("signal", &args.signal)
    })
    .await
}

/// Pauses or resumes.
pub(crate) async fn simple(client: &Client, args: &Names, action: &str) -> Result<(), Failure> {
    each::name(client, &args.names, |name| Call::post(&["containers", name, action])).await
}

/// Flags of `rm`.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Remove {
    /// Force the removal of a running container (uses SIGKILL)
    #[arg(short, long)]
    force: bool,
    /// Remove the specified link
    #[arg(short, long)]
    link: bool,
    /// Remove anonymous volumes associated with the container
    #[arg(short, long)]
    volumes: bool,
    #[command(flatten)]
    names: Names,
}

/// Removes containers.
pub(crate) async fn remove(client: &Client, args: &Remove) -> Result<(), Failure> {
    let mut failures = Failures::default();
    for name in &args.names.names {
        let call = Call::delete(&["containers", name.trim_start_matches('/')])
            .switch("force", args.force)
            .switch("link", args.link)
            .switch("v", args.volumes);
        match client.bytes(call).await {
            Ok(_) => output::line(name)?,
            // With --force it is enough that it is not there.
            Err(error) if args.force && error.is_not_found() => output::talk(error),
            Err(error) => failures.tell(error),
        }
    }
    failures.end()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Waited {
    status_code: i64,
}

/// Waits for containers to stop and prints their exit statuses.
pub(crate) async fn wait(client: &Client, args: &Names) -> Result<(), Failure> {
    let mut failures = Failures::default();
    for name in &args.names {
        match client.json::<Waited>(Call::post(&["containers", name, "wait"])).await {
            Ok(waited) => output::line(waited.status_code)?,
            Err(error) => failures.tell(error),
        }
    }
    failures.end()
}

/// Flags of `rename`.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Rename {
    /// The container by name or id
    #[arg(value_name = "CONTAINER")]
    container: String,
    /// Its new name
    #[arg(value_name = "NEW_NAME")]
    name: String,
}

/// Renames a container.
pub(crate) async fn rename(client: &Client, args: &Rename) -> Result<(), Failure> {
    let call = Call::post(&["containers", &args.container, "rename"]).query("name", &args.name);
    client.bytes(call).await?;
    Ok(())
}
