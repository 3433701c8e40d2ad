//! Versions of the Engine API, and what turns on them.

use std::fmt;
use std::str::FromStr;

use crate::refusal::{Refusal, quote};

/// A version hull serves, 1.24 to 1.55.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct ApiVersion {
    minor: u8,
}

impl ApiVersion {
    /// The oldest version served.
    pub const MIN: Self = Self { minor: 24 };
    /// The newest version served; a path without a version means it.
    pub const MAX: Self = Self { minor: 55 };

    /// Version `1.minor`, or why hull does not serve it.
    ///
    /// The texts are moby's (`daemon/server/middleware/version.go`); the docker CLI shows them.
    pub fn new(minor: u32) -> Result<Self, Refusal> {
        match u8::try_from(minor) {
            Ok(minor) if minor < Self::MIN.minor => Err(too_old(&format!("1.{minor}"))),
            Ok(minor) if minor <= Self::MAX.minor => Ok(Self { minor }),
            _ => Err(too_new(&format!("1.{minor}"))),
        }
    }

    /// Every version served, oldest first.
    pub fn all() -> impl Iterator<Item = Self> {
        (Self::MIN.minor..=Self::MAX.minor).map(|minor| Self { minor })
    }

    /// The version a path begins with, and the rest of the path; without one, the newest.
    ///
    /// `/v1.44/info` gives 1.44 and `/info`. A first part that only looks similar (`/version`,
    /// `/v2/x`) belongs to the path.
    pub fn split_path(path: &str) -> Result<(Self, &str), Refusal> {
        let Some(rest) = path.strip_prefix("/v") else {
            return Ok((Self::MAX, path));
        };
        let (version, tail) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => return Ok((Self::MAX, path)),
        };
        let looks_like_one = version.starts_with(|c: char| c.is_ascii_digit())
            && version.contains('.')
            && version.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        if looks_like_one { Ok((version.parse()?, tail)) } else { Ok((Self::MAX, path)) }
    }

    /// Whether this version is at least 1.`minor`.
    pub(crate) const fn is_at_least(self, minor: u8) -> bool {
        self.minor >= minor
    }

    /// 1.42 and up: attach and logs name the framed format in their content type.
    pub const fn names_framed_streams(self) -> bool {
        self.is_at_least(42)
    }

    /// Below 1.52: answers repeat the first network's fields, events repeat the actor's, and
    /// `system/df` lists everything.
    pub const fn has_legacy_fields(self) -> bool {
        !self.is_at_least(52)
    }
}

fn too_old(version: &str) -> Refusal {
    let min = ApiVersion::MIN;
    Refusal::invalid(format_args!(
        "client version {version} is too old. Minimum supported API version is {min}, \
         please upgrade your client to a newer version"
    ))
}

fn too_new(version: &str) -> Refusal {
    let max = ApiVersion::MAX;
    Refusal::invalid(format_args!(
        "client version {version} is too new. Maximum supported API version is {max}"
    ))
}

impl FromStr for ApiVersion {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let bad = || Refusal::invalid(format_args!("invalid API version: {}", quote(text)));
        let (major, minor) = text.split_once('.').ok_or_else(bad)?;
        let number = |part: &str| match part.bytes().all(|b| b.is_ascii_digit()) {
            true if !part.is_empty() => Ok(part.parse().unwrap_or(u32::MAX)),
            _ => Err(bad()),
        };
        match (number(major)?, number(minor)?) {
            (1, minor) => Self::new(minor),
            (0, _) => Err(too_old(&quote(text))),
            _ => Err(too_new(&quote(text))),
        }
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1.{}", self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(path: &str) -> String {
        match ApiVersion::split_path(path) {
            Ok((version, rest)) => format!("{version} {rest}"),
            Err(refusal) => refusal.message,
        }
    }

    #[test]
    fn paths_begin_with_a_version_or_mean_the_newest() {
        assert_eq!(split("/v1.24/info"), "1.24 /info");
        assert_eq!(split("/v1.55/containers/a/json"), "1.55 /containers/a/json");
        assert_eq!(split("/v1.44/"), "1.44 /");
        for path in ["/info", "/version", "/v2/x", "/volumes/v1.44", "/", "", "/vx.1/a", "/v1.44"] {
            assert_eq!(split(path), format!("1.55 {path}"));
        }
    }

    #[test]
    fn versions_out_of_range_are_refused_in_dockers_words() {
        assert_eq!(
            split("/v1.99/info"),
            "client version 1.99 is too new. Maximum supported API version is 1.55"
        );
        assert_eq!(
            split("/v1.23/info"),
            "client version 1.23 is too old. Minimum supported API version is 1.24, \
             please upgrade your client to a newer version"
        );
        assert!(split("/v2.0/info").starts_with("client version 2.0 is too new"));
        assert!(split("/v1.99999999999999/info").contains("too new"));
        assert!(split("/v0.9/info").contains("too old"));
        for bad in ["/v1./info", "/v1.4.4/info"] {
            assert!(split(bad).starts_with("invalid API version"), "{bad}");
        }
        assert_eq!(ApiVersion::all().count(), 32);
    }
}
