//! From what people write to images, and back.

use std::collections::HashMap;
use std::sync::Arc;

use hull_model::image::Digest;
use hull_model::reference::{BadReference, Reference};

use super::{Image, ImageError, Images, NAMES, State};
use crate::error::Result;
use crate::layer::ChainId;
use crate::records::Change;

/// An image with what it is called.
#[derive(Clone, Debug)]
pub struct Named {
    /// The image.
    pub image: Arc<Image>,
    /// Its names with tags.
    pub tags: Vec<Reference>,
    /// Its names with digests.
    pub digests: Vec<Reference>,
}

/// One step of an image's making, the last one first.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HistoryRow {
    /// The image, for the last step only.
    pub id: Option<Digest>,
    /// RFC 3339, as the image has it.
    pub created: Option<String>,
    /// The command.
    pub created_by: String,
    /// Free text.
    pub comment: String,
    /// Bytes it added.
    pub size: u64,
    /// The image's names, for the last step only.
    pub tags: Vec<Reference>,
}

/// What images take.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ImageSizes {
    /// Bytes of all layers, shared ones once.
    pub layers: u64,
    /// For each image, the bytes that it shares with others.
    pub shared: HashMap<Digest, u64>,
}

impl Images {
    /// The image that `text` names: by name (`latest` if there is no tag), by name and digest, by
    /// id, or by a unique beginning of an id.
    pub fn resolve(&self, text: &str) -> Result<Arc<Image>> {
        let state = self.read();
        let id = state.find(text)?;
        match state.images.get(&id) {
            Some(image) => Ok(Arc::clone(image)),
            None => Err(ImageError::Missing(text.to_owned()).into()),
        }
    }

    /// The image with this id.
    pub fn get(&self, id: &Digest) -> Option<Arc<Image>> {
        self.read().images.get(id).cloned()
    }

    /// The image that `text` names, with all its names.
    pub fn inspect(&self, text: &str) -> Result<Named> {
        let image = self.resolve(text)?;
        Ok(self.read().named(&image))
    }

    /// Every image, the last one to come first.
    pub fn list(&self) -> Vec<Named> {
        let state = self.read();
        let mut all: Vec<_> = state.images.values().map(|image| state.named(image)).collect();
        all.sort_by_key(|named| (std::cmp::Reverse(named.image.added), named.image.id));
        all
    }

    /// Gives an image a name, which another one may lose by it. Without a tag it is `latest`.
    /// Returns the name and whose it was.
    pub fn tag(&self, id: &Digest, name: &Reference) -> Result<(Reference, Option<Digest>)> {
        if name.digest().is_some() {
            return Err(ImageError::TagWithDigest.into());
        }
        let name = name.clone().or_latest();
        let former = self.set_name(id, &name)?;
        Ok((name, former.filter(|former| former != id)))
    }

    /// Remembers that a registry has an image under `repository@digest`.
    pub fn add_digest(&self, id: &Digest, repository: &Reference, digest: Digest) -> Result<()> {
        self.set_name(id, &repository.with_digest(digest))?;
        Ok(())
    }

    fn set_name(&self, id: &Digest, name: &Reference) -> Result<Option<Digest>> {
        let mut state = self.write();
        if !state.images.contains_key(id) {
            return Err(ImageError::Missing(id.to_string()).into());
        }
        let value = serde_json::to_vec(id).map_err(ImageError::encode)?;
        self.records.batch(&[Change::Put(NAMES, name.to_string(), value)])?;
        Ok(state.names.insert(name.clone(), *id))
    }

    /// How an image came to be, the last step first.
    pub fn history(&self, text: &str) -> Result<Vec<HistoryRow>> {
        let Named { image, tags, .. } = self.inspect(text)?;
        let mut sizes =
            image.layers.iter().map(|layer| self.layers.get(layer).map_or(0, |found| found.size));
        let mut rows: Vec<_> = image
            .config
            .history
            .iter()
            .flatten()
            .map(|step| HistoryRow {
                id: None,
                created: step.created.clone(),
                created_by: step.created_by.clone().unwrap_or_default(),
                comment: step.comment.clone().unwrap_or_default(),
                size: if step.empty_layer { 0 } else { sizes.next().unwrap_or(0) },
                tags: Vec::new(),
            })
            .collect();
        rows.reverse();
        if let Some(last) = rows.first_mut() {
            (last.id, last.tags) = (Some(image.id), tags);
        }
        Ok(rows)
    }

    /// What the images take, together and in common.
    pub fn sizes(&self) -> ImageSizes {
        let state = self.read();
        let mut users: HashMap<ChainId, u32> = HashMap::new();
        for layer in state.images.values().flat_map(|image| &image.layers) {
            *users.entry(*layer).or_default() += 1;
        }
        let size = |layer: &ChainId| self.layers.get(layer).map_or(0, |found| found.size);
        let shared = state.images.values().map(|image| {
            let common = image.layers.iter().filter(|layer| users[*layer] > 1);
            (image.id, common.map(size).fold(0, u64::saturating_add))
        });
        let shared = shared.collect();
        ImageSizes { layers: users.keys().map(size).fold(0, u64::saturating_add), shared }
    }
}

impl State {
    /// The id that `text` stands for.
    pub(super) fn find(&self, text: &str) -> Result<Digest, ImageError> {
        if let Ok(id) = text.parse::<Digest>() {
            let known = self.images.contains_key(&id);
            return if known { Ok(id) } else { Err(ImageError::Missing(text.to_owned())) };
        }
        let reference = match Reference::parse(text) {
            Ok(reference) => Some(reference.or_latest()),
            // 64 digits are an id and cannot be a name.
            Err(BadReference::Id(_)) => None,
            Err(e) => return Err(e.into()),
        };
        if let Some(id) = reference.as_ref().and_then(|reference| self.by_name(reference)) {
            return Ok(id);
        }
        if let Some(found) = self.by_prefix(text, text.strip_prefix("sha256:").unwrap_or(text)) {
            return found;
        }
        let text = reference.map_or_else(|| text.to_owned(), |reference| reference.to_string());
        Err(ImageError::Missing(text))
    }

    /// A name with a digest counts by the digest alone, as in Docker.
    fn by_name(&self, reference: &Reference) -> Option<Digest> {
        match reference.digest() {
            None => self.names.get(reference).copied(),
            Some(digest) => self.names.get(&reference.with_digest(digest)).copied(),
        }
    }

    fn by_prefix(&self, text: &str, prefix: &str) -> Option<Result<Digest, ImageError>> {
        let hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        if prefix.is_empty() || prefix.len() > 64 || !prefix.bytes().all(hex) {
            return None;
        }
        let mut matching = self.images.keys().filter(|id| id.hex().starts_with(prefix));
        let first = matching.next()?;
        Some(match matching.next() {
            None => Ok(*first),
            Some(_) => Err(ImageError::Ambiguous(text.to_owned())),
        })
    }

    pub(super) fn named(&self, image: &Arc<Image>) -> Named {
        let names = self.names.iter().filter(|(_, id)| **id == image.id).map(|(name, _)| name);
        let (digests, tags) = names.cloned().partition(|name| name.digest().is_some());
        Named { image: Arc::clone(image), tags, digests }
    }
}
