//! `inspect`: what the engine knows of a thing, as it sends it.

use bytes::Bytes;
use clap::ValueEnum;

use crate::client::call::Call;
use crate::client::{Client, ClientError};
use crate::commands::each::Failures;
use crate::failure::Failure;
use crate::output::{self, format, json};
use crate::template::value::Value;

/// What kind of thing a name may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    Container,
    Image,
    Network,
    Volume,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Image => "image",
            Self::Network => "network",
            Self::Volume => "volume",
        }
    }

    fn call(self, name: &str, size: bool, platform: &str) -> Call {
        match self {
            Self::Container => Call::get(&["containers", name, "json"]).switch("size", size),
            Self::Image => {
                Call::on_image(hyper::Method::GET, name, "json").query_given("platform", platform)
            }
            Self::Network => Call::get(&["networks", name]),
            Self::Volume => Call::get(&["volumes", name]),
        }
    }
}

/// How the answer is shown.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Shown {
    /// Format output: 'json' or a Go TEMPLATE
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
}

/// Flags of `inspect`.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Any {
    #[command(flatten)]
    shown: Shown,
    /// Display total file sizes if the type is container
    #[arg(short, long)]
    size: bool,
    /// Only inspect objects of the given type
    #[arg(long, value_name = "TYPE")]
    r#type: Option<Kind>,
    /// Names or ids
    #[arg(value_name = "NAME|ID", required = true)]
    names: Vec<String>,
}

/// Flags of `container inspect`.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Container {
    #[command(flatten)]
    shown: Shown,
    /// Display total file sizes
    #[arg(short, long)]
    size: bool,
    /// Containers by name or id
    #[arg(value_name = "CONTAINER", required = true)]
    names: Vec<String>,
}

/// Flags of `image inspect`.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Image {
    #[command(flatten)]
    shown: Shown,
    /// Inspect a specific platform of the multi-platform image
    #[arg(long, value_name = "OS/ARCH", default_value = "", hide_default_value = true)]
    platform: String,
    /// Images by name or id
    #[arg(value_name = "IMAGE", required = true)]
    names: Vec<String>,
}

/// Flags of `network inspect` and `volume inspect`.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Named {
    #[command(flatten)]
    shown: Shown,
    /// Verbose output for diagnostics
    #[arg(short, long)]
    verbose: bool,
    /// Names or ids
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
}

/// Inspects things of any kind.
pub(crate) async fn any(client: &Client, args: &Any) -> Result<(), Failure> {
    let query = Query { kind: args.r#type, size: args.size, platform: "" };
    query.show(client, &args.names, &args.shown).await
}

/// Inspects containers.
pub(crate) async fn containers(client: &Client, args: &Container) -> Result<(), Failure> {
    let query = Query { kind: Some(Kind::Container), size: args.size, platform: "" };
    query.show(client, &args.names, &args.shown).await
}

/// Inspects images.
pub(crate) async fn images(client: &Client, args: &Image) -> Result<(), Failure> {
    let query = Query { kind: Some(Kind::Image), size: false, platform: &args.platform };
    query.show(client, &args.names, &args.shown).await
}

/// Inspects networks or volumes.
pub(crate) async fn named(client: &Client, args: &Named, kind: Kind) -> Result<(), Failure> {
    let query = Query { kind: Some(kind), size: false, platform: "" };
    query.show(client, &args.names, &args.shown).await
}

struct Query<'a> {
    /// None asks for each kind until one knows the name.
    kind: Option<Kind>,
    size: bool,
    platform: &'a str,
}

impl Query<'_> {
    async fn show(&self, client: &Client, names: &[String], shown: &Shown) -> Result<(), Failure> {
        let mut failures = Failures::default();
        let mut answers = Vec::new();
        for name in names {
            match self.ask(client, name).await {
                Ok(Some(answer)) => answers.push(answer),
                Ok(None) => match self.kind {
                    Some(kind) => failures.say(format!("Error: No such {}: {name}", kind.name())),
                    None => failures.say(format!("Error: No such object: {name}")),
                },
                Err(error) => failures.tell(error),
            }
        }
        match shown.format.as_deref().filter(|format| !format.is_empty()) {
            None => output::line(array(&answers))?,
            Some(template) => {
                for answer in &answers {
                    let value: Value = serde_json::from_slice(answer)?;
                    format::object(&value, template)?;
                }
            }
        }
        failures.end()
    }

    async fn ask(&self, client: &Client, name: &str) -> Result<Option<Bytes>, ClientError> {
        let kinds = match self.kind {
            Some(kind) => vec![kind],
            None => vec![Kind::Container, Kind::Image, Kind::Network, Kind::Volume],
        };
        for kind in kinds {
            match client.bytes(kind.call(name, self.size, self.platform)).await {
                Ok(answer) => return Ok(Some(answer)),
                Err(error) if error.is_not_found() => {}
                // A kind the engine does not have yet cannot be what the name means.
                Err(error) if self.kind.is_none() && error.is_not_implemented() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}

/// The answers as one array, indented as Docker does.
fn array(answers: &[Bytes]) -> String {
    if answers.is_empty() {
        return "[]".to_owned();
    }
    let indented: Vec<String> = answers
        .iter()
        .map(|answer| format!("    {}", json::indent(&String::from_utf8_lossy(answer), 1)))
        .collect();
    format!("[\n{}\n]", indented.join(",\n"))
}
