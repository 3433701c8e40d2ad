//! `run`: create, attach, wait, start, stream, and leave with the guest's status.
//!
//! Attaching and waiting come before the start, so no output and no exit is missed; both go on
//! connections of their own at the same time.

use std::time::{SystemTime, UNIX_EPOCH};

use super::create::{self, Making};
use super::foreground::{Foreground, Subject, exit_status, leave_with};
use crate::attach::detach::Keys;
use crate::attach::terminal::{self, Raw};
use crate::attach::{self, End, Wiring};
use crate::client::Client;
use crate::client::call::Call;
use crate::failure::{ENGINE, Failure, start_status};
use crate::options::ContainerFlags;
use crate::output;
use crate::wire::create::CreateRequest;

/// Flags of `run`.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true, override_usage = "hull run [OPTIONS] IMAGE [COMMAND] [ARG...]")]
pub(crate) struct Args {
    /// Run container in background and print container ID
    #[arg(short, long)]
    detach: bool,
    /// Proxy received signals to the process
    #[arg(long, value_name = "BOOL", hide_possible_values = true, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    sig_proxy: bool,
    /// Override the key sequence for detaching a container
    #[arg(long, value_name = "KEYS", value_parser = Keys::parse)]
    detach_keys: Option<Keys>,
    #[command(flatten)]
    making: Making,
    #[command(flatten)]
    flags: ContainerFlags,
    /// The image, and the command to run in it
    #[arg(value_name = "IMAGE [COMMAND] [ARG...]", required = true, trailing_var_arg = true)]
    image_and_command: Vec<String>,
}

/// Runs a container.
pub(crate) async fn run(client: &Client, args: Args) -> Result<(), Failure> {
    let mut request = create::request(&args.flags, &args.image_and_command, "run")?;
    let attached = !args.detach;
    if attached {
        check_terminal(request.attach_stdin, request.tty)?;
    } else {
        if !args.flags.process.attach.is_empty() {
            let text = "conflicting options: cannot specify both --attach and --detach";
            return Err(Failure::of_command(text, ENGINE, "run"));
        }
        (request.attach_stdin, request.attach_stdout, request.attach_stderr) =
            (false, false, false);
        request.stdin_once = false;
    }
    create::console_size(&mut request);
    if matches!(request.image.as_str(), "hello" | "hello:latest") {
        request.env.get_or_insert_default().push(asked_at());
    }
    let plan = Plan::of(&request, &args);
    let id = create::make(client, &args.making, request).await.map_err(|e| e.told("run"))?;
    if attached {
        in_foreground(client, &id, plan).await
    } else {
        start(client, &id).await?;
        output::line(id)
    }
}

/// For the built-in image, which tells how long its start took: now is before the engine is
/// started, too.
fn asked_at() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("HULL_STARTED_AT={}", since.as_nanos())
}

/// What of the request is needed once the container exists.
struct Plan {
    stdin: bool,
    stdout: bool,
    stderr: bool,
    tty: bool,
    removes: bool,
    passes_signals: bool,
    keys: Option<Keys>,
}

impl Plan {
    fn of(request: &CreateRequest, args: &Args) -> Self {
        Self {
            stdin: request.attach_stdin,
            stdout: request.attach_stdout,
            stderr: request.attach_stderr,
            tty: request.tty,
            removes: request.host_config.auto_remove,
            passes_signals: args.sig_proxy,
            keys: args.detach_keys.clone(),
        }
    }
}

/// Refuses to give a guest a terminal to type into when we have none.
pub(super) fn check_terminal(stdin: bool, tty: bool) -> Result<(), Failure> {
    if stdin && tty && !terminal::input_is_terminal() {
        return Err(Failure::new("the input device is not a TTY"));
    }
    Ok(())
}

/// The request that connects to a container's streams.
fn attach_call(id: &str, plan: &Plan) -> Call {
    Call::post(&["containers", id, "attach"])
        .switch("stderr", plan.stderr)
        .switch("stdin", plan.stdin)
        .switch("stdout", plan.stdout)
        .switch("stream", true)
}

async fn in_foreground(client: &Client, id: &str, plan: Plan) -> Result<(), Failure> {
    let mut foreground =
        Foreground::new(client, Subject::Container(id), plan.tty, plan.passes_signals)?;
    let until = if plan.removes { "removed" } else { "next-exit" };
    let wait = Call::post(&["containers", id, "wait"]).query("condition", until);
    let attach = attach_call(id, &plan);
    let connected = tokio::try_join!(client.hijack(attach), client.stream(wait));
    let (streams, waiting) =
        connected.map_err(|error| Failure::of_command(&create::words(error), ENGINE, "run"))?;
    let waiting = waiting.into_body();
    // Raw before the start: the first key typed may already be for the guest.
    let raw = if plan.stdin && plan.tty { Raw::enter()? } else { None };
    if let Err(failure) = start(client, id).await {
        drop(raw);
        if plan.removes {
            // The engine removes it; leaving only then makes `--rm` true when we return.
            drop(exit_status(waiting).await);
        }
        return Err(failure);
    }
    if plan.tty {
        foreground.resize().await;
    }
    let wiring = Wiring {
        input: plan.stdin.then(|| plan.tty.then(|| plan.keys.clone().unwrap_or_default())),
        tty: plan.tty,
        output: plan.stdout || plan.stderr,
    };
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

/// Starts a container; a failure has the status Docker gives it.
async fn start(client: &Client, id: &str) -> Result<(), Failure> {
    match client.bytes(Call::post(&["containers", id, "start"])).await {
        Ok(_) => Ok(()),
        Err(error) => {
            let text = create::words(error);
            Err(Failure::of_command(&text, start_status(&text), "run"))
        }
    }
}
