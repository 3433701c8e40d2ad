//! Small images, and reading them back.

use bytes::Bytes;
use futures_util::StreamExt as _;
use hull_model::image::Platform;
use hull_model::manifest::Descriptor;
use hull_registry::{BlobStream, Content, Error, Repository, digest};

pub(crate) fn amd64() -> Platform {
    Platform { os: "linux".to_owned(), architecture: "amd64".to_owned(), variant: String::new() }
}

/// Bytes that no two places have alike.
pub(crate) fn noise(length: usize) -> Bytes {
    let mut random = fastrand::Rng::with_seed(7);
    std::iter::repeat_with(|| random.u8(..)).take(length).collect()
}

pub(crate) fn descriptor(media_type: &str, bytes: &[u8]) -> Descriptor {
    Descriptor {
        media_type: media_type.to_owned(),
        digest: digest(bytes),
        size: bytes.len().try_into().unwrap(),
        platform: None,
        annotations: None,
    }
}

pub(crate) fn content(bytes: &Bytes) -> Content {
    let parts: Vec<_> = bytes.chunks(64 * 1024).map(|c| Ok(Bytes::copy_from_slice(c))).collect();
    Box::pin(futures_util::stream::iter(parts))
}

/// A manifest with one layer, as text.
pub(crate) fn manifest(media_type: &str, config: &[u8], layer: &[u8]) -> Bytes {
    let text = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": descriptor("application/vnd.docker.container.image.v1+json", config),
        "layers": [descriptor("application/vnd.docker.image.rootfs.diff.tar.gzip", layer)],
    });
    Bytes::from(text.to_string())
}

/// An index of manifests by platform, as text.
pub(crate) fn index(media_type: &str, entries: &[(&str, &str, &Bytes)]) -> Bytes {
    let entries: Vec<_> = entries
        .iter()
        .map(|(architecture, of, bytes)| {
            let mut entry = descriptor(of, bytes);
            let architecture = (*architecture).to_owned();
            entry.platform = Some(Platform { architecture, ..amd64() });
            entry
        })
        .collect();
    let text = serde_json::json!({
        "schemaVersion": 2, "mediaType": media_type, "manifests": entries,
    });
    Bytes::from(text.to_string())
}

/// Pushes a config, a layer and their manifest under the repository's tag.
pub(crate) async fn push(to: &Repository, media_type: &str, layer: &Bytes) -> Bytes {
    let config = Bytes::from_static(b"{\"os\":\"linux\",\"architecture\":\"amd64\"}");
    for blob in [&config, layer] {
        to.push_blob(&descriptor("x", blob), None, || content(blob)).await.unwrap();
    }
    let manifest = manifest(media_type, &config, layer);
    to.push_manifest(media_type, manifest.clone()).await.unwrap();
    manifest
}

pub(crate) async fn read(mut stream: BlobStream) -> Result<Vec<u8>, Error> {
    let mut all = Vec::new();
    while let Some(part) = stream.next().await {
        all.extend_from_slice(&part?);
    }
    Ok(all)
}
