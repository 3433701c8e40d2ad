//! Commands on networks.

use std::collections::BTreeMap;

use clap::Subcommand;
use serde::Deserialize;

use super::each::Failures;
use super::{filter, inspect, prune};
use crate::client::Client;
use crate::client::call::Call;
use crate::commands::container::list::short;
use crate::failure::Failure;
use crate::output;
use crate::output::format::{Column, Listing, lookup, row};
use crate::template::value::Value;

/// `hull network ...`.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Display detailed information on one or more networks
    Inspect(inspect::Named),
    /// List networks
    #[command(visible_alias = "list")]
    Ls(List),
    /// Remove all unused networks
    Prune(prune::Args),
    /// Remove one or more networks
    #[command(alias = "remove")]
    Rm(Remove),
}

/// Carries `hull network ...` out.
pub(crate) async fn run(client: &Client, command: Command) -> Result<(), Failure> {
    match command {
        Command::Inspect(args) => inspect::named(client, &args, inspect::Kind::Network).await,
        Command::Ls(args) => list(client, &args).await,
        Command::Prune(args) => prune::run(client, &args, prune::Subject::Networks).await,
        Command::Rm(args) => remove(client, &args).await,
    }
}

/// Flags of `network rm`.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Remove {
    /// Do not error if the network does not exist
    #[arg(short, long)]
    force: bool,
    /// Networks by name or id
    #[arg(value_name = "NETWORK", required = true)]
    names: Vec<String>,
}

async fn remove(client: &Client, args: &Remove) -> Result<(), Failure> {
    let mut failures = Failures::default();
    for name in &args.names {
        match client.bytes(Call::delete(&["networks", name])).await {
            Ok(_) => output::line(name)?,
            Err(error) if args.force && error.is_not_found() => output::talk(error),
            Err(error) => failures.tell(error),
        }
    }
    failures.end()
}

/// Flags of `network ls`.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct List {
    /// Provide filter values (e.g. "driver=bridge")
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = filter::parse)]
    filter: Vec<(String, String)>,
    /// Format output: 'table', 'table TEMPLATE', 'json' or a Go TEMPLATE
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Do not truncate the output
    #[arg(long)]
    no_trunc: bool,
    /// Only display network IDs
    #[arg(short, long)]
    quiet: bool,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Network {
    name: String,
    id: String,
    created: String,
    scope: String,
    driver: String,
    #[serde(rename = "EnableIPv4")]
    ipv4: bool,
    #[serde(rename = "EnableIPv6")]
    ipv6: bool,
    internal: bool,
    labels: Option<BTreeMap<String, String>>,
}

const COLUMNS: [Column; 9] = [
    ("CreatedAt", "CREATED AT"),
    ("Driver", "DRIVER"),
    ("ID", "NETWORK ID"),
    ("IPv4", "IPV4"),
    ("IPv6", "IPV6"),
    ("Internal", "INTERNAL"),
    ("Labels", "LABELS"),
    ("Name", "NAME"),
    ("Scope", "SCOPE"),
];

async fn list(client: &Client, args: &List) -> Result<(), Failure> {
    let call = Call::get(&["networks"]).query_given("filters", &filter::json(&args.filter));
    let mut networks: Vec<Network> = client.json(call).await?;
    networks.sort_by(|a, b| a.name.cmp(&b.name));
    if args.quiet && args.format.is_none() {
        for network in networks {
            output::line(short(&network.id, args.no_trunc))?;
        }
        return Ok(());
    }
    let rows = networks.into_iter().map(|network| cells(network, args.no_trunc)).collect();
    let shown = &["ID", "Name", "Driver", "Scope"];
    Listing { columns: &COLUMNS, shown, rows }.print(args.format.as_deref())
}

fn cells(network: Network, whole: bool) -> Value {
    let labels = network.labels.unwrap_or_default();
    let list: Vec<String> = labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
    let cells = vec![
        network.created,
        network.driver,
        short(&network.id, whole).to_owned(),
        network.ipv4.to_string(),
        network.ipv6.to_string(),
        network.internal.to_string(),
        list.join(","),
        network.name,
        network.scope,
    ];
    let mut row = row(&COLUMNS, cells);
    if let Value::Map(entries) = &mut row {
        entries.push(("Label".to_owned(), lookup(labels)));
    }
    row
}
