//! The two ends of a copy, as `docker cp` reads them. Pure, but for looking at local files.

use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// One end of a copy.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Place<'a> {
    /// A path of this machine, or `-`.
    Here(&'a str),
    /// A container and a path in it.
    Inside(&'a str, &'a str),
}

/// Tells `CONTAINER:PATH` from a path: one that begins with a slash or a dot is a path, whatever colons
/// it has.
pub(super) fn split(text: &str) -> Place<'_> {
    match text.split_once(':') {
        Some((container, path)) if !text.starts_with(['/', '.']) && !container.is_empty() => {
            Place::Inside(container, path)
        }
        _ => Place::Here(text),
    }
}

/// The last part of a path: Go's `filepath.Base`.
pub(super) fn base(path: &str) -> &str {
    if path.is_empty() {
        return ".";
    }
    match path.trim_end_matches('/').rsplit('/').next() {
        Some(base) if !base.is_empty() => base,
        _ => "/",
    }
}

/// The directory that a path in a container is in.
pub(super) fn parent(path: &str) -> String {
    let trimmed = path.trim_end_matches("/.").trim_end_matches('/');
    match trimmed.rsplit_once('/') {
        Some((parent, _)) if !parent.is_empty() => parent.to_owned(),
        _ => "/".to_owned(),
    }
}

/// A path in a container with the slash that Docker begins it with.
pub(super) fn join(path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }
}

/// Where a symlink at `path` leads, with the end of `path` that says whether a directory or what is in
/// it is meant.
pub(super) fn follow(path: &str, target: &str) -> String {
    let mut target = target.to_owned();
    if base(path) == "." && base(&target) != "." {
        target.push_str("/.");
    }
    if path.ends_with('/') && !target.ends_with('/') {
        target.push('/');
    }
    target
}

/// Something here that is to be copied.
#[derive(Debug)]
pub(super) struct Local {
    pub(super) path: PathBuf,
    pub(super) is_directory: bool,
}

/// Looks at a local path. A symlink is copied as one, unless it is to be followed or has a slash after
/// it.
pub(super) fn local(path: &Path, follow: bool) -> Result<Local, Failure> {
    let looked = |error: std::io::Error| {
        let text = error.to_string();
        let why = text.split(" (os error").next().unwrap_or(&text).to_lowercase();
        Failure::new(format!("lstat {}: {why}", path.display()))
    };
    let found = if follow { fs::metadata(path) } else { fs::symlink_metadata(path) };
    let is_directory = found.map_err(looked)?.is_dir();
    let path = if follow { fs::canonicalize(path).map_err(looked)? } else { path.to_owned() };
    Ok(Local { path, is_directory })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn containers_are_told_from_paths() {
        for (text, place) in [
            ("c:/etc", Place::Inside("c", "/etc")),
            ("c:a:b", Place::Inside("c", "a:b")),
            ("./a:b", Place::Here("./a:b")),
            ("/a:b", Place::Here("/a:b")),
            (":a", Place::Here(":a")),
            ("a", Place::Here("a")),
            ("-", Place::Here("-")),
        ] {
            assert_eq!(split(text), place);
        }
    }

    #[test]
    fn paths_are_taken_apart() {
        for (path, want) in [
            ("/a/b", ("b", "/a")),
            ("/a/b/", ("b", "/a")),
            ("/a", ("a", "/")),
            ("a", ("a", "/")),
            ("/", ("/", "/")),
            ("/a/.", (".", "/")),
        ] {
            assert_eq!((base(path), parent(path).as_str()), want, "{path}");
        }
        assert_eq!(follow("/l/.", "/d"), "/d/.");
        assert_eq!(follow("/l/", "/d"), "/d/");
        assert_eq!(follow("/l", "/d"), "/d");
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,40}") {
            split(&text);
            prop_assert!(!base(&text).is_empty());
            prop_assert!(parent(&text).len() <= text.len() + 1);
        }
    }
}
