//! `start` and `attach`.

use serde::Deserialize;

use super::create;
use super::foreground::{Foreground, Subject, exit_status, leave_with};
use super::run::check_terminal;
use crate::attach::detach::Keys;
use crate::attach::terminal::Raw;
use crate::attach::{self, End, Wiring};
use crate::client::Client;
use crate::client::call::Call;
use crate::commands::each;
use crate::failure::{Failure, start_status};

/// Flags of `start`.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Start {
    /// Attach STDOUT/STDERR and forward signals
    #[arg(short, long)]
    attach: bool,
    /// Attach container's STDIN
    #[arg(short, long)]
    interactive: bool,
    /// Override the key sequence for detaching a container
    #[arg(long, value_name = "KEYS", value_parser = Keys::parse)]
    detach_keys: Option<Keys>,
    /// Restore from this checkpoint
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    checkpoint: String,
    /// Containers by name or id
    #[arg(value_name = "CONTAINER", required = true)]
    names: Vec<String>,
}

/// Flags of `attach`.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Attach {
    /// Do not attach STDIN
    #[arg(long)]
    no_stdin: bool,
    /// Proxy all received signals to the process
    #[arg(long, value_name = "BOOL", hide_possible_values = true, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    sig_proxy: bool,
    /// Override the key sequence for detaching a container
    #[arg(long, value_name = "KEYS", value_parser = Keys::parse)]
    detach_keys: Option<Keys>,
    /// The container by name or id
    #[arg(value_name = "CONTAINER")]
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    id: String,
    config: Config,
    host_config: HostConfig,
    state: State,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    #[serde(default)]
    tty: bool,
    #[serde(default)]
    open_stdin: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HostConfig {
    #[serde(default)]
    auto_remove: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct State {
    #[serde(default)]
    running: bool,
    #[serde(default)]
    paused: bool,
    #[serde(default)]
    restarting: bool,
}

/// Starts containers, perhaps connected to one of them.
pub(crate) async fn start(client: &Client, args: Start) -> Result<(), Failure> {
    if !(args.attach || args.interactive) {
        return each::name(client, &args.names, |name| {
            Call::post(&["containers", name, "start"]).query_given("checkpoint", &args.checkpoint)
        })
        .await;
    }
    let [name] = args.names.as_slice() else {
        return Err(Failure::new("you cannot start and attach multiple containers at once"));
    };
    let container: Inspected = client.json(Call::get(&["containers", name, "json"])).await?;
    let stdin = args.interactive && container.config.open_stdin;
    let tty = container.config.tty;
    check_terminal(stdin, tty)?;
    let id = container.id.as_str();
    let mut foreground = Foreground::new(client, Subject::Container(id), tty, true)?;
    let until = if container.host_config.auto_remove { "removed" } else { "next-exit" };
    let wait = Call::post(&["containers", id, "wait"]).query("condition", until);
    let (streams, waiting) =
        tokio::try_join!(client.hijack(attach_call(id, stdin)), client.stream(wait))?;
    let waiting = waiting.into_body();
    let raw = if stdin && tty { Raw::enter()? } else { None };
    let call = Call::post(&["containers", id, "start"]).query_given("checkpoint", &args.checkpoint);
    if let Err(error) = client.bytes(call).await {
        let text = create::words(error);
        let status = start_status(&text);
        return Err(Failure::Message { text, status: if status == 125 { 1 } else { status } });
    }
    if tty {
        foreground.resize().await;
    }
    let wiring = wiring(stdin, tty, args.detach_keys);
    let status = foreground
        .alongside(async {
            match attach::pump(streams, wiring).await? {
                End::Closed => exit_status(waiting).await,
                End::Detached => Ok(0),
            }
        })
        .await?;
    drop(raw);
    leave_with(status?)
}

fn attach_call(id: &str, stdin: bool) -> Call {
    Call::post(&["containers", id, "attach"])
        .switch("stderr", true)
        .switch("stdin", stdin)
        .switch("stdout", true)
        .switch("stream", true)
}

fn wiring(stdin: bool, tty: bool, keys: Option<Keys>) -> Wiring {
    Wiring { input: stdin.then(|| tty.then(|| keys.unwrap_or_default())), tty, output: true }
}

/// Connects to a running container.
pub(crate) async fn attach(client: &Client, args: Attach) -> Result<(), Failure> {
    let container: Inspected = client.json(Call::get(&["containers", &args.name, "json"])).await?;
    let state = &container.state;
    if !state.running {
        return Err(Failure::new("cannot attach to a stopped container, start it first"));
    }
    if state.paused {
        return Err(Failure::new("cannot attach to a paused container, unpause it first"));
    }
    if state.restarting {
        return Err(Failure::new(
            "cannot attach to a restarting container, wait until it is running",
        ));
    }
    let stdin = !args.no_stdin && container.config.open_stdin;
    let tty = container.config.tty;
    check_terminal(stdin, tty)?;
    let id = container.id.as_str();
    let mut foreground = Foreground::new(client, Subject::Container(id), tty, args.sig_proxy)?;
    let wait = Call::post(&["containers", id, "wait"]);
    let (streams, waiting) =
        tokio::try_join!(client.hijack(attach_call(id, stdin)), client.stream(wait))?;
    let raw = if stdin && tty { Raw::enter()? } else { None };
    if tty {
        foreground.resize().await;
    }
    let wiring = wiring(stdin, tty, args.detach_keys);
    let status = foreground
        .alongside(async {
            match attach::pump(streams, wiring).await? {
                End::Closed => exit_status(waiting.into_body()).await,
                End::Detached => Ok(0),
            }
        })
        .await?;
    drop(raw);
    leave_with(status?)
}
