//! Names of images: `debian`, `debian:12`, `host:5000/a/b@sha256:...`. Pure.

/// A name taken apart, with Docker's defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reference {
    /// `docker.io/library/debian`: registry and path.
    pub(crate) repository: String,
    /// The tag; `latest` when the name has neither tag nor digest.
    pub(crate) tag: Option<String>,
    /// `sha256:...`.
    pub(crate) digest: Option<String>,
    /// Whether `tag` was filled in.
    pub(crate) is_tag_default: bool,
}

impl Reference {
    /// Reads a name.
    ///
    /// # Errors
    /// Docker's message for a name that cannot be one.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let invalid = || "invalid reference format".to_owned();
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) if is_digest(digest) => (rest, Some(digest.to_owned())),
            Some(_) => return Err(invalid()),
            None => (text, None),
        };
        // The last colon separates a tag unless a slash follows it: then it was a port.
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag.to_owned())),
            Some(_) | None => (rest, None),
        };
        if tag.as_deref().is_some_and(|tag| !is_tag(tag)) {
            return Err(invalid());
        }
        let repository = normal(name);
        let path = repository.split_once('/').map_or("", |(_, path)| path);
        if path.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(format!(
                "invalid reference format: repository name ({path}) must be lowercase"
            ));
        }
        let host = repository.split_once('/').map_or("", |(host, _)| host);
        let is_host = is_component(host.split_once(':').map_or(host, |(host, _)| host));
        if !is_host || !path.split('/').all(is_component) || repository.len() > 255 {
            return Err(invalid());
        }
        let is_tag_default = tag.is_none() && digest.is_none();
        let tag = if is_tag_default { Some("latest".to_owned()) } else { tag };
        Ok(Self { repository, tag, digest, is_tag_default })
    }

    /// The name as people write it: without Docker's own registry and library.
    pub(crate) fn familiar(&self) -> String {
        let short = self.repository.strip_prefix("docker.io/").unwrap_or(&self.repository);
        self.with_suffix(short.strip_prefix("library/").unwrap_or(short))
    }

    /// The whole name, registry included.
    pub(crate) fn full(&self) -> String {
        self.with_suffix(&self.repository)
    }

    fn with_suffix(&self, repository: &str) -> String {
        let mut text = repository.to_owned();
        for (mark, part) in [(':', &self.tag), ('@', &self.digest)] {
            if let Some(part) = part {
                text.push(mark);
                text.push_str(part);
            }
        }
        text
    }
}

/// Registry and path: the first part is a registry when it looks like a host.
fn normal(name: &str) -> String {
    match name.split_once('/') {
        Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => match host {
            "index.docker.io" | "docker.io" if !path.contains('/') => {
                format!("docker.io/library/{path}")
            }
            "index.docker.io" => format!("docker.io/{path}"),
            _ => name.to_owned(),
        },
        Some(_) => format!("docker.io/{name}"),
        None => format!("docker.io/library/{name}"),
    }
}

fn is_component(part: &str) -> bool {
    let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = part.as_bytes();
    edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(b))
}

fn is_tag(tag: &str) -> bool {
    (1..=128).contains(&tag.len())
        && !tag.starts_with(['.', '-'])
        && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

fn is_digest(digest: &str) -> bool {
    digest.split_once(':').is_some_and(|(algorithm, hex)| {
        !algorithm.is_empty() && hex.len() >= 32 && hex.bytes().all(|b| b.is_ascii_hexdigit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_get_dockers_defaults() {
        let digest = "a".repeat(64);
        for (text, repository, familiar) in [
            ("busybox", "docker.io/library/busybox", "busybox:latest"),
            ("a/b:1", "docker.io/a/b", "a/b:1"),
            ("docker.io/busybox", "docker.io/library/busybox", "busybox:latest"),
            ("index.docker.io/a/b", "docker.io/a/b", "a/b:latest"),
            ("localhost/x", "localhost/x", "localhost/x:latest"),
            ("r:5000/x:y", "r:5000/x", "r:5000/x:y"),
            ("r:5000/x", "r:5000/x", "r:5000/x:latest"),
            (&*format!("x@sha256:{digest}"), "docker.io/library/x", &*format!("x@sha256:{digest}")),
        ] {
            let read = Reference::parse(text).unwrap();
            assert_eq!((&*read.repository, &*read.familiar()), (repository, familiar), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_a_name_is_refused() {
        for text in [
            "",
            ":",
            "a:",
            "a@b",
            "-a",
            "a//b",
            "a:-x",
            "a b",
            "../a",
            "a/../b",
            "A",
            "x@sha256:zz",
        ] {
            assert!(Reference::parse(text).is_err(), "{text}");
        }
        assert_eq!(
            Reference::parse("BadName").unwrap_err(),
            "invalid reference format: repository name (library/BadName) must be lowercase"
        );
    }
}
