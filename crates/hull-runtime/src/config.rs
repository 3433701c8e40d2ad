//! `config.json` of the OCI runtime specification 1.3, as types.
//!
//! Values are checked by their types; what is not a value of its field is refused with the field's
//! path. Properties that the specification does not know are skipped, as it demands. What may be
//! `null` in files that Go programs write is `Option`.

mod linux;
mod process;
pub(crate) mod resources;

pub(crate) use linux::*;
pub(crate) use process::*;
pub(crate) use resources::Resources;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::failure::{Doing, Failure};

/// The largest file that is read; Kubernetes' are some hundred KiB.
const BYTES_MAX: u64 = 16 << 20;

/// A bundle's configuration.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Config {
    pub(crate) oci_version: String,
    pub(crate) root: Option<Root>,
    pub(crate) process: Option<Process>,
    pub(crate) hostname: Option<String>,
    pub(crate) domainname: Option<String>,
    pub(crate) mounts: Option<Vec<Mount>>,
    pub(crate) hooks: Option<Hooks>,
    pub(crate) annotations: Option<BTreeMap<String, String>>,
    pub(crate) linux: Option<Linux>,
    /// Only a runtime of virtual machines has a use for it.
    pub(crate) vm: Option<serde::de::IgnoredAny>,
}

/// Where `/` comes from.
#[derive(Debug, Deserialize)]
pub(crate) struct Root {
    pub(crate) path: String,
    #[serde(default)]
    pub(crate) readonly: bool,
}

/// One mount below it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Mount {
    pub(crate) destination: String,
    pub(crate) source: Option<String>,
    pub(crate) r#type: Option<String>,
    pub(crate) options: Option<Vec<String>>,
    pub(crate) uid_mappings: Option<Vec<IdMapping>>,
    pub(crate) gid_mappings: Option<Vec<IdMapping>>,
}

/// Programs to be run at certain moments.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Hooks {
    pub(crate) prestart: Option<Vec<Hook>>,
    pub(crate) create_runtime: Option<Vec<Hook>>,
    pub(crate) create_container: Option<Vec<Hook>>,
    pub(crate) start_container: Option<Vec<Hook>>,
    pub(crate) poststart: Option<Vec<Hook>>,
    pub(crate) poststop: Option<Vec<Hook>>,
}

/// One of them.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Hook {
    pub(crate) path: String,
    pub(crate) args: Option<Vec<String>>,
    pub(crate) env: Option<Vec<String>>,
    /// Seconds.
    pub(crate) timeout: Option<i64>,
}

/// Reads the configuration of `bundle`; the text is given back to be kept.
pub(crate) fn load(bundle: &Path) -> Result<(Config, String), Failure> {
    let path = bundle.join("config.json");
    let text = read(&path)?;
    let config = parse(&text).map_err(|failure| failure.during(path.display()))?;
    Ok((config, text))
}

/// Reads a regular file of reasonable size as text.
pub(crate) fn read(path: &Path) -> Result<String, Failure> {
    // Not blocking: it could be a pipe that nobody writes to.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(CWD, path, flags, Mode::empty()).doing_at("open", path)?;
    let stat = rustix::fs::fstat(&fd).doing_at("look at", path)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(Failure::new(format!("read {}: not a regular file", path.display())));
    }
    read_all(std::fs::File::from(fd)).map_err(|failure| failure.during(path.display()))
}

/// Reads text of reasonable size.
pub(crate) fn read_all(source: impl Read) -> Result<String, Failure> {
    let mut text = String::new();
    source.take(BYTES_MAX + 1).read_to_string(&mut text).doing("read")?;
    if text.len() as u64 > BYTES_MAX {
        return Err(Failure::new(format!("larger than {} MiB", BYTES_MAX >> 20)));
    }
    Ok(text)
}

/// A whole configuration.
pub(crate) fn parse(text: &str) -> Result<Config, Failure> {
    let config: Config = from_json(text)?;
    let major = config.oci_version.split('.').next().unwrap_or_default();
    if config.oci_version.is_empty() {
        return Err(Failure::new("ociVersion: missing"));
    }
    if major != "1" {
        return Err(Failure::new(format!(
            "ociVersion: {:?} is not supported; hint: this runtime implements 1.x",
            config.oci_version
        )));
    }
    Ok(config)
}

/// Reads JSON; errors name the field.
pub(crate) fn from_json<T: DeserializeOwned>(text: &str) -> Result<T, Failure> {
    serde_json::from_str(text).map_err(|plain| {
        // Only now: keeping track of the path costs time.
        let mut deserializer = serde_json::Deserializer::from_str(text);
        match serde_path_to_error::deserialize::<_, T>(&mut deserializer) {
            Err(error) if error.path().to_string() != "." => {
                Failure::new(format!("{}: {}", error.path(), error.inner()))
            }
            Err(_) | Ok(_) => Failure::new(format!("not valid: {plain}")),
        }
    })
}
