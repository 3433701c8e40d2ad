//! `system df`.

use serde::Deserialize;

use crate::client::Client;
use crate::client::call::Call;
use crate::commands::container::list::short;
use crate::failure::Failure;
use crate::output::format::{Column, Listing, row};
use crate::output::{self, table, units};

/// Flags of `system df`.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// Format output: 'table', 'table TEMPLATE', 'json' or a Go TEMPLATE
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Show detailed information on space usage
    #[arg(short, long)]
    verbose: bool,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Usage {
    layers_size: i64,
    images: Option<Vec<Image>>,
    containers: Option<Vec<Container>>,
    volumes: Option<Vec<Volume>>,
    build_cache: Option<Vec<Cache>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Image {
    id: String,
    repo_tags: Option<Vec<String>>,
    size: i64,
    shared_size: i64,
    containers: i64,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Container {
    id: String,
    names: Option<Vec<String>>,
    image: String,
    state: String,
    size_rw: i64,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Volume {
    name: String,
    usage_data: Option<VolumeUsage>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct VolumeUsage {
    size: i64,
    ref_count: i64,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Cache {
    size: i64,
    in_use: bool,
    shared: bool,
}

const COLUMNS: [Column; 5] = [
    ("Type", "TYPE"),
    ("TotalCount", "TOTAL"),
    ("Active", "ACTIVE"),
    ("Size", "SIZE"),
    ("Reclaimable", "RECLAIMABLE"),
];

/// Prints what uses how much of the disk.
pub(crate) async fn run(client: &Client, args: &Args) -> Result<(), Failure> {
    let usage: Usage = client.json(Call::get(&["system", "df"])).await?;
    if args.verbose && args.format.is_none() {
        return output::text(details(&usage));
    }
    let rows = summary(&usage)
        .into_iter()
        .map(|kind| {
            let share = match kind.size {
                ..=0 => String::new(),
                size => format!(" ({}%)", kind.reclaimable.saturating_mul(100) / size),
            };
            row(
                &COLUMNS,
                vec![
                    kind.name.to_owned(),
                    kind.total.to_string(),
                    kind.active.to_string(),
                    units::size(kind.size),
                    units::size(kind.reclaimable) + &share,
                ],
            )
        })
        .collect();
    let shown = &["Type", "TotalCount", "Active", "Size", "Reclaimable"];
    Listing { columns: &COLUMNS, shown, rows }.print(args.format.as_deref())
}

struct Kind {
    name: &'static str,
    total: usize,
    active: usize,
    size: i64,
    reclaimable: i64,
}

fn summary(usage: &Usage) -> [Kind; 4] {
    let (images, containers) = (usage.images.iter().flatten(), usage.containers.iter().flatten());
    let (volumes, caches) = (usage.volumes.iter().flatten(), usage.build_cache.iter().flatten());
    // What is negative was not counted by the engine.
    let own = |image: &Image| image.size.saturating_sub(image.shared_size.max(0)).max(0);
    let is_active = |state: &str| matches!(state, "running" | "paused" | "restarting");
    let size = |volume: &Volume| volume.usage_data.as_ref().map_or(0, |u| u.size.max(0));
    let is_used = |volume: &Volume| volume.usage_data.as_ref().is_some_and(|u| u.ref_count > 0);
    let used: i64 = images.clone().filter(|image| image.containers > 0).map(own).sum();
    [
        Kind {
            name: "Images",
            total: images.clone().count(),
            active: images.clone().filter(|image| image.containers > 0).count(),
            size: usage.layers_size,
            reclaimable: usage.layers_size.saturating_sub(used).max(0),
        },
        Kind {
            name: "Containers",
            total: containers.clone().count(),
            active: containers.clone().filter(|c| is_active(&c.state)).count(),
            size: containers.clone().map(|c| c.size_rw).sum(),
            reclaimable: containers.filter(|c| !is_active(&c.state)).map(|c| c.size_rw).sum(),
        },
        Kind {
            name: "Local Volumes",
            total: volumes.clone().count(),
            active: volumes.clone().filter(|volume| is_used(volume)).count(),
            size: volumes.clone().map(size).sum(),
            reclaimable: volumes.filter(|volume| !is_used(volume)).map(size).sum(),
        },
        Kind {
            name: "Build Cache",
            total: caches.clone().count(),
            active: caches.clone().filter(|cache| cache.in_use).count(),
            size: caches.clone().filter(|cache| !cache.shared).map(|cache| cache.size).sum(),
            reclaimable: caches.filter(|c| !c.in_use && !c.shared).map(|cache| cache.size).sum(),
        },
    ]
}

/// One line for each image, container and volume.
fn details(usage: &Usage) -> String {
    let section = |heading: &str, columns: &str, rows: Vec<String>| {
        let lines: Vec<String> =
            std::iter::once(columns.to_owned())
                .chain(rows.iter().map(|row| {
                    row.split('\t').map(table::printable).collect::<Vec<_>>().join("\t")
                }))
                .collect();
        format!("{heading}\n\n{}\n", table::align(&lines))
    };
    let images = usage.images.iter().flatten().map(|image| {
        let name = image.repo_tags.iter().flatten().next().map_or("<none>:<none>", |tag| tag);
        let (id, size) = (short(&image.id, false), units::size(image.size));
        format!(
            "{name}\t{id}\t{size}\t{}\t{}",
            units::size(image.shared_size.max(0)),
            image.containers
        )
    });
    let containers = usage.containers.iter().flatten().map(|container| {
        let name = container.names.iter().flatten().next().map_or("", |name| name);
        let (id, size) = (short(&container.id, false), units::size(container.size_rw));
        format!(
            "{id}\t{}\t{size}\t{}\t{}",
            container.image,
            container.state,
            name.trim_start_matches('/')
        )
    });
    let volumes = usage.volumes.iter().flatten().map(|volume| {
        let none = VolumeUsage::default();
        let used = volume.usage_data.as_ref().unwrap_or(&none);
        format!("{}\t{}\t{}", volume.name, used.ref_count, units::size(used.size.max(0)))
    });
    section(
        "Images space usage:",
        "IMAGE\tIMAGE ID\tSIZE\tSHARED SIZE\tCONTAINERS",
        images.collect(),
    ) + &section(
        "Containers space usage:",
        "CONTAINER ID\tIMAGE\tSIZE\tSTATUS\tNAMES",
        containers.collect(),
    ) + &section("Local Volumes space usage:", "VOLUME NAME\tLINKS\tSIZE", volumes.collect())
}
