//! Answers of remove, prune and load.

use hull_model::image::Digest;
use hull_model::reference::Reference;
use serde::Serialize;

use crate::stream::{Message, text};

/// One thing that went.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub enum DeleteItem {
    /// This name.
    Untagged(String),
    /// This image or layer.
    Deleted(String),
}

impl DeleteItem {
    /// A name that went.
    pub fn untagged(name: &Reference) -> Self {
        Self::Untagged(name.to_string())
    }

    /// An image or layer that went.
    pub fn deleted(id: Digest) -> Self {
        Self::Deleted(id.to_string())
    }
}

/// What a prune took.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Pruned {
    images_deleted: Option<Vec<DeleteItem>>,
    space_reclaimed: u64,
}

/// The answer when these went and gave back so many bytes.
pub fn pruned(items: Vec<DeleteItem>, bytes: u64) -> Pruned {
    Pruned { images_deleted: (!items.is_empty()).then_some(items), space_reclaimed: bytes }
}

/// The messages about an image that was loaded: one for each name, or one with its id.
pub fn loaded(id: Digest, names: &[Reference]) -> Vec<Message> {
    match names {
        [] => vec![text(format!("Loaded image ID: {id}\n"))],
        names => names.iter().map(|name| text(format!("Loaded image: {name}\n"))).collect(),
    }
}
