//! Manifests and indexes: which blobs an image is made of, in OCI's words and in Docker's.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::image::{Digest, Platform};

/// Docker's manifest, version 2 schema 2.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker's list of manifests by platform.
pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// OCI's manifest.
pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// OCI's list of manifests by platform.
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// Both media types of Docker's abandoned schema 1 begin like this.
const DOCKER_SCHEMA_1: &str = "application/vnd.docker.distribution.manifest.v1+";

/// A blob by content: what it is, its digest and its size.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the blob holds.
    pub media_type: String,
    /// Names and verifies it.
    pub digest: Digest,
    /// Its exact length in bytes.
    pub size: u64,
    /// For entries of an index: what the manifest is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Free text by key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
}

/// One image for one platform.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u32,
    /// [`OCI_MANIFEST`] or [`DOCKER_MANIFEST`]; OCI's may leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The image's configuration.
    pub config: Descriptor,
    /// Its layers, lowest first.
    pub layers: Vec<Descriptor>,
    /// Free text by key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
}

/// The same image for several platforms.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u32,
    /// [`OCI_INDEX`] or [`DOCKER_LIST`]; OCI's may leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The manifests, best first.
    pub manifests: Vec<Descriptor>,
    /// Free text by key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
}

/// What a registry or an image layout answers for a reference.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Document {
    /// One platform.
    Manifest(Manifest),
    /// A choice of platforms.
    Index(Index),
}

/// The bytes are not a manifest or index hull can use.
#[derive(Debug, thiserror::Error)]
pub enum BadManifest {
    /// Not JSON of the expected shape.
    #[error("invalid manifest")]
    Json(#[from] serde_json::Error),
    /// Docker stopped reading these in version 28.
    #[error(
        "Docker image manifest version 2, schema 1 is not supported; hint: push the image again with a current client"
    )]
    Schema1,
    /// A version other than 2.
    #[error("unsupported manifest schema version {0}")]
    Version(u64),
    /// Neither of the four types above.
    #[error("unsupported manifest media type {0:?}")]
    MediaType(String),
    /// Read in two ways, it would be two images with one digest (CVE-2021-41190).
    #[error("ambiguous manifest: {0}")]
    Ambiguous(&'static str),
}

/// The fields that tell the kinds apart.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outline {
    #[serde(default)]
    schema_version: Option<u64>,
    #[serde(default)]
    media_type: Option<String>,
    #[serde(default)]
    manifests: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    layers: Option<serde::de::IgnoredAny>,
    #[serde(default)]
    config: Option<serde::de::IgnoredAny>,
    #[serde(default, rename = "fsLayers")]
    fs_layers: Option<serde::de::IgnoredAny>,
}

impl Document {
    /// Reads a manifest or index whose media type is `told` by the transport, if it says.
    ///
    /// A type in the text must be of the same kind, and a text with the fields of both kinds is
    /// refused.
    pub fn parse(bytes: &[u8], told: Option<&str>) -> Result<Self, BadManifest> {
        let told = told.filter(|told| told.starts_with("application/vnd."));
        if told.is_some_and(|told| told.starts_with(DOCKER_SCHEMA_1)) {
            return Err(BadManifest::Schema1);
        }
        let outline: Outline = serde_json::from_slice(bytes)?;
        match outline.schema_version {
            Some(2) => {}
            Some(1) => return Err(BadManifest::Schema1),
            other => return Err(BadManifest::Version(other.unwrap_or(0))),
        }
        if outline.is_index()? != kind_of(told)?.unwrap_or(outline.is_index()?) {
            return Err(BadManifest::Ambiguous("media type and content are of different kinds"));
        }
        Ok(if outline.is_index()? {
            Self::Index(serde_json::from_slice(bytes)?)
        } else {
            Self::Manifest(serde_json::from_slice(bytes)?)
        })
    }

    /// The media type to store it under, when the transport told none.
    pub fn media_type(&self) -> &str {
        match self {
            Self::Manifest(manifest) => manifest.media_type.as_deref().unwrap_or(OCI_MANIFEST),
            Self::Index(index) => index.media_type.as_deref().unwrap_or(OCI_INDEX),
        }
    }
}

impl Outline {
    fn is_index(&self) -> Result<bool, BadManifest> {
        let of_manifest =
            self.layers.is_some() || self.config.is_some() || self.fs_layers.is_some();
        let is_index = match (self.manifests.is_some(), of_manifest) {
            (true, true) => return Err(BadManifest::Ambiguous("both manifests and layers")),
            (is_index, _) => is_index,
        };
        match kind_of(self.media_type.as_deref())? {
            Some(named) if named != is_index => {
                Err(BadManifest::Ambiguous("mediaType and fields are of different kinds"))
            }
            _ => Ok(is_index),
        }
    }
}

/// Whether a media type means an index; `None` if there is none.
fn kind_of(media_type: Option<&str>) -> Result<Option<bool>, BadManifest> {
    match media_type {
        None => Ok(None),
        Some(DOCKER_MANIFEST | OCI_MANIFEST) => Ok(Some(false)),
        Some(DOCKER_LIST | OCI_INDEX) => Ok(Some(true)),
        Some(other) if other.starts_with(DOCKER_SCHEMA_1) => Err(BadManifest::Schema1),
        Some(other) => Err(BadManifest::MediaType(other.chars().take(100).collect())),
    }
}

