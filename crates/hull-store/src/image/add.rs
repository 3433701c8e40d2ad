//! An image whose blobs are here becomes one that can be run.

use std::sync::Arc;
use std::time::SystemTime;

use hull_model::image::{Digest, ImageConfig};
use hull_model::manifest::{Document, Manifest};
use hull_model::time::Timestamp;

use super::manifest::{self, DOCUMENT_MAX};
use super::{IMAGES, Image, ImageError, Images, Row};
use crate::disk::{open_dir, sync};
use crate::error::Result;
use crate::layer::{ChainId, Expected};

impl Images {
    /// Makes an image of the manifest blob `manifest`, whose configuration and layers are in the
    /// content store. Layers that are not unpacked yet are, lowest first. The caller leases all
    /// blobs until this returns; the image has no name yet.
    pub fn add(&self, manifest: &Digest) -> Result<Arc<Image>> {
        let (document, config) = self.documents(manifest)?;
        for blob in std::iter::once(&document.config).chain(&document.layers) {
            self.content.check_size(&blob.digest, blob.size)?;
        }
        let chain = ChainId::chain(&config.rootfs.diff_ids);
        let mut lease = self.layers.lease();
        chain.iter().for_each(|layer| lease.add(layer.0));
        let added = self.unpack(&document, &config, &chain).and_then(|()| self.record(manifest));
        if added.is_err() {
            drop(lease);
            // The first error is the one to report; the next start tries again.
            if let Err(e) = self.remove_layers(&chain) {
                tracing::warn!(error = %e, "cannot remove the layers of a failed image");
            }
        }
        added
    }

    /// Unpacks the layers of `chain` that are not there yet.
    fn unpack(&self, document: &Manifest, config: &ImageConfig, chain: &[ChainId]) -> Result<()> {
        let mut parent = None;
        for ((layer, blob), diff_id) in
            chain.iter().zip(&document.layers).zip(&config.rootfs.diff_ids)
        {
            if self.layers.get(layer).is_none() {
                let blob = self.content.read(&blob.digest)?;
                let expected = Expected { blob: None, diff_id: Some(*diff_id) };
                let staged = self.layers.stage(blob, expected)?;
                self.layers.commit(staged, parent)?;
            }
            parent = Some(layer);
        }
        Ok(())
    }

    /// Writes the row of an image whose layers are unpacked.
    fn record(&self, manifest: &Digest) -> Result<Arc<Image>> {
        let added = Timestamp::from(SystemTime::now());
        let image = Arc::new(self.assemble(manifest, added)?);
        // Files before the row that names them, also when the power goes.
        sync(open_dir(&self.root)?, &self.root)?;
        let row = serde_json::to_vec(&Row { manifest: *manifest, added });
        let row = row.map_err(ImageError::encode)?;
        let mut state = self.write();
        if let Some(known) = state.images.get(&image.id) {
            return Ok(Arc::clone(known));
        }
        self.records.put(IMAGES, &image.id.to_string(), &row)?;
        state.images.insert(image.id, Arc::clone(&image));
        Ok(image)
    }

    /// Removes the layers of `chain`, from the top down, that no image has and nobody leases.
    fn remove_layers(&self, chain: &[ChainId]) -> Result<()> {
        let state = self.read();
        for layer in chain.iter().rev() {
            let used = state.images.values().any(|image| image.layers.contains(layer));
            let below = self.layers.list().iter().any(|other| other.parent == Some(*layer));
            if used || below {
                break;
            }
            self.layers.remove(layer)?;
        }
        Ok(())
    }

    /// The image of a manifest whose layers are all unpacked.
    pub(super) fn assemble(&self, manifest: &Digest, added: Timestamp) -> Result<Image> {
        let (document, config) = self.documents(manifest)?;
        let layers = ChainId::chain(&config.rootfs.diff_ids);
        let layer_dirs = match layers.last() {
            Some(top) => self.layers.directories(top)?,
            None => Vec::new(),
        };
        let sizes = layers.iter().filter_map(|layer| self.layers.get(layer)).map(|l| l.size);
        let id = document.config.digest;
        let blobs = document.layers.iter().map(|layer| layer.digest);
        let blobs = [*manifest, id].into_iter().chain(blobs).collect();
        let size = sizes.fold(0, u64::saturating_add);
        Ok(Image { id, manifest: *manifest, config, layers, layer_dirs, size, added, blobs })
    }

    /// A manifest and the configuration it names, checked against each other.
    fn documents(&self, id: &Digest) -> Result<(Manifest, ImageConfig)> {
        let what = format!("manifest {id}");
        let bytes = self.content.read_small(id, DOCUMENT_MAX)?;
        let malformed = |why: String| ImageError::Malformed { what: what.clone(), why };
        let Document::Manifest(document) = manifest::parse(&bytes, &what)? else {
            return Err(malformed("it is an index of several images".into()).into());
        };
        let bytes = self.content.read_small(&document.config.digest, DOCUMENT_MAX)?;
        let config: ImageConfig = serde_json::from_slice(&bytes).map_err(|source| {
            ImageError::Document { what: format!("config {}", document.config.digest), source }
        })?;
        if document.layers.len() != config.rootfs.diff_ids.len() {
            let (blobs, layers) = (document.layers.len(), config.rootfs.diff_ids.len());
            return Err(malformed(format!(
                "it has {blobs} layers and its configuration has {layers}"
            ))
            .into());
        }
        if !matches!(config.platform.os.as_str(), "linux" | "") {
            let os = config.platform.os.chars().take(40).collect::<String>();
            return Err(malformed(format!("cannot load {os} image on linux")).into());
        }
        Ok((document, config))
    }
}
