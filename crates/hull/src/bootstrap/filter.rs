//! What of a fresh system belongs into an image. Pure.

use std::path::{Component, Path};

/// What becomes of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Kept,
    /// The file stays, its content goes.
    Emptied,
    Dropped,
}

/// Directories which stay, without anything below them.
const EMPTY: [&[&str]; 8] = [
    &["dev"],
    &["proc"],
    &["sys"],
    &["run"],
    &["tmp"],
    &["var", "lib", "apt", "lists"],
    &["var", "cache", "apt"],
    &["var", "cache", "debconf"],
];

/// Decides by the path in the archive.
pub(crate) fn fate(path: &Path) -> Fate {
    let mut names = Vec::new();
    for component in path.components() {
        match component {
            Component::CurDir | Component::RootDir => {}
            Component::Normal(name) => names.push(name.to_str().unwrap_or_default()),
            // Nothing a system is made of has such a name.
            Component::ParentDir | Component::Prefix(_) => return Fate::Dropped,
        }
    }
    let is_below =
        |directory: &&[&str]| names.len() > directory.len() && names.starts_with(directory);
    match names.as_slice() {
        // A machine's id must be its own, and systemd fills in an empty one.
        ["etc", "machine-id"] => Fate::Emptied,
        ["var", "lib", "dbus", "machine-id"] | [".dockerenv"] => Fate::Dropped,
        // mmdebstrap's host name and resolver are those of the machine it ran on.
        ["etc", "hostname" | "resolv.conf"] => Fate::Emptied,
        // Logs of the installation hold times. Their directories are needed.
        ["var", "log", .., name]
            if name.ends_with(".log")
                || matches!(*name, "lastlog" | "faillog" | "wtmp" | "btmp") =>
        {
            Fate::Dropped
        }
        ["var", "lib", "dpkg" | "systemd", name] if name.ends_with("-old") || *name == "lock" => {
            Fate::Dropped
        }
        // ldconfig's cache of inode numbers and times.
        ["var", "cache", "ldconfig", "aux-cache"] => Fate::Dropped,
        _ if EMPTY.iter().any(is_below) => Fate::Dropped,
        _ => Fate::Kept,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_package_manager_leaves_behind_goes() {
        for (path, want) in [
            ("./", Fate::Kept),
            ("./etc/passwd", Fate::Kept),
            ("./etc/machine-id", Fate::Emptied),
            ("./dev/", Fate::Kept),
            ("./dev/null", Fate::Dropped),
            ("./var/lib/apt/lists/", Fate::Kept),
            ("./var/lib/apt/lists/x_InRelease", Fate::Dropped),
            ("./var/cache/apt/pkgcache.bin", Fate::Dropped),
            ("./var/log/", Fate::Kept),
            ("./var/log/dpkg.log", Fate::Dropped),
            ("./var/log/apt/history.log", Fate::Dropped),
            ("./var/lib/dpkg/status", Fate::Kept),
            ("./var/lib/dpkg/status-old", Fate::Dropped),
            ("./tmp/x", Fate::Dropped),
            ("../etc/passwd", Fate::Dropped),
        ] {
            assert_eq!(fate(Path::new(path)), want, "{path}");
        }
    }
}
