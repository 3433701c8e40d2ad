//! Paths as `docker cp` means them. Pure.

use crate::error::{Error, Kind, Result};

/// A path in a guest: absolute and cleaned, and yet with the `/.` or `/` at its end that says whether
/// a directory or what is in it is meant, and that a symlink there is followed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct CopyPath {
    sent: String,
    full: String,
}

/// `PATH_MAX` without its NUL.
const BYTES_MAX: usize = 4_095;

impl CopyPath {
    /// Reads what a client sent.
    pub(super) fn new(sent: &str) -> Result<Self> {
        if sent.is_empty() {
            return Err(Error::new(Kind::Invalid, "path cannot be empty"));
        }
        if sent.contains('\0') || sent.len() > BYTES_MAX {
            let text = "the path has a NUL byte or is longer than 4095 bytes";
            return Err(Error::new(Kind::Invalid, text));
        }
        let mut parts = Vec::new();
        for part in sent.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    parts.pop();
                }
                part => parts.push(part),
            }
        }
        let mut full = format!("/{}", parts.join("/"));
        let last = sent.rsplit('/').find(|part| !part.is_empty()).unwrap_or_default();
        let slash = sent.ends_with('/');
        if last == "." {
            full.push_str(if full == "/" { "." } else { "/." });
        }
        if slash && !full.ends_with('/') {
            full.push('/');
        }
        Ok(Self { sent: sent.to_owned(), full })
    }

    /// As the client wrote it.
    pub(super) fn as_sent(&self) -> &str {
        &self.sent
    }

    /// What to look up.
    pub(super) fn full(&self) -> &str {
        &self.full
    }

    /// What the first name in its archive is: Go's `filepath.Base`.
    pub(super) fn base(&self) -> &str {
        let trimmed = self.full.trim_end_matches('/');
        let base = trimmed.rsplit('/').next().unwrap_or_default();
        if base.is_empty() { "/" } else { base }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_of_paths_say_what_is_meant() {
        for (sent, full, base) in [
            ("/etc/hosts", "/etc/hosts", "hosts"),
            ("etc/hosts", "/etc/hosts", "hosts"),
            ("/etc/", "/etc/", "etc"),
            ("/etc/.", "/etc/.", "."),
            ("/etc/./", "/etc/./", "."),
            ("/", "/", "/"),
            (".", "/.", "."),
            ("/.", "/.", "."),
            ("//a//b/../c", "/a/c", "c"),
            ("../../etc/..", "/", "/"),
            ("/a/b/..", "/a", "a"),
            ("/a/b/../", "/a/", "a"),
        ] {
            let path = CopyPath::new(sent).unwrap();
            assert_eq!((path.full(), path.base()), (full, base), "{sent}");
        }
        for bad in ["", "a\0b", &"a/".repeat(2_048)] {
            assert_eq!(CopyPath::new(bad).unwrap_err().kind, Kind::Invalid);
        }
    }
}
