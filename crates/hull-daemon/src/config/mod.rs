//! What the daemon is told: flags and Docker's `daemon.json`, as one set of settings.

mod directives;
mod file;
mod settings;
#[cfg(test)]
mod tests;
mod values;

use std::path::PathBuf;

pub use directives::Directives;
pub(crate) use settings::{Settings, UsersSetting};

/// Where the configuration is looked for when no file is named.
const DEFAULT_FILE: &str = "/etc/hull/daemon.json";

/// The flags of `hull daemon`.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Flags {
    /// Configuration file, with the keys of Docker's daemon.json [default: /etc/hull/daemon.json]
    #[arg(long = "config", visible_alias = "config-file", value_name = "FILE")]
    pub file: Option<PathBuf>,

    /// Stop all guests when the daemon ends; without it they keep running
    #[arg(long)]
    pub stop_guests: bool,

    /// Check the configuration and exit
    #[arg(long)]
    pub validate: bool,

    /// Leave the terminal's session: the command line starts the daemon so
    #[arg(long, alias = "detach", hide = true)]
    pub detached: bool,

    /// What flags and file have in common.
    #[command(flatten)]
    pub directives: Directives,
}

/// Why the configuration cannot be used. Names the directive and where it stands.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    /// The file cannot be read.
    #[error("read the configuration file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not what it should be.
    #[error("the configuration file {} is not valid", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// Where in it, and why.
        source: serde_json::Error,
    },
    /// It says something hull does not know.
    #[error(
        "the configuration file {} has keys that match no option of hull: {}",
        path.display(), keys.join(", ")
    )]
    Unknown {
        /// The file.
        path: PathBuf,
        /// All such keys.
        keys: Vec<String>,
    },
    /// It says what a flag says too.
    #[error(
        "the following directives are specified both as a flag and in the configuration file {}: \
         {}", path.display(), keys.join(", ")
    )]
    Twice {
        /// The file.
        path: PathBuf,
        /// All such keys, with both values.
        keys: Vec<String>,
    },
    /// A value makes no sense.
    #[error("invalid {key} {value:?}: {why}")]
    Value {
        /// The directive.
        key: &'static str,
        /// What it is set to.
        value: String,
        /// What it should be.
        why: String,
    },
}

impl ConfigError {
    fn value(key: &'static str, value: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Value { key, value: value.into(), why: why.into() }
    }
}

impl Flags {
    /// Reads the file, if there is one, and puts all together.
    ///
    /// # Errors
    /// Names every wrong key, or the first wrong value.
    pub(crate) fn settings(&self) -> Result<Settings, ConfigError> {
        let default = PathBuf::from(DEFAULT_FILE);
        let path = match &self.file {
            Some(path) => Some(path),
            None => default.exists().then_some(&default),
        };
        let all = match path {
            Some(path) => file::merge(&self.directives, path)?,
            None => self.directives.clone(),
        };
        Settings::new(&all, self.stop_guests)
    }
}
