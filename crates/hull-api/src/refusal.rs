//! Why a request is not carried out, in the words Docker's clients know.

use std::fmt::Display;

use serde::Serialize;

/// How a refusal is to be taken; the daemon maps each to one HTTP status.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// The request is wrong: 400.
    Invalid,
    /// What it names does not exist: 404.
    Missing,
    /// It does not fit the present state: 409.
    Conflict,
    /// hull cannot do this, or not yet: 501.
    Unsupported,
}

/// A request that is not carried out.
///
/// The message is the whole answer: tools match on Docker's texts, so they are kept to the letter
/// where Docker has one, capitals included.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// How to take it.
    pub kind: Kind,
    /// What the client is told.
    pub message: String,
}

/// What functions that read requests give.
pub type Result<T, E = Refusal> = std::result::Result<T, E>;

/// The longest piece of a request that a message repeats, in characters.
const QUOTE_MAX: usize = 200;

impl Refusal {
    /// A wrong request.
    pub fn invalid(message: impl Display) -> Self {
        Self { kind: Kind::Invalid, message: message.to_string() }
    }

    /// A request for something hull does not do, naming the field and the value that ask for it.
    pub fn unsupported(field: &str, value: impl Display) -> Self {
        let message = format!("hull does not support {field}={} yet", quote(&value.to_string()));
        Self { kind: Kind::Unsupported, message }
    }

    /// The status code of the answer.
    pub fn status(&self) -> u16 {
        match self.kind {
            Kind::Invalid => 400,
            Kind::Missing => 404,
            Kind::Conflict => 409,
            Kind::Unsupported => 501,
        }
    }
}

/// `text` short enough to repeat in a message.
pub(crate) fn quote(text: &str) -> String {
    match text.char_indices().nth(QUOTE_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The body of every answer that is an error.
#[derive(Clone, Debug, Serialize)]
pub struct ErrorBody<'a> {
    /// What went wrong.
    pub message: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsupported_fields_are_named_with_a_bounded_value() {
        let refusal = Refusal::unsupported("HostConfig.Runtime", "x".repeat(1_000_000));
        assert_eq!(refusal.status(), 501);
        assert!(refusal.message.starts_with("hull does not support HostConfig.Runtime=xxx"));
        assert!(refusal.message.len() < 300);
    }
}
