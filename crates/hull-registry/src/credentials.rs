//! What a caller can prove itself with. Given with each call, never kept.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use sha2::{Digest as _, Sha256};

/// Proof for one registry, as Docker's `X-Registry-Auth` holds it.
#[derive(Clone, Default, Eq, PartialEq)]
pub enum Credentials {
    /// None.
    #[default]
    Anonymous,
    /// User name and password.
    Basic {
        /// The user; may not hold a colon.
        username: String,
        /// The password.
        password: String,
    },
    /// A token to be exchanged for short-lived ones (OAuth 2 refresh token).
    IdentityToken(String),
    /// A token sent to the registry as it is.
    RegistryToken(String),
}

impl Credentials {
    /// `Authorization` for a registry or token server that takes a password.
    pub(crate) fn basic(&self) -> Option<HeaderValue> {
        match self {
            Self::Basic { username, password } => {
                sensitive(&format!("Basic {}", STANDARD.encode(format!("{username}:{password}"))))
            }
            Self::Anonymous | Self::IdentityToken(_) | Self::RegistryToken(_) => None,
        }
    }

    /// Tells apart whose tokens are whose, without keeping the secret itself.
    pub(crate) fn fingerprint(&self) -> [u8; 32] {
        let (kind, first, second) = match self {
            Self::Anonymous => (0, "", ""),
            Self::Basic { username, password } => (1, username.as_str(), password.as_str()),
            Self::IdentityToken(token) => (2, token.as_str(), ""),
            Self::RegistryToken(token) => (3, token.as_str(), ""),
        };
        let mut hash = Sha256::new();
        hash.update([kind]);
        hash.update(first.len().to_le_bytes());
        hash.update(first);
        hash.update(second);
        hash.finalize().into()
    }
}

impl fmt::Debug for Credentials {
    /// The kind alone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Anonymous => "Anonymous",
            Self::Basic { .. } => "Basic",
            Self::IdentityToken(_) => "IdentityToken",
            Self::RegistryToken(_) => "RegistryToken",
        })
    }
}

/// `Authorization` with a token; `None` if no header can hold it.
pub(crate) fn bearer(token: &str) -> Option<HeaderValue> {
    sensitive(&format!("Bearer {token}"))
}

fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown_and_told_apart() {
        let basic = |username: &str, password: &str| Credentials::Basic {
            username: username.to_owned(),
            password: password.to_owned(),
        };
        assert_eq!(format!("{:?}", basic("me", "secret")), "Basic");
        assert_eq!(format!("{:?}", bearer("secret").unwrap()), "Sensitive");
        assert_ne!(basic("ab", "c").fingerprint(), basic("a", "bc").fingerprint());
        assert_ne!(
            Credentials::IdentityToken("x".to_owned()).fingerprint(),
            Credentials::RegistryToken("x".to_owned()).fingerprint()
        );
        assert_eq!(bearer("a\r\nX-Evil: 1"), None);
    }
}
