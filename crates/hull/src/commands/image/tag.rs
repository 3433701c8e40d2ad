//! `tag` and `rmi`: names of images.

use hyper::Method;

use crate::client::Client;
use crate::client::call::Call;
use crate::commands::each::Failures;
use crate::commands::prune::Removed;
use crate::failure::Failure;
use crate::output;
use crate::reference::Reference;

/// Flags of `tag`.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Tag {
    /// The image as it is known
    #[arg(value_name = "SOURCE_IMAGE[:TAG]")]
    source: String,
    /// Its further name
    #[arg(value_name = "TARGET_IMAGE[:TAG]")]
    target: String,
}

/// Gives an image another name.
pub(crate) async fn tag(client: &Client, args: &Tag) -> Result<(), Failure> {
    let target = Reference::parse(&args.target).map_err(|why| {
        Failure::new(format!("Error parsing reference: {:?}: {why}", args.target))
    })?;
    if target.digest.is_some() {
        return Err(Failure::new("refusing to create a tag with a digest reference"));
    }
    let call = Call::on_image(Method::POST, &args.source, "tag")
        .query("repo", &target.repository)
        .query_given("tag", target.tag.as_deref().unwrap_or_default());
    client.bytes(call).await?;
    Ok(())
}

/// Flags of `rmi`.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Remove {
    /// Force removal of the image
    #[arg(short, long)]
    force: bool,
    /// Do not delete untagged parents
    #[arg(long)]
    no_prune: bool,
    /// Images by name or id
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<String>,
}

/// Removes images.
pub(crate) async fn remove(client: &Client, args: &Remove) -> Result<(), Failure> {
    let mut failures = Failures::default();
    for image in &args.images {
        let call = Call::on_image(Method::DELETE, image, "")
            .switch("force", args.force)
            .switch("noprune", args.no_prune);
        match client.json::<Vec<Removed>>(call).await {
            Ok(removed) => {
                for one in removed {
                    output::line(one.line(true))?;
                }
            }
            // With --force it is enough that it is not there.
            Err(error) if args.force && error.is_not_found() => output::talk(error),
            Err(error) => failures.tell(error),
        }
    }
    failures.end()
}
