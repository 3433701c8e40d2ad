//! News for whoever watches: what happened to which object.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// Something that happened.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Occurrence {
    /// When.
    pub at: Timestamp,
    /// To what sort of object.
    pub subject: Subject,
    /// Docker's word: `start`, `die`, `exec_create: ls`.
    pub action: String,
    /// The object's id (or name, where names are ids).
    pub id: String,
    /// Name, image, exit code, labels and whatever else filters look at.
    pub attributes: BTreeMap<String, String>,
}

/// Sorts of objects, as in Docker's `Type`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Subject {
    /// A guest.
    Container,
    /// An image.
    Image,
    /// A volume.
    Volume,
    /// A network.
    Network,
    /// The daemon itself.
    Daemon,
}

impl Subject {
    /// Docker's word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Container => "container",
            Self::Image => "image",
            Self::Volume => "volume",
            Self::Network => "network",
            Self::Daemon => "daemon",
        }
    }
}
