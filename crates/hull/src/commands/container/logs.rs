//! `logs`.

use jiff::Timestamp;
use serde::Deserialize;

use crate::attach;
use crate::client::Client;
use crate::client::call::Call;
use crate::failure::Failure;
use crate::output::times;

/// Flags of `logs`.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// Show extra details provided to logs
    #[arg(long)]
    details: bool,
    /// Follow log output
    #[arg(short, long)]
    follow: bool,
    /// Show logs since timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m")
    #[arg(long, value_name = "TIME", default_value = "", hide_default_value = true)]
    since: String,
    /// Show logs before a timestamp or relative time
    #[arg(long, value_name = "TIME", default_value = "", hide_default_value = true)]
    until: String,
    /// Number of lines to show from the end of the logs
    #[arg(
        short = 'n',
        long,
        value_name = "LINES",
        default_value = "all",
        allow_negative_numbers = true
    )]
    tail: String,
    /// Show timestamps
    #[arg(short, long)]
    timestamps: bool,
    /// The container by name or id
    #[arg(value_name = "CONTAINER")]
    container: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    config: Config,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    #[serde(default)]
    tty: bool,
}

/// Prints what a container wrote.
pub(crate) async fn run(client: &Client, args: &Args) -> Result<(), Failure> {
    let now = Timestamp::now();
    let time = |flag: &str, text: &str| {
        times::point(text, now)
            .map_err(|why| Failure::new(format!("invalid value for {flag:?}: {why}")))
    };
    // Whether the output is framed depends on the terminal the guest has.
    let inspect = Call::get(&["containers", &args.container, "json"]);
    let Inspected { config: Config { tty } } = client.json(inspect).await?;
    let call = Call::get(&["containers", &args.container, "logs"])
        .switch("details", args.details)
        .switch("follow", args.follow)
        .query_given("since", &time("since", &args.since)?)
        .switch("stderr", true)
        .switch("stdout", true)
        .query("tail", &args.tail)
        .switch("timestamps", args.timestamps)
        .query_given("until", &time("until", &args.until)?);
    let answer = client.stream(call).await?;
    attach::copy_answer(answer.into_body(), tty).await
}
