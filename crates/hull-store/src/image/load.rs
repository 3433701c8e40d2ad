//! Images from an archive: of `docker save` old and new, Podman, or an OCI layout.

use std::io::Read;
use std::sync::Arc;

use hull_model::image::{Digest, ImageConfig, Platform};
use hull_model::manifest::{Descriptor, Document, Index, Manifest, OCI_MANIFEST};
use hull_model::reference::Reference;
use serde::Deserialize;

use super::manifest::{self, CONFIG, DOCUMENT_MAX, host_platform};
use super::spool::Spool;
use super::{Image, ImageError, Images};
use crate::content::Lease;
use crate::error::Result;

/// An image that was loaded.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The image.
    pub image: Arc<Image>,
    /// The names it got.
    pub names: Vec<Reference>,
}

/// One entry of Docker's `manifest.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    layers: Option<Vec<String>>,
}

/// Most images in one archive.
const IMAGES_MAX: usize = 1_000;
/// Deepest index in an index.
const DEPTH_MAX: usize = 4;

impl Images {
    /// Stores all images of the archive that `source` reads, plain or compressed. For an index of
    /// several platforms, `platform` is taken, or the host's.
    ///
    /// All names are read before the first is given: a bad one leaves nothing.
    pub fn load(&self, source: impl Read, platform: Option<&Platform>) -> Result<Vec<Loaded>> {
        let mut lease = self.content.lease();
        let loaded = self.load_leased(source, platform, &mut lease);
        self.collect_leased(lease);
        loaded
    }

    fn load_leased(
        &self,
        source: impl Read,
        platform: Option<&Platform>,
        lease: &mut Lease,
    ) -> Result<Vec<Loaded>> {
        let spool = Spool::read(&self.content, source, lease)?;
        let host = host_platform();
        let mut loaded = Vec::new();
        for (manifest, names) in self.found(&spool, platform.unwrap_or(&host), lease)? {
            loaded.push(Loaded { image: self.add(&manifest)?, names });
        }
        for Loaded { image, names } in &loaded {
            for name in names {
                self.tag(&image.id, name)?;
            }
        }
        Ok(loaded)
    }

    /// The manifests in an archive, with the names it gives them.
    fn found(
        &self,
        spool: &Spool,
        platform: &Platform,
        lease: &mut Lease,
    ) -> Result<Vec<(Digest, Vec<Reference>)>> {
        let entries = self.entries(spool)?;
        let mut found: Vec<(Digest, Vec<Reference>)> = Vec::new();
        if spool.has("index.json") {
            let bytes = self.content.read_small(&spool.get("index.json")?, DOCUMENT_MAX)?;
            let Document::Index(index) = manifest::parse(&bytes, "index.json")? else {
                let why = "it is a manifest and not an index".to_owned();
                return Err(ImageError::Malformed { what: "index.json".into(), why }.into());
            };
            for descriptor in choose(&index, platform)? {
                let manifest = self.manifest_of(descriptor, platform, 0)?;
                let name = manifest::name(descriptor).map(parse).transpose()?;
                // An image with several names has an entry for each.
                match found.iter_mut().find(|(known, _)| *known == manifest) {
                    Some((_, names)) => add_names(names, name),
                    None => found.push((manifest, name.into_iter().collect())),
                }
            }
        }
        let from_index = !found.is_empty();
        for entry in entries {
            let config = spool.get(&entry.config)?;
            let tags = entry.repo_tags.iter().flatten().map(|tag| parse(tag));
            let tags: Vec<_> = tags.collect::<Result<_, _>>()?;
            if !from_index {
                found.push((self.manifest_for(spool, config, &entry, lease)?, tags));
                continue;
            }
            // The same images once more, for older programs; names may be only here.
            for (manifest, names) in &mut found {
                if self.config_of(manifest)? == config {
                    add_names(names, tags.iter().cloned());
                }
            }
        }
        if found.is_empty() { Err(ImageError::NoImage.into()) } else { Ok(found) }
    }

    fn entries(&self, spool: &Spool) -> Result<Vec<Entry>> {
        if !spool.has("manifest.json") {
            return Ok(Vec::new());
        }
        let bytes = self.content.read_small(&spool.get("manifest.json")?, DOCUMENT_MAX)?;
        let entries: Vec<Entry> = serde_json::from_slice(&bytes)
            .map_err(|source| ImageError::Document { what: "manifest.json".into(), source })?;
        if entries.len() > IMAGES_MAX {
            let why = format!("it has more than {IMAGES_MAX} images");
            return Err(ImageError::Malformed { what: "manifest.json".into(), why }.into());
        }
        Ok(entries)
    }

    /// The manifest behind a descriptor, through indexes.
    fn manifest_of(&self, from: &Descriptor, platform: &Platform, depth: usize) -> Result<Digest> {
        let what = format!("manifest {}", from.digest);
        self.content.check_size(&from.digest, from.size)?;
        let bytes = self.content.read_small(&from.digest, DOCUMENT_MAX)?;
        match manifest::parse(&bytes, &what)? {
            Document::Manifest(_) => Ok(from.digest),
            Document::Index(_) if depth == DEPTH_MAX => {
                let why = "indexes are nested too deep".to_owned();
                Err(ImageError::Malformed { what, why }.into())
            }
            Document::Index(index) => {
                self.manifest_of(manifest::choose(&index, platform)?, platform, depth + 1)
            }
        }
    }

