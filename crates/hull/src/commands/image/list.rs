//! `images` and `history`.

use std::collections::BTreeMap;

use hyper::Method;
use jiff::Timestamp;
use serde::Deserialize;

use crate::client::Client;
use crate::client::call::Call;
use crate::commands::container::list::{ellipsis, short};
use crate::commands::filter;
use crate::failure::Failure;
use crate::output::format::{Column, Listing, lookup, row};
use crate::output::{self, times, units};
use crate::template::value::Value;

/// Flags of `images`.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// Show all images (default hides intermediate images)
    #[arg(short, long)]
    all: bool,
    /// Show digests
    #[arg(long)]
    digests: bool,
    /// Filter output based on conditions provided
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = filter::parse)]
    filter: Vec<(String, String)>,
    /// Format output: 'table', 'table TEMPLATE', 'json' or a Go TEMPLATE
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Don't truncate output
    #[arg(long)]
    no_trunc: bool,
    /// Only show image IDs
    #[arg(short, long)]
    quiet: bool,
    /// Only images of this name
    #[arg(value_name = "REPOSITORY[:TAG]")]
    name: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Image {
    id: String,
    repo_tags: Option<Vec<String>>,
    repo_digests: Option<Vec<String>>,
    created: i64,
    size: i64,
    shared_size: i64,
    containers: i64,
    labels: Option<BTreeMap<String, String>>,
}

const COLUMNS: [Column; 11] = [
    ("Containers", "CONTAINERS"),
    ("CreatedAt", "CREATED AT"),
    ("CreatedSince", "CREATED"),
    ("Digest", "DIGEST"),
    ("ID", "IMAGE ID"),
    ("Repository", "REPOSITORY"),
    ("SharedSize", "SHARED SIZE"),
    ("Size", "SIZE"),
    ("Tag", "TAG"),
    ("UniqueSize", "UNIQUE SIZE"),
    ("VirtualSize", "VIRTUAL SIZE"),
];

/// Lists images.
pub(crate) async fn run(client: &Client, args: &Args) -> Result<(), Failure> {
    let mut filters = args.filter.clone();
    filters.extend(args.name.iter().map(|name| ("reference".to_owned(), name.clone())));
    let call = Call::get(&["images", "json"])
        .switch("all", args.all)
        .query_given("filters", &filter::json(&filters));
    let images: Vec<Image> = client.json(call).await?;
    let format = args.format.as_deref();
    let mut names: Vec<(&Image, Name)> =
        images.iter().flat_map(|image| Name::all(image).map(move |name| (image, name))).collect();
    if args.quiet && format.is_none_or(|format| format == "table") {
        names.dedup_by_key(|(image, _)| image.id.clone());
        for (image, _) in names {
            output::line(short(&image.id, args.no_trunc))?;
        }
        return Ok(());
    }
    let now = Timestamp::now();
    let rows = names.iter().map(|(image, name)| cells(image, name, args.no_trunc, now)).collect();
    let shown: &[&str] = if args.digests {
        &["Repository", "Tag", "Digest", "ID", "CreatedSince", "Size"]
    } else {
        &["Repository", "Tag", "ID", "CreatedSince", "Size"]
    };
    Listing { columns: &COLUMNS, shown, rows }.print(format)
}

/// One name of an image; an image has a line for each.
struct Name {
    repository: String,
    tag: String,
    digest: String,
}

const NONE: &str = "<none>";

impl Name {
    fn all(image: &Image) -> impl Iterator<Item = Self> {
        let digests: BTreeMap<&str, &str> =
            image.repo_digests.iter().flatten().filter_map(|text| text.split_once('@')).collect();
        let tagged: Vec<Self> = image
            .repo_tags
            .iter()
            .flatten()
            .filter(|text| *text != "<none>:<none>")
            .filter_map(|text| text.rsplit_once(':'))
            .map(|(repository, tag)| Self {
                repository: repository.to_owned(),
                tag: tag.to_owned(),
                digest: (*digests.get(repository).unwrap_or(&NONE)).to_owned(),
            })
            .collect();
        if !tagged.is_empty() {
            return tagged.into_iter();
        }
        let untagged = digests.first_key_value().unwrap_or((&NONE, &NONE));
        let (repository, digest) = ((*untagged.0).to_owned(), (*untagged.1).to_owned());
        vec![Self { repository, tag: NONE.to_owned(), digest }].into_iter()
    }
}

fn cells(image: &Image, name: &Name, whole: bool, now: Timestamp) -> Value {
    // -1 stands for "not counted".
    let counted = |number: i64, text: String| if number < 0 { "N/A".to_owned() } else { text };
    let shared = image.shared_size;
    let cells = vec![
        counted(image.containers, image.containers.to_string()),
        times::local(image.created),
        times::ago(image.created, now),
        name.digest.clone(),
        short(&image.id, whole).to_owned(),
        name.repository.clone(),
        counted(shared, units::size(shared)),
        units::size(image.size),
        name.tag.clone(),
        counted(shared, units::size(image.size.saturating_sub(shared))),
        units::size(image.size),
    ];
    let mut row = row(&COLUMNS, cells);
    if let Value::Map(entries) = &mut row {
        let labels = image.labels.clone().unwrap_or_default();
        entries.push(("Label".to_owned(), lookup(labels)));
    }
    row
}

/// Flags of `history`.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct History {
    /// Format output: 'table', 'table TEMPLATE', 'json' or a Go TEMPLATE
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Print sizes and dates in human readable format
    #[arg(short = 'H', long, value_name = "BOOL", hide_possible_values = true, num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    human: bool,
    /// Don't truncate output
    #[arg(long)]
    no_trunc: bool,
    /// Only show image IDs
    #[arg(short, long)]
    quiet: bool,
    /// Show history for the given platform
    #[arg(long, value_name = "OS/ARCH", default_value = "", hide_default_value = true)]
    platform: String,
    /// The image by name or id
    #[arg(value_name = "IMAGE")]
    image: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Step {
    id: String,
    created: i64,
    created_by: String,
    size: i64,
    comment: String,
}

const STEP_COLUMNS: [Column; 6] = [
    ("Comment", "COMMENT"),
    ("CreatedAt", "CREATED AT"),
    ("CreatedBy", "CREATED BY"),
    ("CreatedSince", "CREATED"),
    ("ID", "IMAGE"),
    ("Size", "SIZE"),
];

/// Prints how an image was made.
pub(crate) async fn history(client: &Client, args: &History) -> Result<(), Failure> {
    let call =
        Call::on_image(Method::GET, &args.image, "history").query_given("platform", &args.platform);
    let steps: Vec<Step> = client.json(call).await?;
    if args.quiet {
        for step in steps {
            output::line(short(&step.id, args.no_trunc))?;
        }
        return Ok(());
    }
    let now = Timestamp::now();
    let rows = steps
        .iter()
        .map(|step| {
            let by = step.created_by.replace('\t', " ");
            let created = times::local(step.created);
            let since = if args.human { times::ago(step.created, now) } else { created.clone() };
            let size = if args.human { units::size(step.size) } else { step.size.to_string() };
            row(
                &STEP_COLUMNS,
                vec![
                    step.comment.clone(),
                    created,
                    if args.no_trunc { by } else { ellipsis(&by, 45) },
                    since,
                    short(&step.id, args.no_trunc).to_owned(),
                    size,
                ],
            )
        })
        .collect();
    let shown = &["ID", "CreatedSince", "CreatedBy", "Size", "Comment"];
    Listing { columns: &STEP_COLUMNS, shown, rows }.print(args.format.as_deref())
}
