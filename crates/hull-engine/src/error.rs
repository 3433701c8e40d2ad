//! The one error type that leaves the engine.

use std::error::Error as StdError;
use std::fmt;

/// What went wrong, as far as a caller can act on it. Each face maps these once:
/// `hull-daemon` to HTTP status codes, the CLI to exit codes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// The request itself is wrong; repeating it is useless.
    Invalid,
    /// What it names does not exist.
    Missing,
    /// It does not fit the present state; it may fit later.
    Conflict,
    /// What was asked for is already so.
    Unchanged,
    /// A registry refuses these credentials, or their absence.
    Unauthorized,
    /// hull cannot do this, or not yet.
    Unsupported,
    /// The host is full or lacks something for the moment.
    Unavailable,
    /// Our fault.
    Internal,
}

/// A failure, with everything known about it.
#[derive(Debug)]
pub struct Error {
    /// How a caller should take it.
    pub kind: Kind,
    /// What was being done, or the whole message where Docker's clients match on it.
    pub doing: String,
    /// What stopped it. Its text is never repeated in `doing`.
    pub source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// A failure that needs no cause: the message says it all.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, doing: message.into(), source: None }
    }

    /// A failure of `doing`, caused by `source`.
    pub fn caused(
        kind: Kind,
        doing: impl Into<String>,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self { kind, doing: doing.into(), source: Some(source.into()) }
    }

    /// An [`Kind::Internal`] failure, for use with `map_err`.
    pub fn internal<E: Into<Box<dyn StdError + Send + Sync>>>(
        doing: impl Into<String>,
    ) -> impl FnOnce(E) -> Self {
        let doing = doing.into();
        move |source| Self::caused(Kind::Internal, doing, source)
    }
}

impl fmt::Display for Error {
    /// The whole chain in one line, since that is all a client sees.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.doing)?;
        let mut cause = self.source.as_ref().map(|source| &**source as &dyn StdError);
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

// The chain is in `Display`, so `source` stays `None` and nobody prints a cause twice.
impl StdError for Error {}

/// What the engine's functions give.
pub type Result<T, E = Error> = std::result::Result<T, E>;
