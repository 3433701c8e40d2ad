//! What the daemon tells this crate about an image, borrowed from where it lies.

use hull_model::image::{Digest, ImageConfig};
use hull_model::reference::Reference;
use hull_model::time::Timestamp;

/// An image as answers show it.
#[derive(Clone, Copy, Debug)]
pub struct ImageView<'a> {
    /// The digest of its configuration.
    pub id: Digest,
    /// What it says about itself.
    pub config: &'a ImageConfig,
    /// Its names with tags.
    pub tags: &'a [Reference],
    /// Its names with digests.
    pub digests: &'a [Reference],
    /// Bytes of all its files.
    pub size: u64,
    /// Bytes it shares with other images, where that is asked for.
    pub shared: Option<u64>,
    /// How many containers are made of it, where that is known.
    pub containers: Option<u64>,
    /// When it came here.
    pub added: Timestamp,
    /// The directories of its layers on the host, lowest first.
    pub layers: &'a [String],
}

impl ImageView<'_> {
    /// When it was made, as it says; the beginning of time if it does not.
    pub fn created(&self) -> Timestamp {
        let said = self.config.created.as_deref();
        said.and_then(Timestamp::parse_rfc3339).unwrap_or(Timestamp::EPOCH)
    }
}

/// Names as people write them.
pub(super) fn names(references: &[Reference]) -> Vec<String> {
    references.iter().map(ToString::to_string).collect()
}
