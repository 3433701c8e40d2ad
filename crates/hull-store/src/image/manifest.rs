//! What the store asks of manifests and indexes beyond their form.

use hull_model::image::Platform;
use hull_model::manifest::{Descriptor, Document, Index};

use super::ImageError;

/// Longest manifest, index or configuration that is read: 4 MiB, as registries accept.
pub const DOCUMENT_MAX: u64 = 4 << 20;

/// OCI's media type of a configuration.
pub(super) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// Reads the manifest or index called `what`.
pub(super) fn parse(bytes: &[u8], what: &str) -> Result<Document, ImageError> {
    Document::parse(bytes, None)
        .map_err(|source| ImageError::Manifest { what: what.to_owned(), source })
}

/// The variant for `wanted`, or the error that says what there is instead.
pub fn choose<'a>(index: &'a Index, wanted: &Platform) -> Result<&'a Descriptor, ImageError> {
    index.choose(wanted).ok_or_else(|| {
        let offered = index.manifests.iter().filter(|entry| !is_attestation(entry));
        let offered = offered.filter_map(|entry| entry.platform.as_ref()).take(20);
        let offered: Vec<_> = offered.map(ToString::to_string).collect();
        ImageError::Platform { wanted: wanted.to_string(), offered: offered.join(", ") }
    })
}

/// Whether an entry describes another image's making rather than an image (BuildKit).
pub(super) fn is_attestation(entry: &Descriptor) -> bool {
    let annotations = entry.annotations.as_ref();
    annotations.is_some_and(|all| all.contains_key("vnd.docker.reference.type"))
}

/// The name that an archive gives to an entry.
pub(super) fn name(entry: &Descriptor) -> Option<&str> {
    let annotations = entry.annotations.as_ref()?;
    if let Some(name) = annotations.get("io.containerd.image.name") {
        return Some(name);
    }
    // OCI's own annotation is often a bare tag, which says nothing without a repository.
    let name = annotations.get("org.opencontainers.image.ref.name")?;
    name.contains(['/', ':']).then_some(name.as_str())
}

/// The platform hull runs on.
pub fn host_platform() -> Platform {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "powerpc64" => "ppc64le",
        other => other,
    };
    Platform { os: "linux".into(), architecture: architecture.into(), variant: String::new() }
}