impl Index {
    /// The entry for `wanted`: the best variant it can run, the first of equals; else the first
    /// entry that names no platform.
    ///
    /// The operating system's version is ignored, and so are entries that are neither manifests
    /// nor indexes.
    pub fn choose(&self, wanted: &Platform) -> Option<&Descriptor> {
        let usable = || {
            self.manifests.iter().filter(|entry| {
                matches!(
                    entry.media_type.as_str(),
                    DOCKER_MANIFEST | OCI_MANIFEST | DOCKER_LIST | OCI_INDEX
                )
            })
        };
        variants(wanted)
            .iter()
            .find_map(|variant| {
                usable().find(|entry| {
                    entry.platform.as_ref().is_some_and(|offered| {
                        offered.os == wanted.os
                            && offered.architecture == wanted.architecture
                            && canonical(offered) == *variant
                    })
                })
            })
            .or_else(|| usable().find(|entry| entry.platform.is_none()))
    }
}

/// The variant, with the ones everybody leaves out written as empty (containerd `platforms`,
/// `normalizeArch`).
fn canonical(platform: &Platform) -> &str {
    match (platform.architecture.as_str(), platform.variant.as_str()) {
        ("amd64", "v1") | ("arm64", "v8" | "8") => "",
        ("arm", "" | "7") => "v7",
        ("arm", "6") => "v6",
        ("arm", "5") => "v5",
        (_, variant) => variant,
    }
}

/// The variants that run on `wanted`, best first.
fn variants(wanted: &Platform) -> Vec<&str> {
    let own = canonical(wanted);
    let older: &[&str] = match (wanted.architecture.as_str(), own) {
        ("amd64", "v4") => &["v3", "v2", ""],
        ("amd64", "v3") => &["v2", ""],
        ("amd64", "v2") => &[""],
        ("arm", "v8") => &["v7", "v6", "v5"],
        ("arm", "v7") => &["v6", "v5"],
        ("arm", "v6") => &["v5"],
        ("arm64", variant) if !variant.is_empty() => &[""],
        _ => &[],
    };
    std::iter::once(own).chain(older.iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

    fn kind(text: &str, told: Option<&str>) -> String {
        match Document::parse(text.as_bytes(), told) {
            Ok(document) => document.media_type().to_owned(),
            Err(BadManifest::Json(_)) => "json".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn the_four_kinds_are_told_apart_and_nothing_else_is_taken() {
        let blob = format!(r#"{{"mediaType":"x","digest":"{DIGEST}","size":3}}"#);
        let manifest = format!(r#"{{"schemaVersion":2,"config":{blob},"layers":[{blob}]}}"#);
        let index = r#"{"schemaVersion":2,"manifests":[]}"#;
        assert_eq!(kind(&manifest, None), OCI_MANIFEST);
        assert_eq!(kind(&manifest, Some("text/plain")), OCI_MANIFEST);
        assert_eq!(kind(&manifest, Some(DOCKER_MANIFEST)), OCI_MANIFEST);
        assert_eq!(kind(index, Some(DOCKER_LIST)), OCI_INDEX);
        assert!(kind(index, Some(OCI_MANIFEST)).starts_with("ambiguous"));
        assert!(kind(&manifest, Some(OCI_INDEX)).starts_with("ambiguous"));
        let both = format!(r#"{{"schemaVersion":2,"config":{blob},"layers":[],"manifests":[]}}"#);
        assert!(kind(&both, None).starts_with("ambiguous"));
        let lying = format!(r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","layers":[]}}"#);
        assert!(kind(&lying, None).starts_with("ambiguous"));
        for schema_1 in ["v1+json", "v1+prettyjws"] {
            let told = format!("application/vnd.docker.distribution.manifest.{schema_1}");
            assert!(kind("{}", Some(&told)).contains("schema 1 is not supported"));
        }
        assert!(kind(r#"{"schemaVersion":1,"fsLayers":[]}"#, None).contains("schema 1"));
        assert!(kind("{}", None).contains("version 0"));
        assert!(kind(r#"{"schemaVersion":2}"#, None) == "json");
        assert!(kind(&manifest.replace("\"size\":3", "\"size\":-3"), None) == "json");
        assert!(kind(&manifest.replace("sha256:0", "sha256:/"), None) == "json");
        assert!(kind(index, Some("application/vnd.cncf.helm")).contains("unsupported"));
        assert_eq!(kind(&"[".repeat(100_000), None), "json");
    }

    fn chosen(wanted: &str, offered: &[&str]) -> Option<usize> {
        let platform = |text: &str| {
            let mut parts = text.split('/').map(str::to_owned);
            let mut next = || parts.next().unwrap_or_default();
            Platform { os: next(), architecture: next(), variant: next() }
        };
        let entries = offered.iter().zip(0..).map(|(text, size)| Descriptor {
            media_type: OCI_MANIFEST.to_owned(),
            digest: DIGEST.parse().unwrap(),
            size,
            platform: (!text.is_empty()).then(|| platform(text)),
            annotations: None,
        });
        let index = Index {
            schema_version: 2,
            media_type: None,
            manifests: entries.collect(),
            annotations: None,
        };
        index.choose(&platform(wanted)).map(|entry| usize::try_from(entry.size).unwrap())
    }

    #[test]
    fn the_best_variant_that_runs_is_chosen() {
        let list = ["linux/arm64/v8", "linux/amd64/v3", "linux/amd64/v1", "unknown/unknown"];
        assert_eq!(chosen("linux/amd64", &list), Some(2));
        assert_eq!(chosen("linux/amd64/v2", &list), Some(2));
        assert_eq!(chosen("linux/amd64/v4", &list), Some(1));
        assert_eq!(chosen("linux/arm64", &list), Some(0));
        assert_eq!(chosen("linux/s390x", &list), None);
        assert_eq!(chosen("windows/amd64", &list), None);
        assert_eq!(chosen("linux/arm", &["linux/arm/v8", "linux/arm/v6"]), Some(1));
        assert_eq!(chosen("linux/amd64", &["linux/arm64", ""]), Some(1));
        assert_eq!(chosen("linux/amd64", &["linux/amd64/v3"]), None);
    }
}
