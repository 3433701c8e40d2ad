//! Identifiers: 256 random bits, written as 64 hexadecimal digits as Docker does.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Names one guest for good.
#[derive(Clone, Copy, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(into = "String", try_from = "String")]
pub struct GuestId([u8; 32]);

/// Names one exec in a guest.
#[derive(Clone, Copy, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(into = "String", try_from = "String")]
pub struct ExecId([u8; 32]);

/// The text is not an id.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("invalid id {0:?}: expected 64 hexadecimal digits")]
pub struct BadId(String);

macro_rules! hex_id {
    ($name:ident) => {
        impl $name {
            /// The id made of these random bytes.
            ///
            /// Ids whose short form is all digits are avoided by setting one bit: hosts named after
            /// them would be taken for numbers (moby `pkg/stringid`).
            pub fn from_random(mut bytes: [u8; 32]) -> Self {
                bytes[0] |= 0xa0;
                Self(bytes)
            }

            /// The first twelve digits, as people write it.
            pub fn short(&self) -> String {
                self.to_string()[..12].to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                parse_hex(text).map(Self).ok_or_else(|| BadId(text.to_owned()))
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.to_string()
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadId;

            fn try_from(text: String) -> Result<Self, BadId> {
                text.parse()
            }
        }
    };
}

hex_id!(GuestId);
hex_id!(ExecId);

impl ExecId {
    /// The id of a health check of `guest`, made of random bytes: its second half is the guest's, so
    /// that a daemon that finds it running knows what it is.
    pub fn of_check(guest: GuestId, random: [u8; 32]) -> Self {
        let mut id = Self::from_random(random);
        id.0[16..].copy_from_slice(&guest.0[16..]);
        id
    }

    /// Whether it was made by [`ExecId::of_check`] for `guest`.
    pub fn is_check_of(&self, guest: GuestId) -> bool {
        self.0[16..] == guest.0[16..]
    }
}

/// 64 lower-case hexadecimal digits as bytes.
pub(crate) fn parse_hex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 {
        return None;
    }
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_survive_the_way_to_text_and_back() {
        let id = GuestId::from_random([7; 32]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.short(), "a70707070707");
    }

    #[test]
    fn checks_are_known_by_their_ids() {
        let (guest, other) = (GuestId::from_random([7; 32]), GuestId::from_random([8; 32]));
        let check = ExecId::of_check(guest, [9; 32]);
        assert!(check.is_check_of(guest) && !check.is_check_of(other));
        assert_eq!(check.to_string().parse(), Ok(check));
        assert!(!ExecId::from_random([9; 32]).is_check_of(guest));
    }

    #[test]
    fn what_is_not_an_id_is_refused() {
        for bad in ["", "abc", &"g".repeat(64), &"A".repeat(64), &"é".repeat(32)] {
            assert_eq!(bad.parse::<GuestId>(), Err(BadId(bad.to_owned())));
        }
    }
}
