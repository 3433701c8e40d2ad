//! `stats`: what containers use, once or live, all of them in one request.

use std::io::IsTerminal as _;

use hull_api::own::stats::{AllStats, PATH, Stats};

use crate::client::call::Call;
use crate::client::lines::Values;
use crate::client::{Client, ClientError};
use crate::failure::Failure;
use crate::output::format::{Column, Listing, row};
use crate::output::{self, units};
use crate::template::value::Value;

/// Flags of `stats`.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// The containers by name or id [default: all that run]
    #[arg(value_name = "CONTAINER")]
    containers: Vec<String>,
    /// Show all containers (default shows just running)
    #[arg(short, long)]
    all: bool,
    /// Format output: 'table', 'table TEMPLATE', 'json' or a Go TEMPLATE
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Disable streaming stats and only pull the first result
    #[arg(long)]
    no_stream: bool,
    /// Do not truncate output
    #[arg(long)]
    no_trunc: bool,
}

const COLUMNS: [Column; 9] = [
    ("BlockIO", "BLOCK I/O"),
    ("CPUPerc", "CPU %"),
    ("Container", "CONTAINER"),
    ("ID", "CONTAINER ID"),
    ("MemPerc", "MEM %"),
    ("MemUsage", "MEM USAGE / LIMIT"),
    ("Name", "NAME"),
    ("NetIO", "NET I/O"),
    ("PIDs", "PIDS"),
];

const SHOWN: [&str; 8] =
    ["ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs"];

/// Home, and everything below it erased: the next table takes the place of the last one.
const AGAIN: &str = "\x1b[H\x1b[J";
/// The whole screen erased, before the first table.
const CLEAR: &str = "\x1b[2J";

/// Shows what containers use.
pub(crate) async fn run(client: &Client, args: &Args) -> Result<(), Failure> {
    let mut call = Call::get(&PATH).switch("all", args.all).switch("stream", !args.no_stream);
    for container in &args.containers {
        call = call.query("container", container);
    }
    let target = call.target.clone();
    if args.no_stream {
        let all: AllStats = client.json(call).await.map_err(understood)?;
        return show(&all, args);
    }
    let answer = client.stream(call).await.map_err(understood)?;
    let mut lines = Values::new(answer.into_body(), &target);
    let is_live = std::io::stdout().is_terminal();
    if is_live {
        output::text(CLEAR)?;
    }
    while let Some(all) = lines.next::<AllStats>().await? {
        if is_live {
            output::text(AGAIN)?;
        }
        show(&all, args)?;
    }
    Ok(())
}

/// Another engine than hull does not have the route.
fn understood(error: ClientError) -> Failure {
    if matches!(&error, ClientError::Refused { message, .. } if message.ends_with("page not found"))
    {
        return Failure::new(
            "this engine does not tell what all containers use at once: it is not hull, or an \
             older one; hint: docker stats asks for each container",
        );
    }
    error.into()
}

fn show(all: &AllStats, args: &Args) -> Result<(), Failure> {
    let rows = all.containers.iter().map(|stats| cells(stats, args)).collect();
    Listing { columns: &COLUMNS, shown: &SHOWN, rows }.print(args.format.as_deref())
}

fn cells(stats: &Stats, args: &Args) -> Value {
    let Stats { id, name, memory, .. } = stats;
    // As it was asked for, for scripts that look for that.
    let asked =
        args.containers.iter().find(|asked| *asked == name || id.starts_with(asked.as_str()));
    let short = if args.no_trunc { id.clone() } else { id.chars().take(12).collect() };
    let pair = |size: fn(i64) -> String, a: u64, b: u64| {
        let signed = |number| i64::try_from(number).unwrap_or(i64::MAX);
        format!("{} / {}", size(signed(a)), size(signed(b)))
    };
    row(
        &COLUMNS,
        vec![
            pair(units::size, stats.block.read, stats.block.written),
            format!("{:.2}%", stats.cpu.percent),
            asked.cloned().unwrap_or_else(|| short.clone()),
            short,
            format!("{:.2}%", percent(memory.used, memory.limit)),
            pair(units::memory, memory.used, memory.limit),
            name.clone(),
            pair(units::size, stats.received.bytes, stats.sent.bytes),
            stats.pids.current.to_string(),
        ],
    )
}

#[expect(clippy::cast_precision_loss, reason = "only two digits are shown")]
fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 * 100.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_dockers() {
        let text = r#"{"id":"0123456789abcdef","name":"web","interval":1,
            "cpu":{"percent":150.5,"total":1,"user":1,"system":0,"throttled":0},
            "memory":{"used":1048576,"charged":2,"limit":4194304},
            "received":{"bytes":1500,"packets":1,"errors":0,"dropped":0},
            "sent":{"bytes":0,"packets":0,"errors":0,"dropped":0},
            "block":{"read":0,"written":2000000},"pids":{"current":3}}"#;
        let stats: Stats = serde_json::from_str(text).unwrap();
        let args = Args {
            containers: vec!["0123".to_owned()],
            all: false,
            format: None,
            no_stream: true,
            no_trunc: false,
        };
        let shown = cells(&stats, &args);
        let cell = |name: &str| shown.get(name).map(ToString::to_string).unwrap_or_default();
        assert_eq!((cell("Container"), cell("ID")), ("0123".to_owned(), "0123456789ab".to_owned()));
        assert_eq!((cell("CPUPerc"), cell("MemPerc")), ("150.50%".to_owned(), "25.00%".to_owned()));
        assert_eq!(cell("MemUsage"), "1MiB / 4MiB");
        assert_eq!((cell("NetIO"), cell("BlockIO")), ("1.5kB / 0B".into(), "0B / 2MB".into()));
        assert_eq!((cell("Name"), cell("PIDs")), ("web".to_owned(), "3".to_owned()));
        assert!(percent(1, 0) < 0.1);
    }
}
