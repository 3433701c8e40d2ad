//! `image bootstrap`: base images without any registry.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::archive;
use super::pull::Shown;
use crate::bootstrap::archive::{Description, archive as wrap};
use crate::bootstrap::debian::{self, Recipe};
use crate::bootstrap::layer::Layer;
use crate::bootstrap::{Base, BootstrapError, busybox};
use crate::client::Client;
use crate::client::call::Call;
use crate::failure::Failure;
use crate::output::{self, table, units};

/// Flags of `image bootstrap`.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// Which packages are taken without being named
    #[arg(long, value_name = "VARIANT", default_value = "minbase", value_parser = ["essential", "apt", "minbase", "required", "important", "standard", "buildd"])]
    variant: String,
    /// Further packages
    #[arg(long, value_name = "PACKAGE,...", value_delimiter = ',', value_parser = package)]
    include: Vec<String>,
    /// Where packages come from (default: this machine's own apt sources)
    #[arg(long, value_name = "URL", value_parser = mirror)]
    mirror: Vec<String>,
    /// The name of the image (default: what is made)
    #[arg(short, long, value_name = "NAME[:TAG]")]
    tag: Option<String>,
    /// Only print the image's id
    #[arg(short, long)]
    quiet: bool,
    /// What to make: debian:SUITE, ubuntu:SUITE or busybox
    #[arg(value_name = "debian:SUITE|ubuntu:SUITE|busybox")]
    base: String,
}

/// Lets through what can be a package: it becomes part of an argument.
fn package(text: &str) -> Result<String, String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"+-.:~=_/".contains(&b);
    if text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.bytes().all(plain) {
        Ok(text.to_owned())
    } else {
        Err("not the name of a package".to_owned())
    }
}

fn mirror(text: &str) -> Result<String, String> {
    let is_url =
        ["http://", "https://", "file:///", "copy:///"].iter().any(|s| text.starts_with(s));
    if is_url && !text.contains(char::is_whitespace) {
        Ok(text.to_owned())
    } else {
        Err("not a URL".to_owned())
    }
}

/// Makes a base image, loads it into the engine and prints its id.
pub(crate) async fn run(client: &Client, args: &Args) -> Result<(), Failure> {
    let base = Base::parse(&args.base)?;
    let name = args.tag.clone().unwrap_or_else(|| args.base.clone());
    let name = crate::reference::Reference::parse(&name).map_err(Failure::new)?.familiar();
    // First, so nobody waits for minutes to hear that there is no engine.
    client.bytes(Call::get(&["_ping"])).await?;
    let (layer, description) = make(args, base, name)?;
    let size = layer.size;
    let (archive, id) = wrap(layer, &description)?;
    let call = Call::post(&["images", "load"]).switch("quiet", true);
    archive::send(client, call, archive, Shown::Nothing).await?;
    if !args.quiet {
        let size = units::size(i64::try_from(size).unwrap_or(i64::MAX));
        output::talk(format!("{}: {size}", description.name));
    }
    output::line(id)
}

fn make(args: &Args, base: Base, name: String) -> Result<(Layer, Description), BootstrapError> {
    match base {
        Base::Busybox => busybox::make(&name),
        Base::Distribution { suite, .. } => {
            let recipe = Recipe {
                name,
                suite,
                variant: args.variant.clone(),
                include: args.include.clone(),
                mirrors: args.mirror.clone(),
            };
            let steps = Steps::new(args.quiet);
            let bar = steps.bar.clone();
            let quiet = args.quiet;
            debian::make(&recipe, move |step| match &bar {
                Some(bar) => bar.set_message(table::printable(step)),
                None if quiet => {}
                None => output::talk(table::printable(step)),
            })
        }
    }
}

/// What is going on, in one line of a terminal that goes in the end.
struct Steps {
    bar: Option<ProgressBar>,
}

impl Steps {
    fn new(quiet: bool) -> Self {
        if quiet || !std::io::stderr().is_terminal() {
            return Self { bar: None };
        }
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {wide_msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(100));
        Self { bar: Some(bar) }
    }
}

impl Drop for Steps {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
