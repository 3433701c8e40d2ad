//! Names in an archive, cleaned before any system call sees them.

use std::ffi::CString;

use super::LayerError;

/// A cleaned name: components without `/`, `.`, `..` and NUL. Empty for the root.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) struct MemberPath(Vec<CString>);

/// Longest component (`NAME_MAX`).
const NAME_MAX: usize = 255;

impl MemberPath {
    /// Cleans `raw`. A leading `/` means the root of the layer, as in Docker; `..` is refused even
    /// where it would stay inside, for no tool that makes layers writes it.
    pub(super) fn new(raw: &[u8]) -> Result<Self, LayerError> {
        let wrong = |why| LayerError::Path { path: show(raw), why };
        let mut components = Vec::new();
        for part in raw.split(|byte| *byte == b'/') {
            match part {
                b"" | b"." => {}
                b".." => return Err(wrong("the name has \"..\" in it")),
                _ if part.len() > NAME_MAX => {
                    return Err(wrong("a part of the name is longer than 255 bytes"));
                }
                _ => components.push(
                    CString::new(part).map_err(|_nul| wrong("the name has a NUL byte in it"))?,
                ),
            }
        }
        Ok(Self(components))
    }

    pub(super) fn components(&self) -> &[CString] {
        &self.0
    }

    pub(super) fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The directory and the name in it; `None` for the root.
    pub(super) fn split(&self) -> Option<(Self, &CString)> {
        let (name, parent) = self.0.split_last()?;
        Some((Self(parent.to_vec()), name))
    }

    /// The name `name` in this directory.
    pub(super) fn join(&self, name: &std::ffi::CStr) -> Self {
        let mut components = self.0.clone();
        components.push(name.to_owned());
        Self(components)
    }

    /// As one relative path, `.` for the root.
    pub(super) fn to_c_string(&self) -> CString {
        let mut bytes = Vec::new();
        for part in &self.0 {
            if !bytes.is_empty() {
                bytes.push(b'/');
            }
            bytes.extend_from_slice(part.to_bytes());
        }
        if bytes.is_empty() {
            bytes.push(b'.');
        }
        // No component has a NUL, so neither has the path.
        CString::new(bytes).unwrap_or_default()
    }

    /// For messages.
    pub(super) fn show(&self) -> String {
        show(self.to_c_string().to_bytes())
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
    }
}
