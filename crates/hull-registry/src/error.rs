//! What can go wrong with a registry, in the words Docker's users know.

use std::fmt;
use std::time::Duration;

use http::{Method, StatusCode};
use hull_model::image::{Digest, Platform};
use hull_model::manifest::BadManifest;
use serde::Deserialize;

use crate::config::ConfigError;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// A call to a registry did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The repository has no such tag or digest.
    #[error("manifest for {reference} not found: {refusal}")]
    ManifestUnknown {
        /// What was asked for.
        reference: String,
        /// The registry's words.
        refusal: Refusal,
    },
    /// The registry knows no such repository.
    #[error("repository {repository} not found: {refusal}")]
    RepositoryUnknown {
        /// What was asked for.
        repository: String,
        /// The registry's words.
        refusal: Refusal,
    },
    /// It is not there, or not for these credentials; registries do not say which.
    #[error(
        "pull access denied for {repository}, repository does not exist or may require 'docker login': {refusal}"
    )]
    PullDenied {
        /// What was asked for.
        repository: String,
        /// The registry's words.
        refusal: Refusal,
    },
    /// The credentials, or their absence, were not accepted.
    #[error("{method} {url}: {refusal}")]
    Unauthorized {
        /// The request.
        method: Method,
        /// Its URL, without the query.
        url: String,
        /// The registry's words.
        refusal: Refusal,
    },
    /// Any other answer that is no success.
    #[error("{method} {url}: unexpected status {status}: {refusal}")]
    Status {
        /// The request.
        method: Method,
        /// Its URL, without the query.
        url: String,
        /// The answer.
        status: StatusCode,
        /// The registry's words.
        refusal: Refusal,
        /// How long it asks to be left alone.
        after: Option<Duration>,
    },
    /// The image is not made for this platform.
    #[error("no matching manifest for {0} in the manifest list entries")]
    NoPlatform(Platform),
    /// Something that is no manifest.
    #[error("read the manifest of {reference}")]
    Manifest {
        /// What was asked for.
        reference: String,
        /// Why.
        source: BadManifest,
    },
    /// Indexes within indexes.
    #[error("read the manifest of {0}: indexes are nested too deeply")]
    Nested(String),
    /// The content is not what its digest says.
    #[error("{what} has the digest {found}, expected {expected}")]
    Digest {
        /// What was received.
        what: String,
        /// Its name.
        expected: Digest,
        /// Of its bytes.
        found: Digest,
    },
    /// The content is longer or shorter than announced.
    #[error("{what} has {found} bytes, expected {expected}")]
    Size {
        /// What was received.
        what: String,
        /// As announced.
        expected: u64,
        /// As received, or at least as much.
        found: u64,
    },
    /// A part that was not asked for.
    #[error("the registry sent another part of {0} than it was asked for")]
    Range(String),
    /// An answer that must be small is not.
    #[error("the answer of {url} is longer than {limit} bytes")]
    TooLong {
        /// The URL, without the query.
        url: String,
        /// The bound.
        limit: usize,
    },
    /// There is no connection to be had.
    #[error("connect to {host}")]
    Connect {
        /// Host and port.
        host: String,
        /// Why.
        source: Cause,
    },
    /// The connection broke, or what came is not HTTP.
    #[error("{method} {url}: the connection broke")]
    Broken {
        /// The request.
        method: Method,
        /// Its URL, without the query.
        url: String,
        /// Why.
        source: Cause,
    },
    /// Nothing came, or nothing was taken, for too long.
    #[error("{method} {url}: nothing happened for {} s", after.as_secs())]
    Stalled {
        /// The request.
        method: Method,
        /// Its URL, without the query.
        url: String,
        /// The bound.
        after: Duration,
    },
    /// The registry sends hull where it does not go.
    #[error("{url} refers to a location that is not followed: {why}")]
    Location {
        /// The URL that was asked, without the query.
        url: String,
        /// Why not.
        why: &'static str,
    },
    /// The token server's answer or address is of no use.
    #[error("get a token from {realm:?} for {registry}: {why}")]
    Token {
        /// The registry that sent hull there.
        registry: String,
        /// The token server as the registry named it.
        realm: String,
        /// What is wrong.
        why: &'static str,
    },
    /// The content to push could not be read.
    #[error("read the content of {digest} to push")]
    Content {
        /// Whose.
        digest: Digest,
        /// Why.
        source: std::io::Error,
    },
    /// No registry can be called so.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// What a face makes of an error.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Docker answers 404, for what is denied as well.
    NotFound,
    /// The credentials are wrong or missing.
    Unauthorized,
    /// The registry is overrun, or has a limit on pulls.
    Limited,
    /// The registry cannot be reached or fails.
    Unavailable,
    /// The registry answers nonsense, or lies.
    Invalid,
}

