//! `pull`: fetches an image from a registry, showing how far it is.

use crate::client::Client;
use crate::client::call::Call;
use crate::client::lines::Values;
use crate::failure::Failure;
use crate::output;
use crate::output::progress::{Progress, Update};
use crate::reference::Reference;

/// Where progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    OnStdout,
    OnStderr,
    Nothing,
}

/// Flags of `pull`.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// Download all tagged images in the repository
    #[arg(short, long)]
    all_tags: bool,
    /// Skip image verification
    #[arg(long, hide = true)]
    disable_content_trust: bool,
    /// Set platform if server is multi-platform capable
    #[arg(
        long,
        value_name = "OS/ARCH",
        default_value = "",
        hide_default_value = true,
        env = "DOCKER_DEFAULT_PLATFORM",
        hide_env = true
    )]
    platform: String,
    /// Suppress verbose output
    #[arg(short, long)]
    quiet: bool,
    /// The image in its registry
    #[arg(value_name = "NAME[:TAG|@DIGEST]")]
    name: String,
}

/// Fetches an image and prints its name.
pub(crate) async fn run(client: &Client, args: &Args) -> Result<(), Failure> {
    let reference = Reference::parse(&args.name).map_err(Failure::new)?;
    let shown = if args.quiet { Shown::Nothing } else { Shown::OnStdout };
    if args.all_tags {
        if !reference.is_tag_default {
            return Err(Failure::new("tag can't be used with --all-tags/-a"));
        }
        return fetch(client, &reference.repository, "", &args.platform, shown).await;
    }
    if reference.is_tag_default && !args.quiet {
        output::line("Using default tag: latest")?;
    }
    pull(client, &reference, &args.platform, shown).await?;
    output::line(reference.full())
}

/// An empty credential, `{}` in base64: the daemon has its own where it needs one.
const NO_CREDENTIALS: &str = "e30=";

/// Fetches one image.
pub(crate) async fn pull(
    client: &Client,
    reference: &Reference,
    platform: &str,
    shown: Shown,
) -> Result<(), Failure> {
    let tag = reference.digest.as_deref().or(reference.tag.as_deref()).unwrap_or_default();
    fetch(client, &reference.repository, tag, platform, shown).await
}

/// Fetches a tag, a digest, or with an empty tag all tags.
pub(crate) async fn fetch(
    client: &Client,
    repository: &str,
    tag: &str,
    platform: &str,
    shown: Shown,
) -> Result<(), Failure> {
    let call = Call::post(&["images", "create"])
        .query("fromImage", repository)
        .query_given("tag", tag)
        .query_given("platform", platform)
        .header("x-registry-auth", NO_CREDENTIALS);
    let target = call.target.clone();
    let answer = client.stream(call).await?;
    let mut updates = Values::new(answer.into_body(), &target);
    let mut progress = Progress::new(shown);
    while let Some(update) = updates.next::<Update>().await? {
        progress.show(update)?;
    }
    progress.finish();
    Ok(())
}
