//! The flags `run` and `create` share, and their translation to the API's JSON.
//!
//! Each file holds the flags of one purpose beside their mapping. The translation is pure: what it
//! needs of the machine (environment, working directory, files) comes in as [`Surroundings`].

pub(crate) mod devices;
pub(crate) mod gpus;
pub(crate) mod isolation;
pub(crate) mod life;
pub(crate) mod limits;
pub(crate) mod mount;
pub(crate) mod network;
pub(crate) mod parse;
pub(crate) mod ports;
pub(crate) mod process;
pub(crate) mod storage;
#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;

use crate::wire::create::{CreateRequest, Map};

/// What the translation of flags needs to know about the machine the CLI runs on.
pub(crate) struct Surroundings<'a> {
    /// The working directory, for `-v ./dir:/dir`.
    pub(crate) directory: &'a Path,
    /// Looks up an environment variable, for `-e NAME`.
    pub(crate) variable: &'a dyn Fn(&str) -> Option<String>,
    /// Reads a text file, for `--env-file` and its like.
    pub(crate) read: &'a dyn Fn(&Path) -> io::Result<String>,
}

/// The flags that describe a container.
#[derive(Debug, clap::Args)]
pub(crate) struct ContainerFlags {
    #[command(flatten)]
    pub(crate) process: process::Flags,
    #[command(flatten)]
    pub(crate) life: life::Flags,
    #[command(flatten)]
    pub(crate) storage: storage::Flags,
    #[command(flatten)]
    pub(crate) network: network::Flags,
    #[command(flatten)]
    pub(crate) limits: limits::Flags,
    #[command(flatten)]
    pub(crate) devices: devices::Flags,
    #[command(flatten)]
    pub(crate) isolation: isolation::Flags,
}

/// Translates flags, image and command to the body of a create request.
///
/// # Errors
/// The message Docker's CLI prints for the same mistake.
pub(crate) fn request(
    flags: &ContainerFlags,
    image: &str,
    command: &[String],
    around: &Surroundings<'_>,
) -> Result<CreateRequest, String> {
    let mut request = CreateRequest { image: image.to_owned(), ..CreateRequest::default() };
    request.cmd = list(command);
    flags.process.apply(&mut request, around)?;
    flags.life.apply(&mut request)?;
    flags.storage.apply(&mut request, around)?;
    flags.network.apply(&mut request)?;
    flags.limits.apply(&mut request)?;
    flags.devices.apply(&mut request.host_config)?;
    flags.isolation.apply(&mut request.host_config, around)?;
    Ok(request)
}

/// A list as Docker sends it: `null` when empty.
fn list(values: &[String]) -> Option<Vec<String>> {
    (!values.is_empty()).then(|| values.to_vec())
}
