//! Names of containers.

use std::fmt;

use crate::failure::Failure;

/// A name that is one component of a path and nothing else.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Id(String);

/// The longest name: with it, names of temporary files still fit into `NAME_MAX`.
const LENGTH_MAX: usize = 240;

impl Id {
    /// Checks `text` by runc's rules: letters, digits and `_+-.`, but neither `.` nor `..`.
    pub(crate) fn new(text: &str) -> Result<Self, Failure> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"_+-.".contains(&byte);
        let bad = text.is_empty()
            || text.len() > LENGTH_MAX
            || matches!(text, "." | "..")
            || !text.bytes().all(legal);
        if bad {
            return Err(Failure::new(format!(
                "invalid container id {text:?}: it must be 1 to {LENGTH_MAX} letters, digits and \
                 any of _ + - ."
            )));
        }
        Ok(Self(text.to_owned()))
    }

    /// The name.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_cannot_leave_the_state_directory() {
        for good in ["a", "A-b_c.d+e", "..a", "-x", &"a".repeat(240)] {
            assert!(Id::new(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "../x", "a\0b", "a b", "ä", &"a".repeat(241)] {
            assert!(Id::new(bad).is_err(), "{bad:?}");
        }
    }
}
