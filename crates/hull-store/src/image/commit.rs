//! An image of what a writable layer made of another image.

use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::sync::Arc;

use hull_model::image::{Digest, History, ImageConfig, RunConfig};
use hull_model::time::Timestamp;

use super::changes::apply;
use super::{Image, ImageError, Images};
use crate::content::Lease;
use crate::disk::DiskError;
use crate::error::Result;
use crate::tree::{changes, pack_changes};
use crate::view;

/// What an image is made of.
#[derive(Debug)]
pub struct Committed<'a> {
    /// The image below.
    pub base: &'a Image,
    /// The writable layer on top of it.
    pub upper: &'a Path,
    /// What in it was made only to mount on.
    pub made: &'a [&'a str],
    /// How to run the new image.
    pub config: RunConfig,
    /// Who made it.
    pub author: String,
    /// Its history's text.
    pub comment: String,
    /// Its history's command.
    pub created_by: String,
    /// When.
    pub created: Timestamp,
}

/// Carries out Dockerfile instructions on a configuration. A new entrypoint takes the command away
/// that was meant for the old one, unless there is a new one too (Docker).
pub fn apply_changes(config: &mut RunConfig, instructions: &[String]) -> Result<(), ImageError> {
    let keyword = |text: &String, name: &str| {
        text.split_whitespace().next().is_some_and(|word| word.eq_ignore_ascii_case(name))
    };
    let has = |name| instructions.iter().any(|text| keyword(text, name));
    if has("ENTRYPOINT") && !has("CMD") {
        config.cmd = None;
    }
    instructions.iter().try_for_each(|instruction| apply(config, instruction))
}

impl Images {
    /// Makes the image. It has no name yet.
    pub fn commit(&self, committed: &Committed<'_>) -> Result<Arc<Image>> {
        let mut lease = self.content.lease();
        committed.base.blobs.iter().for_each(|blob| lease.add(*blob));
        let mut held = self.layers.lease();
        committed.base.layers.iter().for_each(|layer| held.add(layer.0));
        let image = self.commit_leased(committed, &mut lease);
        self.collect_leased(lease);
        image
    }

    fn commit_leased(&self, committed: &Committed<'_>, lease: &mut Lease) -> Result<Arc<Image>> {
        let base = &committed.base.config;
        let layer = self.layer_of(committed, lease)?;
        let created = committed.created.to_string();
        let text = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        let step = History {
            created: Some(created.clone()),
            created_by: text(&committed.created_by),
            author: text(&committed.author),
            comment: text(&committed.comment),
            empty_layer: layer.is_none(),
        };
        let mut rootfs = base.rootfs.clone();
        rootfs.diff_ids.extend(layer);
        let mut history = base.history.clone().unwrap_or_default();
        history.push(step);
        let config = ImageConfig {
            platform: base.platform.clone(),
            created: Some(created),
            author: text(&committed.author),
            config: Some(committed.config.clone()),
            rootfs,
            history: Some(history),
        };
        let config = serde_json::to_vec(&config).map_err(ImageError::encode)?;
        let config = self.content.put_leased(&config, lease)?;
        // After the manifest and the configuration come the layers.
        let mut layers: Vec<Digest> = committed.base.blobs.iter().skip(2).copied().collect();
        layers.extend(layer);
        let manifest = self.write_manifest(config, &layers, lease)?;
        self.add(&manifest)
    }

    /// Stores the new layer's archive; `None` if nothing changed. It is not compressed, so its digest
    /// is its diff id too.
    fn layer_of(&self, committed: &Committed<'_>, lease: &mut Lease) -> Result<Option<Digest>> {
        let below = || view::read_only(&committed.base.layer_dirs);
        if changes(committed.upper, below()?, committed.made)?.is_empty() {
            return Ok(None);
        }
        let mut archive = BufWriter::with_capacity(256 << 10, self.content.ingest()?);
        pack_changes(committed.upper, below()?, committed.made, &mut archive)?;
        let write = |e| DiskError::new("archive", committed.upper, e);
        archive.flush().map_err(write)?;
        let ingest = archive.into_inner().map_err(|e| write(e.into_error()))?;
        ingest.commit_leased(lease).map(Some)
    }
}
