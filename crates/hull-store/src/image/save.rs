//! Images to an archive that Docker old and new, Podman, skopeo and hull read: an OCI layout with
//! Docker's `manifest.json` beside it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::sync::Arc;

use hull_model::image::Digest;
use hull_model::manifest::{Descriptor, Index, OCI_INDEX, OCI_MANIFEST};
use hull_model::reference::Reference;
use serde::Serialize;

use super::{Image, ImageError, Images};
use crate::error::Result;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// An image with the names that go into the archive.
type Chosen = (Arc<Image>, Vec<Reference>);

impl Images {
    /// Writes the images that `texts` name, as a plain archive. A repository without a tag means
    /// all its tags; an id means no name.
    pub fn save(&self, texts: &[String], out: impl Write) -> Result<()> {
        let chosen = self.chosen(texts)?;
        // Held until they are written: somebody may remove an image meanwhile.
        let mut lease = self.content.lease();
        let blobs: BTreeSet<Digest> =
            chosen.iter().flat_map(|(image, _)| image.blobs.iter().copied()).collect();
        blobs.iter().for_each(|blob| lease.add(*blob));
        let mut archive = tar::Builder::new(out);
        for directory in ["blobs/", "blobs/sha256/"] {
            let header = header(tar::EntryType::Directory, 0o755, 0);
            append(&mut archive, header, directory, io::empty())?;
        }
        for blob in &blobs {
            let size = self.content.size(blob)?.unwrap_or(0);
            let header = header(tar::EntryType::Regular, 0o444, size);
            append(&mut archive, header, &path(blob), self.content.read(blob)?)?;
        }
        let mut documents = vec![("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec())];
        documents.push(("index.json", encode(&self.index(&chosen)?)?));
        documents.push(("manifest.json", encode(&entries(&chosen))?));
        for (name, bytes) in documents {
            let header = header(tar::EntryType::Regular, 0o444, bytes.len() as u64);
            append(&mut archive, header, name, bytes.as_slice())?;
        }
        archive.finish().and_then(|()| archive.get_mut().flush()).map_err(ImageError::Write)?;
        Ok(())
    }

    fn chosen(&self, texts: &[String]) -> Result<Vec<Chosen>> {
        let mut chosen: BTreeMap<Digest, Chosen> = BTreeMap::new();
        let mut choose = |image: Arc<Image>, name: Option<Reference>| {
            let names = &mut chosen.entry(image.id).or_insert((image, Vec::new())).1;
            names.extend(name.filter(|name| !names.contains(name)));
        };
        for text in texts {
            let repository = Reference::parse(text).ok();
            let bare = repository.filter(|name| name.tag().is_none() && name.digest().is_none());
            let all = bare.map(|name| self.tags_in(&name)).unwrap_or_default();
            if all.is_empty() {
                let image = self.resolve(text)?;
                let name = Reference::parse(text).ok().filter(|name| name.tag().is_some());
                let name = name.filter(|name| self.read().names.get(name) == Some(&image.id));
                choose(image, name);
            }
            all.into_iter().for_each(|(image, name)| choose(image, Some(name)));
        }
        Ok(chosen.into_values().collect())
    }

    fn tags_in(&self, repository: &Reference) -> Vec<(Arc<Image>, Reference)> {
        let state = self.read();
        let same = |name: &Reference| {
            name.tag().is_some() && name.familiar_name() == repository.familiar_name()
        };
        let names = state.names.iter().filter(|(name, _)| same(name));
        names.filter_map(|(name, id)| Some((state.images.get(id)?.clone(), name.clone()))).collect()
    }

    /// One descriptor for each name, as containerd does.
    fn index(&self, chosen: &[Chosen]) -> Result<Index> {
        let mut manifests = Vec::new();
        for (image, names) in chosen {
            let size = self.content.size(&image.manifest)?.unwrap_or(0);
            let mut add = |annotations| {
                manifests.push(Descriptor {
                    media_type: OCI_MANIFEST.to_owned(),
                    digest: image.manifest,
                    size,
                    platform: Some(image.config.platform.clone()),
                    annotations,
                });
            };
            for name in names {
                let full = format!(
                    "{}/{}:{}",
                    name.registry(),
                    name.path(),
                    name.tag().unwrap_or_default()
                );
                let tag = name.tag().unwrap_or_default().to_owned();
                add(Some(BTreeMap::from([
                    ("io.containerd.image.name".to_owned(), full),
                    ("org.opencontainers.image.ref.name".to_owned(), tag),
                ])));
            }
            if names.is_empty() {
                add(None);
            }
        }
        Ok(Index {
            schema_version: 2,
            media_type: Some(OCI_INDEX.to_owned()),
            manifests,
            annotations: None,
        })
    }
}

fn entries(chosen: &[Chosen]) -> Vec<Entry> {
    let entry = |(image, names): &Chosen| Entry {
        config: path(&image.id),
        repo_tags: (!names.is_empty()).then(|| names.iter().map(ToString::to_string).collect()),
        // After the manifest and the configuration come the layers.
        layers: image.blobs.iter().skip(2).map(path).collect(),
    };
    chosen.iter().map(entry).collect()
}

fn path(blob: &Digest) -> String {
    format!("blobs/sha256/{}", blob.hex())
}

fn encode(document: &impl Serialize) -> Result<Vec<u8>, ImageError> {
    serde_json::to_vec(document).map_err(ImageError::encode)
}

fn header(kind: tar::EntryType, mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

fn append(
    archive: &mut tar::Builder<impl Write>,
    mut header: tar::Header,
    path: &str,
    data: impl Read,
) -> Result<(), ImageError> {
    archive.append_data(&mut header, path, data).map_err(ImageError::Write)
}
