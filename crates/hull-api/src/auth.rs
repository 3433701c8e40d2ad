//! Credentials for registries: the `X-Registry-Auth` header and the body of `POST /auth`.

use std::fmt;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::{Deserialize, Serialize};

use crate::json::decode;
use crate::refusal::{Refusal, Result};

/// Who asks a registry. Empty fields were not given.
#[derive(Clone, Default, Deserialize, Eq, PartialEq)]
#[serde(default, rename_all = "lowercase")]
pub struct AuthConfig {
    /// User name.
    pub username: String,
    /// Password.
    pub password: String,
    /// The registry, as the client knows it.
    pub serveraddress: String,
    /// Exchanged for short-lived tokens.
    pub identitytoken: String,
    /// Sent as it is.
    pub registrytoken: String,
    /// `user:password` in base64, the form of configuration files.
    auth: String,
}

impl fmt::Debug for AuthConfig {
    /// Without the secrets, so that they are never logged.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthConfig")
            .field("username", &self.username)
            .field("serveraddress", &self.serveraddress)
            .finish_non_exhaustive()
    }
}

/// Longest header: tokens of clouds have a few kilobytes.
const HEADER_MAX: usize = 64 << 10;

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);

fn bad(why: &str) -> Refusal {
    Refusal::invalid(format_args!("invalid X-Registry-Auth header: {why}"))
}

/// Reads the header: base64 for URLs, with or without padding, of a JSON object. Nothing, and an
/// empty object, are nobody.
pub fn header(value: &str) -> Result<AuthConfig> {
    if value.is_empty() {
        return Ok(AuthConfig::default());
    }
    if value.len() > HEADER_MAX {
        return Err(bad("it is longer than 64 KiB"));
    }
    // Some clients use the other alphabet; no text is valid in both with different meanings.
    let alphabet =
        if value.contains(['+', '/']) { &alphabet::STANDARD } else { &alphabet::URL_SAFE };
    let json = GeneralPurpose::new(alphabet, LENIENT)
        .decode(value.trim())
        .map_err(|_not_base64| bad("must be valid base64url"))?;
    if json.is_empty() {
        return Ok(AuthConfig::default());
    }
    read(&json)
}

/// Reads the body of `POST /auth`.
pub fn body(json: &[u8]) -> Result<AuthConfig> {
    read(json)
}

fn read(json: &[u8]) -> Result<AuthConfig> {
    let mut auth: AuthConfig = decode(json, "AuthConfig")?;
    if !auth.auth.is_empty() && auth.username.is_empty() {
        let pair = GeneralPurpose::new(&alphabet::STANDARD, LENIENT)
            .decode(&auth.auth)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .ok_or_else(|| bad("its auth is not user:password in base64"))?;
        let (user, password) = pair.split_once(':').ok_or_else(|| bad("its auth has no colon"))?;
        user.clone_into(&mut auth.username);
        password.trim_end_matches('\0').clone_into(&mut auth.password);
    }
    if auth.username.contains(':') {
        return Err(bad("a user name cannot have a colon"));
    }
    auth.auth.clear();
    Ok(auth)
}

/// The answer to credentials a registry accepts.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct AuthResponse {
    status: &'static str,
    identity_token: String,
}

/// The answer with the token to keep instead of the password; empty if there is none.
pub fn accepted(identity_token: String) -> AuthResponse {
    AuthResponse { status: "Login Succeeded", identity_token }
}

#[cfg(test)]
mod tests {
    use base64::prelude::*;

    use super::*;

    #[test]
    fn headers_are_read_with_and_without_padding() {
        let json =
            r#"{"username":"u","password":"p?>","serveraddress":"https://r/v1/","email":""}"#;
        for text in [
            BASE64_URL_SAFE.encode(json),
            BASE64_URL_SAFE_NO_PAD.encode(json),
            BASE64_STANDARD.encode(json),
        ] {
            let auth = header(&text).unwrap();
            assert_eq!((&*auth.username, &*auth.password), ("u", "p?>"));
            assert!(!format!("{auth:?}").contains("p?>"));
        }
        for nobody in ["", "e30=", "e30", "bnVsbA=="] {
            assert_eq!(header(nobody).unwrap(), AuthConfig::default());
        }
        let pair = header(&BASE64_URL_SAFE.encode(r#"{"auth":"dTpwOnE="}"#)).unwrap();
        assert_eq!((&*pair.username, &*pair.password), ("u", "p:q"));
    }

    #[test]
    fn what_is_no_header_is_refused() {
        for text in ["!", "e30==e", "AAAA", &"A".repeat(HEADER_MAX + 1)] {
            assert!(header(text).is_err(), "{text:.10}");
        }
        for json in [
            "[]",
            "{\"username\":1}",
            "{\"auth\":\"!\"}",
            "{\"auth\":\"dQ==\"}",
            "{\"username\":\"a:b\"}",
        ] {
            assert!(header(&BASE64_URL_SAFE.encode(json)).is_err(), "{json}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_header_panics(text in "[A-Za-z0-9+/_=-]{0,60}") {
            header(&text).ok();
        }
    }
}
