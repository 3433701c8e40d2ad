//! Files of a container: what a path is, what changed, and how an archive is unpacked.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hull_model::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::query::Query;
use crate::refusal::{Refusal, Result};

/// The header that says what was copied.
pub const STAT_HEADER: &str = "x-docker-container-path-stat";

/// What a path in a container is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PathStat {
    /// Its last part.
    pub name: String,
    /// Its length.
    pub size: u64,
    /// Kind and permissions, as in `inode(7)`.
    pub mode: u32,
    /// When it was last changed.
    pub modified: Timestamp,
    /// Where a symbolic link leads; empty for anything else.
    pub link_target: String,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    name: Cow<'a, str>,
    size: u64,
    mode: u32,
    mtime: String,
    #[serde(default)]
    link_target: Cow<'a, str>,
}

impl PathStat {
    /// The header's value: base64 of JSON.
    pub fn header(&self) -> String {
        let (size, mtime) = (self.size, self.modified.to_string());
        let mode = go_mode(self.mode);
        let (name, link_target) = ((&self.name).into(), (&self.link_target).into());
        let written = Written { name, size, mode, mtime, link_target };
        let Ok(json) = serde_json::to_vec(&written) else {
            unreachable!("numbers and text can always be written");
        };
        STANDARD.encode(json)
    }

    /// Reads a header's value.
    pub fn from_header(text: &str) -> Option<Self> {
        let json = STANDARD.decode(text).ok()?;
        let Written { name, size, mode, mtime, link_target } =
            serde_json::from_slice(&json).ok()?;
        let (name, link_target) = (name.into_owned(), link_target.into_owned());
        let modified = Timestamp::parse_rfc3339(&mtime)?;
        Some(Self { name, size, mode: unix_mode(mode), modified, link_target })
    }
}

/// The other way round: the kind and the permissions.
fn unix_mode(go: u32) -> u32 {
    let kinds = [
        (1 << 31, 0o040_000),
        (1 << 27, 0o120_000),
        (1 << 21, 0o020_000),
        (1 << 26, 0o060_000),
        (1 << 25, 0o010_000),
        (1 << 24, 0o140_000),
    ];
    let kind = kinds.iter().find(|(bit, _)| go & bit != 0).map_or(0o100_000, |(_, kind)| *kind);
    let bits = [(0o4_000, 23), (0o2_000, 22), (0o1_000, 20)];
    let special = bits.iter().filter(|(_, bit)| go & (1 << bit) != 0);
    special.fold(kind | (go & 0o777), |mode, (unix, _)| mode | unix)
}

/// A mode as Go's `os.FileMode` has it, whose bits are the same on every system.
fn go_mode(mode: u32) -> u32 {
    let kind = match mode & 0o170_000 {
        0o040_000 => 1 << 31,
        0o120_000 => 1 << 27,
        0o060_000 => 1 << 26,
        0o020_000 => 1 << 26 | 1 << 21,
        0o010_000 => 1 << 25,
        0o140_000 => 1 << 24,
        _ => 0,
    };
    let bits = [(0o4_000, 23), (0o2_000, 22), (0o1_000, 20)];
    let special = bits.iter().filter(|(bit, _)| mode & bit != 0);
    special.fold(kind | (mode & 0o777), |mode, (_, go)| mode | 1 << go)
}

/// Reads the path of the routes that copy.
pub fn path(query: &Query) -> Result<String> {
    match query.text("path") {
        "" => Err(Refusal::invalid("bad parameter: 'path' cannot be empty")),
        path => Ok(path.to_owned()),
    }
}

/// How an archive goes into a container.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Unpack {
    /// `noOverwriteDirNonDir`.
    pub keep_kinds: bool,
    /// `copyUIDGID`, which gives the files to the container's user (moby
    /// `daemon/archive_tarcopyoptions_unix.go`), whatever its name says.
    pub to_user: bool,
}

/// Reads the flags of `PUT /containers/{id}/archive`.
pub fn unpack(query: &Query) -> Unpack {
    Unpack { keep_kinds: query.flag("noOverwriteDirNonDir"), to_user: query.flag("copyUIDGID") }
}

/// How a path differs from the image.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ChangeKind {
    /// There, and different.
    Changed,
    /// New.
    Added,
    /// Gone.
    Deleted,
}

/// One row of `GET /containers/{id}/changes`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Change {
    path: String,
    kind: u8,
}

impl Change {
    /// A row.
    pub fn new(path: String, kind: ChangeKind) -> Self {
        let kind = match kind {
            ChangeKind::Changed => 0,
            ChangeKind::Added => 1,
            ChangeKind::Deleted => 2,
        };
        Self { path, kind }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_gos() {
        for (mode, go) in [
            (0o100_644, 0o644),
            (0o040_755, 1 << 31 | 0o755),
            (0o041_777, 1 << 31 | 1 << 20 | 0o777),
            (0o120_777, 1 << 27 | 0o777),
            (0o104_755, 1 << 23 | 0o755),
            (0o102_755, 1 << 22 | 0o755),
            (0o020_600, 1 << 26 | 1 << 21 | 0o600),
            (0o060_600, 1 << 26 | 0o600),
            (0o010_644, 1 << 25 | 0o644),
            (0o140_755, 1 << 24 | 0o755),
        ] {
            assert_eq!(go_mode(mode), go, "{mode:o}");
            assert_eq!(unix_mode(go), mode, "{mode:o}");
        }
    }

    #[test]
    fn a_stat_is_json_in_a_header() {
        let stat = PathStat {
            name: "l".into(),
            size: 5,
            mode: 0o120_777,
            modified: Timestamp::from_nanos(1_500_000_000),
            link_target: "/a\"b".into(),
        };
        assert_eq!(PathStat::from_header(&stat.header()), Some(stat.clone()));
        for bad in ["", "x", "e30=", "bnVsbA=="] {
            assert_eq!(PathStat::from_header(bad), None, "{bad}");
        }
        let json = STANDARD.decode(stat.header()).unwrap();
        assert_eq!(
            String::from_utf8(json).unwrap(),
            "{\"name\":\"l\",\"size\":5,\"mode\":134218239,\"mtime\":\"1970-01-01T00:00:01.5Z\",\
             \"linkTarget\":\"/a\\\"b\"}"
        );
    }

    #[test]
    fn a_path_is_needed() {
        assert!(path(&Query::parse(Some("path="))).is_err());
        assert_eq!(path(&Query::parse(Some("path=%2Fa"))).unwrap(), "/a");
        let flags = unpack(&Query::parse(Some("noOverwriteDirNonDir=true&copyUIDGID=0")));
        assert_eq!(flags, Unpack { keep_kinds: true, to_user: false });
    }
}
