//! What is mounted into a guest, apart from its root.

use serde::{Deserialize, Serialize};

use crate::bytes::Bytes;
use crate::name::Name;

/// One mount, at an absolute path inside the guest.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Mount {
    /// Absolute and without `.` or `..`; the guest's root itself is not allowed.
    pub target: Target,
    /// What appears there.
    pub source: Source,
    /// Whether it can be written.
    pub read_only: bool,
    /// How it was asked for, which `inspect` shows again.
    pub origin: Origin,
}

/// Where the content of a mount comes from.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Source {
    /// A file or directory of the host.
    Bind {
        /// Absolute path on the host.
        path: String,
        /// Make a missing directory (Docker's `-v`) or refuse (`--mount`).
        create: bool,
        /// Whether later mounts appear on the other side.
        propagation: Propagation,
        /// Leave out what is mounted below the source.
        non_recursive: bool,
    },
    /// A named volume.
    Volume {
        /// Its name. `None` asks for a new anonymous one; the engine names it at create.
        name: Option<Name>,
        /// Fill an empty volume with what the image has at the target.
        copy: bool,
    },
    /// Memory.
    Tmpfs {
        /// Its size; `None` for half of the host's memory, the kernel's default.
        size: Option<Bytes>,
        /// Permission bits of its root; `None` for 1777.
        mode: Option<u32>,
        /// Further options such as `noexec` or `uid=1000`, in `mount(8)`'s words.
        options: Vec<String>,
    },
}

/// Mount propagation, as in `mount_namespaces(7)`.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[expect(missing_docs, reason = "mount_namespaces(7) documents each; the names are its names")]
pub enum Propagation {
    #[default]
    Rprivate,
    Private,
    Rshared,
    Shared,
    Rslave,
    Slave,
}

impl Propagation {
    const ALL: [(&str, Self); 6] = [
        ("rprivate", Self::Rprivate),
        ("private", Self::Private),
        ("rshared", Self::Rshared),
        ("shared", Self::Shared),
        ("rslave", Self::Rslave),
        ("slave", Self::Slave),
    ];

    /// The propagation of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, it)| *it)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, it)| *it == self).map_or("rprivate", |(name, _)| name)
    }
}

/// Which of Docker's ways of writing a mount was used.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Origin {
    /// `HostConfig.Binds` (`-v`).
    Binds,
    /// `HostConfig.Mounts` (`--mount`).
    Mounts,
    /// `HostConfig.Tmpfs` (`--tmpfs`).
    Tmpfs,
    /// `Config.Volumes`, of the user or of the image.
    Volumes,
    /// `HostConfig.VolumesFrom` (`--volumes-from`): another guest's mount.
    Guest,
}

/// An absolute path inside a guest, cleaned.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(into = "String", try_from = "String")]
pub struct Target(String);

/// The text is no place to mount something.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadTarget {
    /// Relative or empty.
    #[error("invalid mount path: '{0}' mount path must be absolute")]
    Relative(String),
    /// The root itself.
    #[error("invalid specification: destination can't be '/'")]
    Root,
    /// A NUL byte, or longer than `PATH_MAX`.
    #[error("invalid mount path: it contains a NUL byte or is longer than 4095 bytes")]
    Unusable,
}

impl Target {
    /// Checks `text` and takes `.`, `..` and double slashes out of it, as Go's `filepath.Clean`.
    pub fn new(text: &str) -> Result<Self, BadTarget> {
        if !text.starts_with('/') {
            return Err(BadTarget::Relative(text.to_owned()));
        }
        if text.contains('\0') || text.len() > 4_095 {
            return Err(BadTarget::Unusable);
        }
        let mut parts = Vec::new();
        for part in text.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    parts.pop();
                }
                name => parts.push(name),
            }
        }
        if parts.is_empty() {
            return Err(BadTarget::Root);
        }
        Ok(Self(format!("/{}", parts.join("/"))))
    }

    /// The path, starting with `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Target> for String {
    fn from(target: Target) -> Self {
        target.0
    }
}

impl TryFrom<String> for Target {
    type Error = BadTarget;

    fn try_from(text: String) -> Result<Self, BadTarget> {
        Self::new(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_absolute_and_clean() {
        let read = |text| Target::new(text).map_or_else(|e| e.to_string(), String::from);
        assert_eq!(read("/data"), "/data");
        assert_eq!(read("//a/./b//c/../d/"), "/a/b/d");
        assert_eq!(read("/../../etc"), "/etc");
        assert_eq!(read("/a/.."), "invalid specification: destination can't be '/'");
        assert_eq!(read("data"), "invalid mount path: 'data' mount path must be absolute");
        assert!(read("/a\0b").contains("NUL"));
    }
}
