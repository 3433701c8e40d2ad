//! Commands on volumes.

use std::collections::BTreeMap;

use clap::Subcommand;
use serde::{Deserialize, Serialize};

use super::{each, filter, inspect, prune};
use crate::client::Client;
use crate::client::call::Call;
use crate::failure::Failure;
use crate::options::parse;
use crate::output;
use crate::output::format::{Column, Listing, lookup, row};
use crate::template::value::Value;

/// `hull volume ...`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create a volume
    Create(Create),
    /// Display detailed information on one or more volumes
    Inspect(inspect::Named),
    /// List volumes
    #[command(visible_alias = "list")]
    Ls(List),
    /// Remove unused local volumes
    Prune(prune::Args),
    /// Remove one or more volumes
    #[command(alias = "remove")]
    Rm(Remove),
}

/// Carries `hull volume ...` out.
pub(crate) async fn run(client: &Client, command: Command) -> Result<(), Failure> {
    match command {
        Command::Create(args) => create(client, &args).await,
        Command::Inspect(args) => inspect::named(client, &args, inspect::Kind::Volume).await,
        Command::Ls(args) => list(client, &args).await,
        Command::Prune(args) => prune::run(client, &args, prune::Subject::Volumes).await,
        Command::Rm(args) => {
            each::name(client, &args.names, |name| {
                Call::delete(&["volumes", name]).switch("force", args.force)
            })
            .await
        }
    }
}

/// Flags of `volume create`.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Create {
    /// Specify volume driver name
    #[arg(short, long, value_name = "DRIVER", default_value = "local")]
    driver: String,
    /// Set metadata for a volume
    #[arg(long, value_name = "KEY=VALUE")]
    label: Vec<String>,
    /// Set driver specific options
    #[arg(short, long, value_name = "KEY=VALUE")]
    opt: Vec<String>,
    /// Its name; a random one when there is none
    #[arg(value_name = "VOLUME", default_value = "", hide_default_value = true)]
    name: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Request<'a> {
    driver: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    driver_opts: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
}

async fn create(client: &Client, args: &Create) -> Result<(), Failure> {
    let request = Request {
        driver: &args.driver,
        driver_opts: parse::map(&args.opt),
        labels: parse::map(&args.label),
        name: &args.name,
    };
    let volume: Volume = client.json(Call::post(&["volumes", "create"]).json(&request)?).await?;
    output::line(volume.name)
}

/// Flags of `volume rm`.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Remove {
    /// Force the removal of one or more volumes
    #[arg(short, long)]
    force: bool,
    /// Volumes by name
    #[arg(value_name = "VOLUME", required = true)]
    names: Vec<String>,
}

/// Flags of `volume ls`.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct List {
    /// Provide filter values (e.g. "dangling=true")
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = filter::parse)]
    filter: Vec<(String, String)>,
    /// Format output: 'table', 'table TEMPLATE', 'json' or a Go TEMPLATE
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Only display volume names
    #[arg(short, long)]
    quiet: bool,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Volumes {
    volumes: Option<Vec<Volume>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Volume {
    name: String,
    driver: String,
    mountpoint: String,
    scope: String,
    labels: Option<BTreeMap<String, String>>,
}

const COLUMNS: [Column; 5] = [
    ("Driver", "DRIVER"),
    ("Labels", "LABELS"),
    ("Mountpoint", "MOUNTPOINT"),
    ("Name", "VOLUME NAME"),
    ("Scope", "SCOPE"),
];

async fn list(client: &Client, args: &List) -> Result<(), Failure> {
    let call = Call::get(&["volumes"]).query_given("filters", &filter::json(&args.filter));
    let volumes = client.json::<Volumes>(call).await?.volumes;
    let mut volumes = volumes.unwrap_or_default();
    volumes.sort_by(|a, b| a.name.cmp(&b.name));
    if args.quiet && args.format.is_none() {
        for volume in volumes {
            output::line(volume.name)?;
        }
        return Ok(());
    }
    let rows = volumes.into_iter().map(cells).collect();
    Listing { columns: &COLUMNS, shown: &["Driver", "Name"], rows }.print(args.format.as_deref())
}

fn cells(volume: Volume) -> Value {
    let labels = volume.labels.unwrap_or_default();
    let list: Vec<String> = labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
    let cells = vec![volume.driver, list.join(","), volume.mountpoint, volume.name, volume.scope];
    let mut row = row(&COLUMNS, cells);
    if let Value::Map(entries) = &mut row {
        entries.push(("Label".to_owned(), lookup(labels)));
    }
    row
}