    fn config_of(&self, manifest: &Digest) -> Result<Digest> {
        let what = format!("manifest {manifest}");
        let bytes = self.content.read_small(manifest, DOCUMENT_MAX)?;
        match manifest::parse(&bytes, &what)? {
            Document::Manifest(manifest) => Ok(manifest.config.digest),
            Document::Index(_) => {
                let why = "it is an index of several images".to_owned();
                Err(ImageError::Malformed { what, why }.into())
            }
        }
    }

    /// Writes the manifest that a Docker archive does not have.
    fn manifest_for(
        &self,
        spool: &Spool,
        config: Digest,
        entry: &Entry,
        lease: &mut Lease,
    ) -> Result<Digest> {
        let bytes = self.content.read_small(&config, DOCUMENT_MAX)?;
        serde_json::from_slice::<ImageConfig>(&bytes)
            .map_err(|source| ImageError::Document { what: entry.config.clone(), source })?;
        let layers = entry.layers.iter().flatten().map(|layer| spool.get(layer));
        let layers: Vec<_> = layers.collect::<Result<_, _>>()?;
        self.write_manifest(config, &layers, lease)
    }

    /// Writes the manifest of blobs that are here.
    pub(super) fn write_manifest(
        &self,
        config: Digest,
        layers: &[Digest],
        lease: &mut Lease,
    ) -> Result<Digest> {
        let descriptor = |digest: &Digest, media_type: &str| -> Result<Descriptor> {
            let size = self.content.size(digest)?.unwrap_or(0);
            let media_type = media_type.to_owned();
            Ok(Descriptor { media_type, digest: *digest, size, platform: None, annotations: None })
        };
        let layers = layers.iter().map(|layer| descriptor(layer, self.layer_type(layer)?));
        let manifest = Manifest {
            schema_version: 2,
            media_type: Some(OCI_MANIFEST.to_owned()),
            annotations: None,
            config: descriptor(&config, CONFIG)?,
            layers: layers.collect::<Result<_>>()?,
        };
        let bytes = serde_json::to_vec(&manifest).map_err(ImageError::encode)?;
        self.content.put_leased(&bytes, lease)
    }

    /// The media type of a layer, by what it is.
    fn layer_type(&self, layer: &Digest) -> Result<&'static str> {
        let mut start = Vec::new();
        let read = Read::take(self.content.read(layer)?, 4).read_to_end(&mut start);
        read.map_err(|e| crate::disk::DiskError::new("read", self.content.path(layer), e))?;
        Ok(crate::codec::Codec::of(&start)?.layer_type())
    }

    /// Ends a lease, and removes what it held that no image needs.
    pub(super) fn collect_leased(&self, lease: Lease) {
        let held = lease.held().to_vec();
        drop(lease);
        let state = self.read();
        for blob in held {
            let used = state.images.values().any(|image| image.blobs.contains(&blob));
            // A blob too many is no reason to fail; the next start tries again.
            if !used && let Err(e) = self.content.delete(&blob) {
                tracing::warn!(%blob, error = %e, "cannot remove an unneeded blob");
            }
        }
    }
}

/// The images of a layout: all its entries; of those that are for several platforms, those for
/// `wanted`.
fn choose<'a>(index: &'a Index, wanted: &Platform) -> Result<Vec<&'a Descriptor>, ImageError> {
    if index.manifests.len() > IMAGES_MAX {
        let why = format!("it has more than {IMAGES_MAX} images");
        return Err(ImageError::Malformed { what: "index.json".into(), why });
    }
    let images: Vec<_> =
        index.manifests.iter().filter(|entry| !manifest::is_attestation(entry)).collect();
    let same_name =
        |one: &Descriptor, other: &Descriptor| manifest::name(one) == manifest::name(other);
    let variants =
        |entry: &&&Descriptor| images.iter().filter(|other| same_name(entry, other)).count() > 1;
    let mut chosen = Vec::new();
    for entry in &images {
        let several = variants(&entry) && entry.platform.is_some();
        let one = Index { manifests: vec![(*entry).clone()], ..index.clone() };
        if !several || one.choose(wanted).is_some() {
            chosen.push(*entry);
        }
    }
    if chosen.is_empty() && !images.is_empty() {
        // For the message.
        manifest::choose(index, wanted)?;
    }
    Ok(chosen)
}

fn add_names(names: &mut Vec<Reference>, more: impl IntoIterator<Item = Reference>) {
    for name in more {
        if !names.contains(&name) {
            names.push(name);
        }
    }
}

/// A name in an archive must have a tag, else it would become `latest` by accident.
fn parse(name: &str) -> Result<Reference, ImageError> {
    let name = Reference::parse(name)?;
    if name.digest().is_some() { Err(ImageError::TagWithDigest) } else { Ok(name.or_latest()) }
}
