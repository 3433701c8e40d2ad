//! Tokens: getting them from the server a registry names, and keeping them while they are good.
//!
//! Two ways are in use: GET with the password as HTTP basic authentication or anonymously, and
//! POST (OAuth 2) with an identity token. Both are described by the distribution project
//! (`docs/content/spec/auth/token.md`, `oauth.md`).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use crate::credentials::{Credentials, bearer};
use crate::error::{Error, printable};
use crate::host::Origin;
use crate::transport::{Ask, Transport, full};

/// Who hull says it is to OAuth 2 servers.
const CLIENT_ID: &str = "hull";
const ANSWER_MAX: usize = 1024 * 1024;
/// What a server means that gives no lifetime (distribution `token.md`).
const USUAL_LIFE: Duration = Duration::from_secs(60);
/// Longest time a token is kept, whatever its server says.
const LONGEST_LIFE: Duration = Duration::from_secs(3600);
const KEPT_MAX: usize = 256;
/// All but the unreserved characters of RFC 3986.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What a token is for.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(crate) struct Wanted {
    pub(crate) registry: Origin,
    pub(crate) realm: String,
    pub(crate) service: Option<String>,
    /// `repository:library/debian:pull`; several for a mount.
    pub(crate) scopes: Vec<String>,
}

/// The tokens that are still good. They are kept in memory alone.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    kept: Mutex<HashMap<([u8; 32], Wanted), Kept>>,
}

#[derive(Debug)]
struct Kept {
    token: HeaderValue,
    until: Instant,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    access_token: Option<String>,
    #[serde(default)]
    expires_in: Option<f64>,
}

impl Tokens {
    /// One that was had before.
    pub(crate) fn kept(&self, wanted: &Wanted, credentials: &Credentials) -> Option<HeaderValue> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.get(&(credentials.fingerprint(), wanted.clone()))?;
        (found.until > Instant::now()).then(|| found.token.clone())
    }

    /// A new one.
    pub(crate) async fn get(
        &self,
        transport: &Transport,
        wanted: &Wanted,
        credentials: &Credentials,
    ) -> Result<HeaderValue, Error> {
        let bad = |why| Error::Token {
            registry: wanted.registry.to_string(),
            realm: printable(&wanted.realm, 200),
            why,
        };
        let realm = check(wanted).map_err(bad)?;
        let answered = match credentials {
            Credentials::IdentityToken(token) => {
                let ask = Ask {
                    method: Method::POST,
                    headers: [(
                        CONTENT_TYPE,
                        HeaderValue::from_static("application/x-www-form-urlencoded"),
                    )]
                    .into_iter()
                    .collect(),
                    ..Ask::get(realm)
                };
                transport.send(&ask, full(Bytes::from(form(wanted, token)))).await?
            }
            Credentials::Anonymous | Credentials::Basic { .. } | Credentials::RegistryToken(_) => {
                let url = query(&realm, wanted, credentials).map_err(bad)?;
                let ask = Ask { authorization: credentials.basic(), ..Ask::get(url) };
                transport.fetch(&ask).await?
            }
        };
        if !answered.response.status().is_success() {
            return Err(transport.refusal(answered).await);
        }
        let body = transport.read(answered, ANSWER_MAX).await?;
        let answer: Answer =
            serde_json::from_slice(&body).map_err(|_no_json| bad("its answer is no token"))?;
        let text = answer.token.filter(|token| !token.is_empty()).or(answer.access_token);
        let text = text.ok_or_else(|| bad("its answer is no token"))?;
        let token = bearer(&text).ok_or_else(|| bad("its token cannot be sent in a header"))?;
        self.keep(wanted, credentials, &token, life(answer.expires_in));
        Ok(token)
    }

    fn keep(
        &self,
        wanted: &Wanted,
        credentials: &Credentials,
        token: &HeaderValue,
        life: Duration,
    ) {
        let now = Instant::now();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|_, kept| kept.until > now);
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        let fresh = Kept { token: token.clone(), until: now + life };
        kept.insert((credentials.fingerprint(), wanted.clone()), fresh);
    }
}

/// How long to use a token: nine tenths of its life, so that it does not end on the way.
fn life(seconds: Option<f64>) -> Duration {
    let told = seconds.map_or(USUAL_LIFE, |seconds| {
        // A negative number, or none at all, is no lifetime.
        Duration::try_from_secs_f64(seconds.min(LONGEST_LIFE.as_secs_f64())).unwrap_or_default()
    });
    told.min(LONGEST_LIFE).mul_f64(0.9)
}

