//! `prune`: removes what nothing uses, after asking.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use serde::Deserialize;

use super::filter;
use crate::client::Client;
use crate::client::call::Call;
use crate::failure::Failure;
use crate::output::{self, units};

/// Flags of `prune`.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// Remove all unused ones, not just dangling or anonymous ones
    #[arg(short, long)]
    all: bool,
    /// Provide filter values (e.g. "label=<label>")
    #[arg(long, value_name = "KEY=VALUE", value_parser = filter::parse)]
    filter: Vec<(String, String)>,
    /// Do not prompt for confirmation
    #[arg(short, long)]
    force: bool,
}

/// What is pruned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    Containers,
    Images,
    Networks,
    Volumes,
}

impl Subject {
    fn path(self) -> &'static str {
        match self {
            Self::Containers => "containers",
            Self::Images => "images",
            Self::Networks => "networks",
            Self::Volumes => "volumes",
        }
    }

    fn warning(self, all: bool) -> &'static str {
        match (self, all) {
            (Self::Containers, _) => "all stopped containers",
            (Self::Images, true) => "all images without at least one container associated to them",
            (Self::Images, false) => "all dangling images",
            (Self::Networks, _) => "all custom networks not used by at least one container",
            (Self::Volumes, true) => "all local volumes not used by at least one container",
            (Self::Volumes, false) => "anonymous local volumes not used by at least one container",
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Pruned {
    containers_deleted: Option<Vec<String>>,
    volumes_deleted: Option<Vec<String>>,
    networks_deleted: Option<Vec<String>>,
    images_deleted: Option<Vec<Removed>>,
    space_reclaimed: i64,
}

/// What removing an image did, here and in `rmi`.
#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Removed {
    untagged: String,
    deleted: String,
}

impl Removed {
    /// The line Docker prints for it.
    pub(crate) fn line(&self, capital: bool) -> String {
        let (untagged, deleted) =
            if capital { ("Untagged: ", "Deleted: ") } else { ("untagged: ", "deleted: ") };
        if self.deleted.is_empty() {
            format!("{untagged}{}", self.untagged)
        } else {
            format!("{deleted}{}", self.deleted)
        }
    }
}

/// Removes what is unused.
pub(crate) async fn run(client: &Client, args: &Args, subject: Subject) -> Result<(), Failure> {
    if !args.force && !confirmed(subject.warning(args.all))? {
        return Err(Failure::new(format!("{} prune has been cancelled", subject.path())));
    }
    let mut filters = args.filter.clone();
    match subject {
        Subject::Images => filters.push(("dangling".to_owned(), (!args.all).to_string())),
        Subject::Volumes if args.all => filters.push(("all".to_owned(), "true".to_owned())),
        Subject::Volumes | Subject::Containers | Subject::Networks => {}
    }
    let call =
        Call::post(&[subject.path(), "prune"]).query_given("filters", &filter::json(&filters));
    let pruned: Pruned = client.json(call).await?;
    let images: Vec<String> =
        pruned.images_deleted.iter().flatten().map(|removed| removed.line(false)).collect();
    let lists = [
        ("Deleted Containers:", pruned.containers_deleted.unwrap_or_default()),
        ("Deleted Images:", images),
        ("Deleted Networks:", pruned.networks_deleted.unwrap_or_default()),
        ("Deleted Volumes:", pruned.volumes_deleted.unwrap_or_default()),
    ];
    for (heading, list) in lists.iter().filter(|(_, list)| !list.is_empty()) {
        output::line(format!("{heading}\n{}\n", list.join("\n")))?;
    }
    output::line(format!("Total reclaimed space: {}", units::size(pruned.space_reclaimed)))
}

/// Asks on the terminal; without one the answer is no.
fn confirmed(what: &str) -> Result<bool, Failure> {
    let mut stdout = io::stdout().lock();
    write!(stdout, "WARNING! This will remove {what}.\nAre you sure you want to continue? [y/N] ")
        .and_then(|()| stdout.flush())
        .map_err(|error| output::broken(&error))?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    if !io::stdin().is_terminal() {
        output::line("")?;
    }
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
