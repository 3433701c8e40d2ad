//! A layer as an image archive: an OCI layout that is a `docker save` archive as well.

#[cfg(test)]
use std::io;
use std::io::{Cursor, Read};

use serde_json::json;
use sha2::{Digest as _, Sha256};
use tar::{EntryType, Header};

use super::layer::{Layer, hex};
use super::{BootstrapError, architecture};

/// What the image says about itself.
pub(crate) struct Description {
    /// `debian:bookworm`.
    pub(crate) name: String,
    /// What runs when nothing else is asked for.
    pub(crate) command: &'static str,
    /// The command line that made it, for `history`.
    pub(crate) made_by: String,
    /// When it was made, as far as anybody is told: seconds of Unix time.
    pub(crate) epoch: u64,
}

const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The archive as a stream, and the image's id.
///
/// # Errors
/// When the layer is too large for a tar header.
pub(crate) fn archive(
    layer: Layer,
    description: &Description,
) -> Result<(impl Read + Send + 'static, String), BootstrapError> {
    let created = time(description.epoch);
    let config = serde_json::to_vec(&json!({
        "architecture": architecture(),
        "config": { "Cmd": [description.command], "Env": [PATH] },
        "created": created,
        "history": [{ "created": created, "created_by": description.made_by }],
        "os": "linux",
        "rootfs": { "diff_ids": [layer.digest], "type": "layers" },
    }))?;
    let config_digest = digest(&config);
    let manifest = serde_json::to_vec(&json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": config_digest,
            "size": config.len(),
        },
        "layers": [{
            "mediaType": "application/vnd.oci.image.layer.v1.tar",
            "digest": layer.digest,
            "size": layer.size,
        }],
    }))?;
    let tag = description.name.rsplit_once(':').map_or("latest", |(_, tag)| tag);
    let index = serde_json::to_vec(&json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [{
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": digest(&manifest),
            "size": manifest.len(),
            "annotations": {
                "io.containerd.image.name": format!("docker.io/library/{}", description.name),
                "org.opencontainers.image.ref.name": tag,
            },
        }],
    }))?;
    let docker = serde_json::to_vec(&json!([{
        "Config": blob(&config_digest),
        "RepoTags": [description.name],
        "Layers": [blob(&layer.digest)],
    }]))?;
    let mut head = Vec::new();
    for (path, bytes) in [
        (blob(&config_digest), &config[..]),
        (blob(&digest(&manifest)), &manifest),
        ("index.json".to_owned(), &index),
        ("manifest.json".to_owned(), &docker),
        ("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#),
    ] {
        head.extend(header(&path, bytes.len() as u64)?);
        head.extend(bytes);
        head.resize(head.len().next_multiple_of(BLOCK_BYTES), 0);
    }
    head.extend(header(&blob(&layer.digest), layer.size)?);
    // The layer ends at a block, as every tar does; two empty blocks end the archive.
    let tail = vec![0; 2 * BLOCK_BYTES];
    let stream = Cursor::new(head).chain(layer.file.take(layer.size)).chain(Cursor::new(tail));
    Ok((stream, config_digest))
}

const BLOCK_BYTES: usize = 512;

fn header(path: &str, size: u64) -> Result<Vec<u8>, BootstrapError> {
    let mut header = Header::new_gnu();
    header.set_path(path).map_err(BootstrapError::Layer)?;
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header.set_cksum();
    Ok(header.as_bytes().to_vec())
}

fn blob(digest: &str) -> String {
    format!("blobs/{}", digest.replace(':', "/"))
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(&Sha256::digest(bytes)))
}

/// RFC 3339; a moment too far away to be one is Unix time's first.
fn time(epoch: u64) -> String {
    let seconds = i64::try_from(epoch).unwrap_or(0);
    jiff::Timestamp::from_second(seconds).unwrap_or_default().to_string()
}

/// Reads an archive whole; only for tests, where it is small.
#[cfg(test)]
pub(super) fn read_all(mut stream: impl io::Read) -> Vec<u8> {
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    all
}
