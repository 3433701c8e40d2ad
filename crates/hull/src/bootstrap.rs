//! Base images made on this machine, without a registry.
//!
//! The same packages give the same bytes, so the same image id: times are clamped to one moment,
//! owners are numbers, entries come in order, and what a package manager leaves behind is left out.

pub(crate) mod archive;
pub(crate) mod busybox;
pub(crate) mod debian;
pub(crate) mod filter;
pub(crate) mod layer;
pub(crate) mod sources;

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

/// Why no base image could be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BootstrapError {
    #[error("{name:?} is neither busybox, debian:SUITE nor ubuntu:SUITE")]
    Name { name: String },
    #[error("{program} is not installed\nhint: apt-get install {package}")]
    Missing { program: &'static str, package: &'static str },
    #[error("{} is dynamically linked and would not run alone in an image\nhint: apt-get install busybox-static", path.display())]
    Dynamic { path: PathBuf },
    #[error("run {program}")]
    Run { program: &'static str, source: io::Error },
    #[error("{program} ended with {status}:\n{tail}")]
    Ended { program: &'static str, status: ExitStatus, tail: String },
    #[error("read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("read the filesystem that mmdebstrap made")]
    Filesystem(#[source] io::Error),
    #[error("write the layer")]
    Layer(#[source] io::Error),
    #[error("write the image's configuration")]
    Config(#[from] serde_json::Error),
    #[error("SOURCE_DATE_EPOCH is {text:?}, not a number of seconds")]
    Epoch { text: String },
}

/// What is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Base {
    /// One static program with many names.
    Busybox,
    /// A distribution's packages.
    Distribution { name: String, suite: String },
}

impl Base {
    /// Reads `busybox`, `debian:bookworm`, `ubuntu:noble`.
    ///
    /// # Errors
    /// When the name is none of these.
    pub(crate) fn parse(text: &str) -> Result<Self, BootstrapError> {
        let wrong = || BootstrapError::Name { name: text.to_owned() };
        let is_suite = |suite: &str| {
            // It becomes an argument and part of a URL: nothing but a plain word passes.
            suite.starts_with(|c: char| c.is_ascii_lowercase())
                && suite.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        };
        match text.split_once(':').unwrap_or((text, "")) {
            ("busybox", "" | "latest") => Ok(Self::Busybox),
            (name @ ("debian" | "ubuntu"), suite) if is_suite(suite) => {
                Ok(Self::Distribution { name: name.to_owned(), suite: suite.to_owned() })
            }
            _ => Err(wrong()),
        }
    }
}

/// The moment the environment asks for, if it does.
///
/// # Errors
/// When it is no number.
fn epoch_of(variable: Option<String>) -> Result<Option<u64>, BootstrapError> {
    match variable {
        None => Ok(None),
        Some(text) => match text.parse() {
            Ok(seconds) => Ok(Some(seconds)),
            Err(_) => Err(BootstrapError::Epoch { text }),
        },
    }
}

/// Go's name for the architecture this machine has.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" => "ppc64le",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_bases_are_made() {
        assert_eq!(Base::parse("busybox").unwrap(), Base::Busybox);
        let suite = |base| match base {
            Ok(Base::Distribution { suite, .. }) => suite,
            other => panic!("{other:?}"),
        };
        assert_eq!(suite(Base::parse("debian:bookworm")), "bookworm");
        assert_eq!(suite(Base::parse("ubuntu:noble")), "noble");
        for name in ["", "debian", "debian:", "fedora:40", "debian:--x", "debian:a/b", "busybox:1"]
        {
            assert!(Base::parse(name).is_err(), "{name}");
        }
    }

    #[test]
    fn the_epoch_must_be_a_number() {
        assert_eq!(epoch_of(None).unwrap(), None);
        assert_eq!(epoch_of(Some("12".to_owned())).unwrap(), Some(12));
        assert!(epoch_of(Some("x".to_owned())).is_err());
    }
}
