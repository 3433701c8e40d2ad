//! Why a command could not be done, as it is told to people and written to the log.

use std::fmt::{self, Display};
use std::path::Path;

/// A command that was not done.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{text}")]
pub struct Failure {
    text: String,
    status: u8,
}

impl Failure {
    /// Told as `text`; the program ends with status 1, as runc does.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), status: 1 }
    }

    /// The same failure with another exit status.
    #[must_use]
    pub fn with_status(self, status: u8) -> Self {
        Self { status, ..self }
    }

    /// The same failure, said to have happened while `doing`.
    #[must_use]
    pub(crate) fn during(self, doing: impl Display) -> Self {
        Self { text: format!("{doing}: {}", self.text), status: self.status }
    }

    /// What the program ends with.
    pub fn status(&self) -> u8 {
        self.status
    }
}

impl From<hull_container::Failure> for Failure {
    fn from(failure: hull_container::Failure) -> Self {
        Self::new(failure.message)
    }
}

impl From<hull_container::cgroup::CgroupError> for Failure {
    fn from(error: hull_container::cgroup::CgroupError) -> Self {
        Self::new(error.to_string())
    }
}

/// Says what was being done when an error came up.
pub(crate) trait Doing<T> {
    /// `doing: error`.
    fn doing(self, doing: impl Display) -> Result<T, Failure>;

    /// `doing path: error`.
    fn doing_at(self, doing: &str, path: &Path) -> Result<T, Failure>;
}

impl<T, E: Display> Doing<T> for Result<T, E> {
    fn doing(self, doing: impl Display) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(format!("{doing}: {}", Plain(&error))))
    }

    fn doing_at(self, doing: &str, path: &Path) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(format!("{doing} {}: {}", path.display(), Plain(&error))))
    }
}

/// An error's text without Rust's `(os error N)`, and in lower case where it is the system's: the
/// callers of runtimes look for `no such file or directory` and `permission denied`.
struct Plain<'a, E>(&'a E);

impl<E: Display> Display for Plain<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        match text.split_once(" (os error") {
            Some((plain, _)) => f.write_str(&plain.to_lowercase()),
            None => f.write_str(&text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_system_read_as_in_other_runtimes() {
        let error: Result<(), _> = Err(std::io::Error::from_raw_os_error(2));
        let failure = error.doing_at("open", Path::new("/x")).unwrap_err();
        assert_eq!(failure.to_string(), "open /x: no such file or directory");
        assert_eq!(failure.status(), 1);
    }
}
