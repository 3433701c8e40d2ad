//! `ps`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;

use super::ports::{Port, ports};
use crate::client::Client;
use crate::client::call::Call;
use crate::commands::filter;
use crate::failure::Failure;
use crate::output::format::{Column, Listing, lookup, row};
use crate::output::{self, times, units};
use crate::template::value::Value;

/// Flags of `ps`.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// Show all containers (default shows just running)
    #[arg(short, long)]
    all: bool,
    /// Filter output based on conditions provided
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = filter::parse)]
    filter: Vec<(String, String)>,
    /// Format output: 'table', 'table TEMPLATE', 'json' or a Go TEMPLATE
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Show n last created containers (includes all states)
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = -1, hide_default_value = true, allow_negative_numbers = true)]
    last: i64,
    /// Show the latest created container (includes all states)
    #[arg(short, long)]
    latest: bool,
    /// Don't truncate output
    #[arg(long)]
    no_trunc: bool,
    /// Only display container IDs
    #[arg(short, long)]
    quiet: bool,
    /// Display total file sizes
    #[arg(short, long)]
    size: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[derive(Default)]
struct Container {
    id: String,
    names: Option<Vec<String>>,
    image: String,
    #[serde(rename = "ImageID")]
    image_id: String,
    command: String,
    created: i64,
    ports: Option<Vec<Port>>,
    size_rw: i64,
    size_root_fs: i64,
    labels: Option<BTreeMap<String, String>>,
    state: String,
    status: String,
    network_settings: Networks,
    mounts: Option<Vec<Mount>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Networks {
    networks: Option<BTreeMap<String, serde::de::IgnoredAny>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Mount {
    name: String,
    source: String,
    driver: String,
}

const COLUMNS: [Column; 14] = [
    ("Command", "COMMAND"),
    ("CreatedAt", "CREATED AT"),
    ("ID", "CONTAINER ID"),
    ("Image", "IMAGE"),
    ("Labels", "LABELS"),
    ("LocalVolumes", "LOCAL VOLUMES"),
    ("Mounts", "MOUNTS"),
    ("Names", "NAMES"),
    ("Networks", "NETWORKS"),
    ("Ports", "PORTS"),
    ("RunningFor", "CREATED"),
    ("Size", "SIZE"),
    ("State", "STATE"),
    ("Status", "STATUS"),
];

/// Lists containers.
pub(crate) async fn run(client: &Client, args: &Args) -> Result<(), Failure> {
    let format = args.format.as_deref();
    let with_size = args.size || format.is_some_and(|format| format.contains(".Size"));
    let last = if args.latest { 1 } else { args.last };
    let limit = if last > 0 { last.to_string() } else { String::new() };
    let call = Call::get(&["containers", "json"])
        .switch("all", args.all)
        .query_given("filters", &filter::json(&args.filter))
        .query_given("limit", &limit)
        .switch("size", with_size);
    let containers: Vec<Container> = client.json(call).await?;
    if args.quiet && format.is_none_or(|format| format == "table") {
        for container in containers {
            output::line(short(&container.id, args.no_trunc))?;
        }
        return Ok(());
    }
    let now = Timestamp::now();
    let rows = containers.iter().map(|c| cells(c, args.no_trunc, now)).collect();
    let mut shown = vec!["ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names"];
    if args.size {
        shown.push("Size");
    }
    Listing { columns: &COLUMNS, shown: &shown, rows }.print(format)
}

/// The first twelve digits of an id, as everywhere in Docker.
pub(crate) fn short(id: &str, whole: bool) -> &str {
    if whole {
        return id;
    }
    let digits = id.split_once(':').map_or(id, |(_, digits)| digits);
    digits.get(..12).unwrap_or(digits)
}

/// The text, cut to so many characters with an ellipsis as the last.
pub(crate) fn ellipsis(text: &str, length: usize) -> String {
    if text.chars().count() <= length {
        return text.to_owned();
    }
    text.chars().take(length.saturating_sub(1)).chain(['…']).collect()
}

fn cells(container: &Container, whole: bool, now: Timestamp) -> Value {
    let labels = container.labels.clone().unwrap_or_default();
    let label_list: Vec<String> = labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
    let command = if whole { container.command.clone() } else { ellipsis(&container.command, 20) };
    let mounts = container.mounts.as_deref().unwrap_or_default();
    let mount_names: Vec<String> = mounts
        .iter()
        .map(|mount| {
            let name = if mount.name.is_empty() { &mount.source } else { &mount.name };
            if whole { name.clone() } else { ellipsis(name, 15) }
        })
        .collect();
    let networks: Vec<&str> =
        container.network_settings.networks.iter().flatten().map(|(name, _)| &**name).collect();
    let mut size = units::size(container.size_rw);
    if container.size_root_fs > 0 {
        size = format!("{size} (virtual {})", units::size(container.size_root_fs));
    }
    let cells = vec![
        format!("{command:?}"),
        times::local(container.created),
        short(&container.id, whole).to_owned(),
        image(container, whole),
        label_list.join(","),
        mounts.iter().filter(|mount| mount.driver == "local").count().to_string(),
        mount_names.join(","),
        names(container, whole),
        networks.join(","),
        ports(container.ports.as_deref().unwrap_or_default()),
        times::ago(container.created, now),
        size,
        container.state.clone(),
        container.status.clone(),
    ];
    let mut row = row(&COLUMNS, cells);
    if let Value::Map(entries) = &mut row {
        entries.push(("Label".to_owned(), lookup(labels)));
    }
    row
}

/// The image's name, or its short id when the container was made of an id.
fn image(container: &Container, whole: bool) -> String {
    let image = container.image.as_str();
    if image.is_empty() {
        return "<no image>".to_owned();
    }
    let is_id = container.image_id.strip_prefix("sha256:").is_some_and(|id| id.starts_with(image));
    if whole {
        image.to_owned()
    } else if is_id || image.starts_with("sha256:") {
        short(image, false).to_owned()
    } else {
        image.split_once('@').map_or(image, |(name, _)| name).to_owned()
    }
}

/// The names; those another container links to it by only in full.
fn names(container: &Container, whole: bool) -> String {
    let names = container.names.as_deref().unwrap_or_default();
    let stripped = names.iter().map(|name| name.strip_prefix('/').unwrap_or(name));
    let shown: Vec<&str> = stripped.filter(|name| whole || !name.contains('/')).collect();
    shown.join(",")
}