impl Error {
    /// What a face makes of it.
    pub fn kind(&self) -> Kind {
        match self {
            Self::ManifestUnknown { .. }
            | Self::RepositoryUnknown { .. }
            | Self::PullDenied { .. }
            | Self::NoPlatform(_) => Kind::NotFound,
            Self::Unauthorized { .. } => Kind::Unauthorized,
            Self::Status { status, .. } => match *status {
                StatusCode::TOO_MANY_REQUESTS => Kind::Limited,
                StatusCode::NOT_FOUND => Kind::NotFound,
                StatusCode::FORBIDDEN => Kind::Unauthorized,
                _ => Kind::Unavailable,
            },
            Self::Connect { .. }
            | Self::Broken { .. }
            | Self::Stalled { .. }
            | Self::Content { .. } => Kind::Unavailable,
            Self::Manifest { .. }
            | Self::Nested(_)
            | Self::Digest { .. }
            | Self::Size { .. }
            | Self::Range(_)
            | Self::TooLong { .. }
            | Self::Location { .. }
            | Self::Token { .. }
            | Self::Config(_) => Kind::Invalid,
        }
    }

    /// Whether the same call may succeed a little later.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Status { status, .. } => {
                status.is_server_error()
                    || matches!(
                        *status,
                        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT
                    )
            }
            Self::Connect { .. } | Self::Broken { .. } | Self::Stalled { .. } => true,
            Self::ManifestUnknown { .. }
            | Self::RepositoryUnknown { .. }
            | Self::PullDenied { .. }
            | Self::Unauthorized { .. }
            | Self::NoPlatform(_)
            | Self::Manifest { .. }
            | Self::Nested(_)
            | Self::Digest { .. }
            | Self::Size { .. }
            | Self::Range(_)
            | Self::TooLong { .. }
            | Self::Location { .. }
            | Self::Token { .. }
            | Self::Content { .. }
            | Self::Config(_) => false,
        }
    }

    /// How long the registry asks to be left alone.
    pub(crate) fn after(&self) -> Option<Duration> {
        if let Self::Status { after, .. } = self { *after } else { None }
    }
}

/// A registry's reason, made safe to show.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Refusal {
    /// `MANIFEST_UNKNOWN` and the like; empty if it gave none.
    pub code: String,
    /// In its words.
    pub message: String,
}

impl Refusal {
    /// What Docker says where the registry says nothing (distribution `errcode`).
    pub(crate) fn denied() -> Self {
        Self::new("DENIED", "requested access to the resource is denied")
    }

    pub(crate) fn new(code: &str, message: &str) -> Self {
        Self { code: printable(code, 50), message: printable(message, 500) }
    }

    /// Reads the body of a refusal: the first of its errors, or its text if it is no JSON.
    pub(crate) fn parse(body: &[u8], status: StatusCode) -> Self {
        if let Ok(Answer { errors }) = serde_json::from_slice(body)
            && let Some(first) = errors.into_iter().next()
        {
            return Self::new(&first.code, &first.message);
        }
        if let Ok(Details { details }) = serde_json::from_slice(body) {
            return Self::new("", &details);
        }
        let text = String::from_utf8_lossy(body);
        let text = if text.trim_start().starts_with('<') { "" } else { text.trim() };
        let usual = status.canonical_reason().unwrap_or_default();
        Self::new("", if text.is_empty() { usual } else { text })
    }
}

impl fmt::Display for Refusal {
    /// As Docker does: `manifest unknown: manifest unknown`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.code.is_empty() {
            return f.write_str(&self.message);
        }
        let code = self.code.to_ascii_lowercase().replace('_', " ");
        if self.message.is_empty() {
            f.write_str(&code)
        } else {
            write!(f, "{code}: {}", self.message)
        }
    }
}

#[derive(Deserialize)]
struct Answer {
    errors: Vec<One>,
}

#[derive(Deserialize)]
struct One {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// What token servers answer.
#[derive(Deserialize)]
struct Details {
    details: String,
}

/// Without control characters, which could rewrite a terminal, and no longer than `length_max`.
pub(crate) fn printable(text: &str, length_max: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(length_max).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_read_as_docker_writes_them_and_cannot_drive_a_terminal() {
        let read = |body: &str| Refusal::parse(body.as_bytes(), StatusCode::NOT_FOUND).to_string();
        assert_eq!(
            read(r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#),
            "manifest unknown: manifest unknown"
        );
        assert_eq!(read(r#"{"errors":[{"code":"DENIED"}]}"#), "denied");
        assert_eq!(
            read(r#"{"details":"incorrect username or password"}"#),
            "incorrect username or password"
        );
        assert_eq!(read("<html>no</html>"), "Not Found");
        assert_eq!(read(""), "Not Found");
        assert_eq!(read("{\"errors\":[]}"), "{\"errors\":[]}");
        assert_eq!(read("bad\u{1b}[2J\r\nnews"), "bad[2Jnews");
        assert_eq!(read(&"x".repeat(100_000)).len(), 500);
    }
}
