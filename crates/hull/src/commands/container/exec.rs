//! `exec`: another process in a running container.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::foreground::{Foreground, Subject, leave_with};
use super::run::check_terminal;
use crate::attach::detach::Keys;
use crate::attach::terminal::{self, Raw};
use crate::attach::{self, End, Wiring};
use crate::client::Client;
use crate::client::call::Call;
use crate::commands::with_surroundings;
use crate::failure::{ENGINE, Failure, start_status};
use crate::options::process;
use crate::output;

/// Flags of `exec`.
#[derive(Debug, clap::Args)]
#[group(skip)]
#[command(override_usage = "hull exec [OPTIONS] CONTAINER COMMAND [ARG...]")]
pub(crate) struct Args {
    /// Detached mode: run command in the background
    #[arg(short, long)]
    detach: bool,
    /// Override the key sequence for detaching a container
    #[arg(long, value_name = "KEYS")]
    detach_keys: Option<String>,
    /// Set environment variables
    #[arg(short, long, value_name = "NAME[=VALUE]", value_parser = process::variable)]
    env: Vec<String>,
    /// Read in a file of environment variables
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    env_file: Vec<PathBuf>,
    /// Keep STDIN open even if not attached
    #[arg(short, long)]
    interactive: bool,
    /// Give extended privileges to the command
    #[arg(long)]
    privileged: bool,
    /// Allocate a pseudo-TTY
    #[arg(short, long)]
    tty: bool,
    /// Username or UID
    #[arg(
        short,
        long,
        value_name = "NAME|UID[:GROUP|GID]",
        default_value = "",
        hide_default_value = true
    )]
    user: String,
    /// Working directory inside the container
    #[arg(short, long, value_name = "DIRECTORY", default_value = "", hide_default_value = true)]
    workdir: String,
    /// The container, and the command to run in it
    #[arg(value_name = "CONTAINER COMMAND [ARG...]", required = true, num_args = 2.., trailing_var_arg = true)]
    container_and_command: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Create<'a> {
    user: &'a str,
    privileged: bool,
    tty: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    console_size: Option<[u16; 2]>,
    attach_stdin: bool,
    attach_stderr: bool,
    attach_stdout: bool,
    detach: bool,
    detach_keys: &'a str,
    env: Option<Vec<String>>,
    working_dir: &'a str,
    cmd: &'a [String],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Start {
    detach: bool,
    tty: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    console_size: Option<[u16; 2]>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Created {
    id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Ended {
    #[serde(default)]
    exit_code: Option<i64>,
}

/// Runs a command in a container.
pub(crate) async fn run(client: &Client, args: Args) -> Result<(), Failure> {
    let [container, command @ ..] = args.container_and_command.as_slice() else {
        return Err(Failure::new("hull: a container and a command are needed"));
    };
    if !args.detach {
        check_terminal(args.interactive, args.tty)?;
    }
    let keys = args.detach_keys.as_deref().map(Keys::parse).transpose().map_err(Failure::new)?;
    let environment =
        with_surroundings(|around| process::environment(&args.env, &args.env_file, around))?;
    let environment = environment.map_err(|text| Failure::of_command(&text, ENGINE, "exec"))?;
    let has_window = args.tty && !args.detach && std::io::stdout().is_terminal();
    let console_size =
        terminal::size().filter(|_| has_window).map(|(rows, columns)| [rows, columns]);
    let create = Create {
        user: &args.user,
        privileged: args.privileged,
        tty: args.tty,
        console_size,
        attach_stdin: args.interactive && !args.detach,
        attach_stderr: !args.detach,
        attach_stdout: !args.detach,
        detach: args.detach,
        detach_keys: args.detach_keys.as_deref().unwrap_or_default(),
        env: (!environment.is_empty()).then_some(environment),
        working_dir: &args.workdir,
        cmd: command,
    };
    let call = Call::post(&["containers", container, "exec"]).json(&create)?;
    let Created { id } = client.json(call).await?;
    let start = Start { detach: args.detach, tty: args.tty, console_size };
    let call = Call::post(&["exec", &id, "start"]).json(&start)?;
    if args.detach {
        client.bytes(call).await.map_err(not_started)?;
        return Ok(());
    }
    let mut foreground = Foreground::new(client, Subject::Exec(&id), args.tty, false)?;
    let raw = if args.interactive && args.tty { Raw::enter()? } else { None };
    let streams = client.hijack(call).await.map_err(not_started)?;
    if args.tty && console_size.is_none() {
        foreground.resize().await;
    }
    let wiring = Wiring {
        input: args.interactive.then(|| args.tty.then(|| keys.unwrap_or_default())),
        tty: args.tty,
        output: true,
    };
    let ended = foreground.alongside(attach::pump(streams, wiring)).await??;
    drop(raw);
    if ended == End::Detached {
        return Ok(());
    }
    let ended: Ended = client.json(Call::get(&["exec", &id, "json"])).await?;
    match ended.exit_code {
        Some(status) => leave_with(status),
        None => {
            output::talk("the command's streams ended while it still runs");
            Ok(())
        }
    }
}

/// An exec that could not start has the status of a command that could not.
fn not_started(error: crate::client::ClientError) -> Failure {
    let text = super::create::words(error);
    let status = start_status(&text);
    Failure::Message { text, status: if status == ENGINE { 1 } else { status } }
}
