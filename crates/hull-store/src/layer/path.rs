//! Names in an archive, cleaned before any system call sees them.

use std::ffi::{CStr, CString};

use super::LayerError;

/// A cleaned name: components without `/`, `.`, `..` and NUL, kept as one relative path (`.` for
/// the root), so that its memory is its length whatever it is made of.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct MemberPath(CString);

/// Longest component (`NAME_MAX`).
const NAME_MAX: usize = 255;

/// Most components. No real image comes near; 4,095 bytes could ask for 2,047 directories.
pub(super) const DEPTH_MAX: usize = 256;

impl Default for MemberPath {
    fn default() -> Self {
        Self(c".".to_owned())
    }
}

impl MemberPath {
    /// Cleans `raw`. A leading `/` means the root of the layer, as in Docker; `..` is refused even
    /// where it would stay inside, for no tool that makes layers writes it.
    pub(super) fn new(raw: &[u8]) -> Result<Self, LayerError> {
        let wrong = |why| LayerError::Path { path: show(raw), why };
        let mut path = Vec::with_capacity(raw.len() + 1);
        let mut depth = 0;
        for part in raw.split(|byte| *byte == b'/') {
            match part {
                b"" | b"." => continue,
                b".." => return Err(wrong("the name has \"..\" in it")),
                _ if part.len() > NAME_MAX => {
                    return Err(wrong("a part of the name is longer than 255 bytes"));
                }
                _ if depth == DEPTH_MAX => {
                    return Err(wrong("the name has more than 256 parts"));
                }
                _ => {}
            }
            if depth > 0 {
                path.push(b'/');
            }
            path.extend_from_slice(part);
            depth += 1;
        }
        if path.is_empty() {
            return Ok(Self::default());
        }
        Ok(Self(CString::new(path).map_err(|_nul| wrong("the name has a NUL byte in it"))?))
    }

    /// Its components, from the root; none for the root itself.
    pub(super) fn components(&self) -> impl Iterator<Item = &[u8]> {
        let path = if self.is_root() { b"" } else { self.0.to_bytes() };
        path.split(|byte| *byte == b'/').filter(|part| !part.is_empty())
    }

    pub(super) fn is_root(&self) -> bool {
        self.0.as_c_str() == c"."
    }

    /// The directory and the name in it; `None` for the root.
    pub(super) fn split(&self) -> Option<(Self, &CStr)> {
        if self.is_root() {
            return None;
        }
        let bytes = self.0.to_bytes_with_nul();
        let slash = bytes.iter().rposition(|byte| *byte == b'/');
        let name = CStr::from_bytes_with_nul(&bytes[slash.map_or(0, |at| at + 1)..]).ok()?;
        let parent = slash.map_or_else(Self::default, |at| self.up_to(at));
        Some((parent, name))
    }

    /// Every directory on the way to it, from the one in the root to itself.
    pub(super) fn ancestry(&self) -> impl DoubleEndedIterator<Item = Self> {
        let bytes = if self.is_root() { b"" } else { self.0.to_bytes() };
        let ends = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
        let whole = (!bytes.is_empty()).then_some(bytes.len());
        ends.chain(whole).map(|end| self.up_to(end))
    }

    fn up_to(&self, end: usize) -> Self {
        // No path has a NUL, so neither has a part of it.
        Self(CString::new(&self.0.to_bytes()[..end]).unwrap_or_default())
    }

    /// As one relative path, `.` for the root.
    pub(super) fn as_c_str(&self) -> &CStr {
        &self.0
    }

    /// The bytes it takes in memory.
    pub(super) fn weight(&self) -> u64 {
        self.0.as_bytes_with_nul().len() as u64
    }

    /// For messages.
    pub(super) fn show(&self) -> String {
        show(self.0.to_bytes())
    }
}

/// Bytes for a message: not longer than a reader bears.
pub(super) fn show(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cleaned_or_refused() {
        let clean = |raw: &str| MemberPath::new(raw.as_bytes()).map(|path| path.show());
        for (raw, path) in
            [("a", "a"), ("./a//b/", "a/b"), ("/etc/passwd", "etc/passwd"), ("./", ".")]
        {
            assert_eq!(clean(raw).unwrap(), path);
        }
        let long = "x".repeat(256);
        for bad in ["..", "../a", "a/../b", "a/..", "/..", "a\0b", &long] {
            assert!(clean(bad).is_err(), "{bad:?}");
        }
        assert_eq!(clean("...").unwrap(), "...");
        assert!(clean(&"a/".repeat(DEPTH_MAX)).is_ok());
        assert!(clean(&"a/".repeat(DEPTH_MAX + 1)).is_err());
    }

    #[test]
    fn paths_are_taken_apart() {
        let path = MemberPath::new(b"/a/bc/d").unwrap();
        let (parent, name) = path.split().unwrap();
        assert_eq!((parent.show(), name), ("a/bc".to_owned(), c"d"));
        assert_eq!(path.components().collect::<Vec<_>>(), [&b"a"[..], b"bc", b"d"]);
        let ancestry: Vec<_> = path.ancestry().map(|path| path.show()).collect();
        assert_eq!(ancestry, ["a", "a/bc", "a/bc/d"]);
        let one = MemberPath::new(b"a").unwrap();
        assert_eq!(one.split(), Some((MemberPath::default(), c"a")));
        let root = MemberPath::default();
        assert!(root.is_root() && root.split().is_none());
        assert_eq!((root.components().count(), root.ancestry().count()), (0, 0));
    }
}
