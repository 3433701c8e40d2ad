//! Image references: `registry/path:tag@digest`, by the grammar of the distribution project.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::image::Digest;

/// The registry meant when none is named.
pub const DEFAULT_REGISTRY: &str = "docker.io";

/// A repository, and a tag or a digest in it.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(into = "String", try_from = "String")]
pub struct Reference {
    registry: String,
    path: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// The text is not a reference.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadReference {
    /// Against the grammar.
    #[error("invalid reference format")]
    Format,
    /// Docker names this mistake, and tools match on it.
    #[error("invalid reference format: repository name ({0}) must be lowercase")]
    UpperCase(String),
    /// It would be taken for an image id.
    #[error("invalid repository name ({0}), cannot specify 64-byte hexadecimal strings")]
    Id(String),
}

impl Reference {
    /// Longest `registry/path` (distribution `reference.RepositoryNameTotalLengthMax`).
    const NAME_MAX: usize = 255;
    const TAG_MAX: usize = 128;

    /// Reads `text`; no registry means [`DEFAULT_REGISTRY`], and there a bare name means
    /// `library/name`. Neither tag nor digest is added: see [`Reference::or_latest`].
    pub fn parse(text: &str) -> Result<Self, BadReference> {
        if crate::id::parse_hex(text).is_some() {
            return Err(BadReference::Id(text.to_owned()));
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => {
                (rest, Some(digest.parse().map_err(|_bad_digest| BadReference::Format)?))
            }
            None => (text, None),
        };
        // A colon after the last slash begins a tag; before it, a port.
        let name_end = rest.rfind('/').map_or(0, |slash| slash + 1);
        let (name, tag) = match rest[name_end..].find(':') {
            Some(colon) => (&rest[..name_end + colon], Some(&rest[name_end + colon + 1..])),
            None => (rest, None),
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(BadReference::Format);
        }
        let (registry, path) = split_registry(name);
        if path.chars().any(|c| c.is_ascii_uppercase()) {
            return Err(BadReference::UpperCase(path.to_owned()));
        }
        let path = match registry {
            DEFAULT_REGISTRY if !path.contains('/') => format!("library/{path}"),
            _ => path.to_owned(),
        };
        let too_long = registry.len() + 1 + path.len() > Self::NAME_MAX;
        if too_long || !is_registry(registry) || !path.split('/').all(is_component) {
            return Err(BadReference::Format);
        }
        Ok(Self { registry: registry.to_owned(), path, tag: tag.map(str::to_owned), digest })
    }

    /// The same, with the tag `latest` where there is neither tag nor digest.
    #[must_use]
    pub fn or_latest(mut self) -> Self {
        if self.tag.is_none() && self.digest.is_none() {
            self.tag = Some("latest".to_owned());
        }
        self
    }

    /// The same repository with `tag` instead of its own tag and digest.
    pub fn with_tag(&self, tag: &str) -> Result<Self, BadReference> {
        if !is_tag(tag) {
            return Err(BadReference::Format);
        }
        Ok(Self { tag: Some(tag.to_owned()), digest: None, ..self.clone() })
    }

    /// The same repository with `digest` instead of its own tag and digest.
    #[must_use]
    pub fn with_digest(&self, digest: Digest) -> Self {
        Self { tag: None, digest: Some(digest), ..self.clone() }
    }

    /// `docker.io`, `localhost:5000`.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The repository within its registry: `library/debian`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The tag, if one is given.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, if one is given.
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// The repository as people write it: `debian`, `localhost:5000/app`.
    pub fn familiar_name(&self) -> String {
        if self.registry != DEFAULT_REGISTRY {
            return format!("{}/{}", self.registry, self.path);
        }
        match self.path.strip_prefix("library/") {
            Some(bare) if !bare.contains('/') => bare.to_owned(),
            _ => self.path.clone(),
        }
    }
}

impl fmt::Display for Reference {
    /// As people write it, without the defaults. Parses to the same value again.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.familiar_name())?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

impl From<Reference> for String {
    fn from(reference: Reference) -> Self {
        reference.to_string()
    }
}

impl TryFrom<String> for Reference {
    type Error = BadReference;