/// The realm as a URL, if credentials may go there.
fn check(wanted: &Wanted) -> Result<Uri, &'static str> {
    let url: Uri = wanted.realm.parse().map_err(|_not_a_url| "it is no URL")?;
    let origin = Origin::of(&url).ok_or("it is neither http nor https")?;
    if origin.is_plain() && !wanted.registry.is_plain() {
        return Err("a registry on https refers to a token server on http");
    }
    if url.authority().is_none_or(|a| a.host().is_empty() || a.as_str().contains('@')) {
        return Err("it names no host, or a user");
    }
    Ok(url)
}

fn query(realm: &Uri, wanted: &Wanted, credentials: &Credentials) -> Result<Uri, &'static str> {
    let mut pairs: Vec<(&str, &str)> = Vec::new();
    pairs.extend(wanted.service.as_deref().map(|service| ("service", service)));
    pairs.extend(wanted.scopes.iter().map(|scope| ("scope", scope.as_str())));
    if let Credentials::Basic { username, .. } = credentials {
        pairs.push(("account", username));
    }
    let mut text = realm.to_string();
    for (name, value) in pairs {
        text.push(if text.contains('?') { '&' } else { '?' });
        text.push_str(&pair(name, value));
    }
    text.parse().map_err(|_not_a_url| "with its query it is no URL")
}

fn form(wanted: &Wanted, identity: &str) -> String {
    let scopes = wanted.scopes.join(" ");
    let pairs = [
        ("grant_type", "refresh_token"),
        ("service", wanted.service.as_deref().unwrap_or_default()),
        ("client_id", CLIENT_ID),
        ("scope", &scopes),
        ("refresh_token", identity),
    ];
    pairs.map(|(name, value)| pair(name, value)).join("&")
}

/// `name=value` for queries and forms.
pub(crate) fn pair(name: &str, value: &str) -> String {
    format!("{name}={}", utf8_percent_encode(value, ENCODED))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::uri::Scheme;

    fn wanted(scheme: Scheme, realm: &str) -> Wanted {
        Wanted {
            registry: Origin::new(scheme, &"a".parse().unwrap()),
            realm: realm.to_owned(),
            service: Some("s&t".to_owned()),
            scopes: vec!["repository:a/b:pull,push".to_owned(), "x y".to_owned()],
        }
    }

    #[test]
    fn credentials_do_not_go_down_to_http_nor_to_odd_places() {
        let refused = |scheme, realm: &str| check(&wanted(scheme, realm)).is_err();
        assert!(!refused(Scheme::HTTPS, "https://auth.example/token"));
        assert!(!refused(Scheme::HTTP, "http://auth.example/token"));
        assert!(refused(Scheme::HTTPS, "http://auth.example/token"));
        for realm in ["", "/token", "file:///x", "https://", "https://u@h/", "gopher://x/", "a b"] {
            assert!(refused(Scheme::HTTP, realm), "{realm}");
        }
    }

    #[test]
    fn values_cannot_leave_their_place() {
        let wanted = wanted(Scheme::HTTPS, "https://h/t?x=1");
        let me = Credentials::Basic { username: "a&b".to_owned(), password: "p".to_owned() };
        assert_eq!(
            query(&check(&wanted).unwrap(), &wanted, &me).unwrap().to_string(),
            "https://h/t?x=1&service=s%26t&scope=repository%3Aa%2Fb%3Apull%2Cpush&scope=x%20y&account=a%26b"
        );
        assert_eq!(
            form(&wanted, "i&d"),
            "grant_type=refresh_token&service=s%26t&client_id=hull&scope=repository%3Aa%2Fb%3Apull%2Cpush%20x%20y&refresh_token=i%26d"
        );
    }

    #[test]
    fn lifetimes_are_bounded() {
        assert_eq!(life(None), Duration::from_secs(54));
        assert_eq!(life(Some(300.0)), Duration::from_secs(270));
        assert_eq!(life(Some(1e300)), Duration::from_secs(3240));
        assert_eq!(life(Some(f64::NAN)), Duration::from_secs(3240));
        assert_eq!(life(Some(-5.0)), Duration::ZERO);
    }
}
