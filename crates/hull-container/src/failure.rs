//! Why a process could not be started, as it travels to the client.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// A process was not started. Nothing of it is left behind.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What clients tell apart: Docker answers 127 and 126 for the first two.
    pub kind: Kind,
    /// What was attempted and why it failed, in the words of Docker's tools where those exist.
    pub message: String,
}

/// Kinds of failure that clients tell apart.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Kind {
    /// There is no such program.
    CommandNotFound,
    /// There is, but it cannot be executed.
    NotExecutable,
    /// No such user or group inside.
    NoSuchUser,
    /// The working directory is missing or unusable.
    NoSuchDirectory,
    /// A path of the host that the guest needs is missing.
    NoSuchSource,
    /// The first process is gone, so nothing can be added.
    NotRunning,
    /// Everything else.
    Other,
}

/// The longest message that is carried; longer ones are cut.
const MESSAGE_BYTES_MAX: usize = 2_048;

impl Failure {
    /// A failure of this kind.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        let mut message: String = message.into();
        if message.len() > MESSAGE_BYTES_MAX {
            let end = (0..=MESSAGE_BYTES_MAX).rev().find(|at| message.is_char_boundary(*at));
            message.truncate(end.unwrap_or(0));
        }
        Self { kind, message }
    }

    /// Something else went wrong.
    pub fn other(message: impl Into<String>) -> Self {
        Self::new(Kind::Other, message)
    }
}

/// Says what was being done when an error came up.
pub(crate) trait Doing<T> {
    /// `doing: error`.
    fn doing(self, doing: impl fmt::Display) -> Result<T, Failure>;

    /// `doing path: error`.
    fn doing_at(self, doing: &str, path: &Path) -> Result<T, Failure>;
}

impl<T, E: fmt::Display> Doing<T> for Result<T, E> {
    fn doing(self, doing: impl fmt::Display) -> Result<T, Failure> {
        self.map_err(|error| Failure::other(format!("{doing}: {error}")))
    }

    fn doing_at(self, doing: &str, path: &Path) -> Result<T, Failure> {
        self.map_err(|error| Failure::other(format!("{doing} {}: {error}", path.display())))
    }
}

/// An error number's text as Go and C print it, without Rust's `(os error N)`.
pub(crate) fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    let bare = text.split(" (os error").next().unwrap_or(&text);
    bare.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_messages_are_cut_at_a_character() {
        let failure = Failure::other("é".repeat(4_000));
        assert!(failure.message.len() <= MESSAGE_BYTES_MAX);
        assert!(failure.message.ends_with('é'));
    }

    #[test]
    fn errors_read_as_in_other_tools() {
        let error = std::io::Error::from_raw_os_error(2);
        assert_eq!(plain(&error), "no such file or directory");
    }
}