    fn try_from(text: String) -> Result<Self, BadReference> {
        Self::parse(&text)
    }
}

/// The first part is a registry if it could not be a path: it has a dot, a port or upper case, or
/// is `localhost`.
fn split_registry(name: &str) -> (&str, &str) {
    let (registry, path) = match name.split_once('/') {
        Some((first, rest))
            if first.contains(['.', ':'])
                || first == "localhost"
                || first.chars().any(|c| c.is_ascii_uppercase()) =>
        {
            (first, rest)
        }
        _ => (DEFAULT_REGISTRY, name),
    };
    if registry == "index.docker.io" { (DEFAULT_REGISTRY, path) } else { (registry, path) }
}

/// A host name or address, with a port or without.
fn is_registry(text: &str) -> bool {
    let (host, port) = match text.rfind(':') {
        Some(colon) if !text.ends_with(']') => (&text[..colon], Some(&text[colon + 1..])),
        _ => (text, None),
    };
    if port.is_some_and(|port| port.parse::<u16>().is_err() || port.starts_with('+')) {
        return false;
    }
    if let Some(address) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    host.split('.').all(|label| {
        !label.is_empty()
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    })
}

/// `[a-z0-9]+` joined by `.`, `_`, `__` or any number of `-`.
fn is_component(text: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    let ends = |byte: Option<&u8>| byte.is_some_and(|b| alphanumeric(*b));
    ends(bytes.first())
        && ends(bytes.last())
        && text.split(|c: char| alphanumeric(u8::try_from(c).unwrap_or(b'!'))).all(|separator| {
            matches!(separator, "" | "." | "_" | "__") || separator.bytes().all(|b| b == b'-')
        })
}

/// `[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}`.
fn is_tag(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    text.len() <= Reference::TAG_MAX
        && text.bytes().next().is_some_and(word)
        && text.bytes().all(|b| word(b) || matches!(b, b'.' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> String {
        match Reference::parse(text) {
            Ok(r) => format!("{} {} {}", r.registry(), r.path(), r.tag().unwrap_or("-")),
            Err(e) => e.to_string(),
        }
    }

    #[test]
    fn references_are_read_as_docker_reads_them() {
        assert_eq!(read("debian"), "docker.io library/debian -");
        assert_eq!(read("debian:12"), "docker.io library/debian 12");
        assert_eq!(read("a/b"), "docker.io a/b -");
        assert_eq!(read("docker.io/debian"), "docker.io library/debian -");
        assert_eq!(read("index.docker.io/library/debian"), "docker.io library/debian -");
        assert_eq!(read("localhost/x:1"), "localhost x 1");
        assert_eq!(read("localhost:5000/a/b:x.Y-z"), "localhost:5000 a/b x.Y-z");
        assert_eq!(read("[::1]:5000/a"), "[::1]:5000 a -");
        assert_eq!(read("a__b/c---d.e_f"), "docker.io a__b/c---d.e_f -");
    }

    #[test]
    fn what_is_against_the_grammar_is_refused() {
        for bad in [
            "",
            " ",
            "/a",
            "a/",
            "a//b",
            ":1",
            "a:",
            "a:b:c",
            "a@",
            "a@sha256:12",
            "-a",
            "a-",
            "a___b",
            "a..b",
            "host:port/a",
            "host:99999/a",
            "a:-x",
            "a b",
            "é",
            "../../etc/passwd",
            "a/../b",
            "x.y/",
        ] {
            assert_eq!(read(bad), "invalid reference format", "{bad:?}");
        }
        assert_eq!(
            read("Debian"),
            "invalid reference format: repository name (Debian) must be lowercase"
        );
        assert!(read(&"a".repeat(64)).contains("64-byte hexadecimal"));
        assert_eq!(read(&"a".repeat(300)), "invalid reference format");
    }

    #[test]
    fn latest_is_only_added_where_nothing_is_said() {
        let digest = format!("a@sha256:{}", "0".repeat(64));
        for (text, full) in [("a", "a:latest"), ("a:1", "a:1"), (digest.as_str(), digest.as_str())]
        {
            assert_eq!(Reference::parse(text).unwrap().or_latest().to_string(), full);
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_and_every_reference_reads_back(text in "[a-zA-Z0-9:/@._\\[\\]é-]{0,40}") {
            if let Ok(reference) = Reference::parse(&text) {
                prop_assert_eq!(Reference::parse(&reference.to_string()), Ok(reference));
            }
        }
    }
}
