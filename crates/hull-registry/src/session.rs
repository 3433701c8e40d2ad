//! Talking to one registry: scheme found out once, proof of identity as it asks, repetitions.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::header::WWW_AUTHENTICATE;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};

use crate::challenge::{self, Challenge};
use crate::config::{Config, ConfigError};
use crate::credentials::{Credentials, bearer};
use crate::error::{Error, Refusal};
use crate::host::{Endpoint, Hosts, Origin};
use crate::retry::Retry;
use crate::token::{Tokens, Wanted};
use crate::transport::{Answered, Ask, Transport, full, shown};

/// Registries whose habits are remembered at once.
const KNOWN_MAX: usize = 256;

/// Everything the calls to all registries share.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) transport: Transport,
    pub(crate) hosts: Arc<Hosts>,
    pub(crate) retry: Retry,
    tokens: Tokens,
    /// By the https authority: the origin that answered last.
    reached: Mutex<HashMap<Origin, Origin>>,
    challenges: Mutex<HashMap<Origin, Challenge>>,
}

/// One request to the registry API.
#[derive(Clone, Debug)]
pub(crate) struct Call<'a> {
    pub(crate) method: Method,
    /// From `/v2/` on, with the query.
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) credentials: &'a Credentials,
    /// What a token must allow.
    pub(crate) scopes: Vec<String>,
}

impl<'a> Call<'a> {
    pub(crate) fn new(method: Method, path: String, credentials: &'a Credentials) -> Self {
        let (headers, body, scopes) = (HeaderMap::new(), Bytes::new(), Vec::new());
        Self { method, path, headers, body, credentials, scopes }
    }
}

/// A failure count, and with it the time to wait.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    failures: u32,
}

impl Patience {
    /// Waits for the next repetition; gives the error back if there shall be none.
    pub(crate) async fn after(&mut self, retry: &Retry, error: Error) -> Result<(), Error> {
        let wait = retry.wait(self.failures, error.after(), fastrand::u8(..));
        let (true, Some(wait)) = (error.is_transient(), wait) else { return Err(error) };
        tracing::debug!(%error, ?wait, "a registry failed and is asked again");
        self.failures += 1;
        tokio::time::sleep(wait).await;
        Ok(())
    }
}

impl Session {
    pub(crate) fn new(config: &Config) -> Result<Self, ConfigError> {
        let hosts = Arc::new(Hosts::new(config)?);
        Ok(Self {
            transport: Transport::new(config, Arc::clone(&hosts))?,
            hosts,
            retry: config.retry.clone(),
            tokens: Tokens::default(),
            reached: Mutex::default(),
            challenges: Mutex::default(),
        })
    }

    /// The answer to `call`, whatever its status. Nothing is repeated but what proof needs.
    pub(crate) async fn exchange(
        &self,
        endpoint: &Endpoint,
        call: &Call<'_>,
    ) -> Result<Answered, Error> {
        let anonymous = Credentials::Anonymous;
        let call = match endpoint.is_mirror {
            true => &Call { credentials: &anonymous, ..call.clone() },
            false => call,
        };
        let Some(first) = endpoint.origins.first() else {
            unreachable!("an endpoint is made with at least one origin")
        };
        let known = lock(&self.reached).get(first).cloned();
        let origins = match &known {
            Some(known) => std::slice::from_ref(known),
            None => endpoint.origins.as_slice(),
        };
        let mut rest = origins.iter();
        loop {
            let Some(origin) = rest.next() else {
                unreachable!("the loop ends with the last origin")
            };
            match self.proven(origin, call).await {
                Err(error @ Error::Connect { .. }) => {
                    lock(&self.reached).remove(first);
                    if rest.len() == 0 {
                        return Err(error);
                    }
                    tracing::debug!(%error, %origin, "no https at an insecure registry");
                }
                outcome => {
                    remember(&self.reached, first, origin.clone());
                    return outcome;
                }
            }
        }
    }

    /// The answer to `call` if it is a success; repeated while that may help.
    pub(crate) async fn success(
        &self,
        endpoint: &Endpoint,
        call: &Call<'_>,
    ) -> Result<Answered, Error> {
        let mut patience = Patience::default();
        loop {
            let error = match self.exchange(endpoint, call).await {
                Ok(answered) if answered.response.status().is_success() => return Ok(answered),
                Ok(answered) => self.refusal(answered).await,
                Err(error) => error,
            };
            // A name that is not known or a host that refuses will do so in ten seconds, too: the
            // user hears of it at once. Blobs on their way are more patient.
            if matches!(error, Error::Connect { .. }) {
                return Err(error);
            }
            self.patience(endpoint, &mut patience, error).await?;
        }
    }

    /// Waits as `patience` says; a mirror gets no second chance, there is the registry itself.
    pub(crate) async fn patience(
        &self,
        endpoint: &Endpoint,
        patience: &mut Patience,
        error: Error,
    ) -> Result<(), Error> {
        if endpoint.is_mirror { Err(error) } else { patience.after(&self.retry, error).await }
    }

    /// Sends `call` with what proof is known to be wanted; if it is refused, with what the refusal
    /// asks for.
    async fn proven(&self, origin: &Origin, call: &Call<'_>) -> Result<Answered, Error> {
        let url = format!("{origin}{}", call.path);
        let Ok(url) = url.parse::<Uri>() else {
            return Err(ConfigError::Registry(origin.authority.clone()).into());
        };
        let known = lock(&self.challenges).get(origin).cloned();
        let mut authorization = match &known {
            Some(challenge) => self.proof(origin, challenge, call).await?,
            None => None,
        };
        let mut ask = Ask {
            method: call.method.clone(),
            headers: call.headers.clone(),
            authorization: authorization.clone(),
            ..Ask::get(url)
        };
        let answered = self.send(&ask, call).await?;
        // A refusal from elsewhere, where a redirect led, asks for nothing of ours.
        if answered.response.status() != StatusCode::UNAUTHORIZED || answered.is_elsewhere {
            return Ok(answered);
        }
        let Some(challenge) = chosen(&answered, call.credentials) else { return Ok(answered) };
        // Again only with another proof: the same wrong password twice may lock an account.
        let fresh = self.fresh(origin, &challenge, call).await?;
        if fresh.is_none() || fresh == authorization {
            return Ok(answered);
        }
        authorization = fresh;
        ask.authorization = authorization;
        let answered = self.send(&ask, call).await?;
        if answered.response.status() == StatusCode::UNAUTHORIZED {
            lock(&self.challenges).remove(origin);
        } else {
            remember(&self.challenges, origin, challenge);
        }
        Ok(answered)
    }

    async fn send(&self, ask: &Ask, call: &Call<'_>) -> Result<Answered, Error> {
        if matches!(ask.method, Method::GET | Method::HEAD) {
            self.transport.fetch(ask).await
        } else {
            self.transport.send(ask, full(call.body.clone())).await
        }
    }

    /// What to send a registry whose habit is known, from what is at hand if possible.
    pub(crate) async fn proof(
        &self,
        origin: &Origin,
        challenge: &Challenge,
        call: &Call<'_>,
    ) -> Result<Option<HeaderValue>, Error> {
        if let Some(wanted) = wanted(origin, challenge, call, Scopes::Own)
            && let Some(kept) = self.tokens.kept(&wanted, call.credentials)
        {
            return Ok(Some(kept));
        }
        self.obtain(origin, challenge, call, Scopes::Own).await
    }

    async fn fresh(
        &self,
        origin: &Origin,
        challenge: &Challenge,
        call: &Call<'_>,
    ) -> Result<Option<HeaderValue>, Error> {
        self.obtain(origin, challenge, call, Scopes::AndAsked).await
    }

    async fn obtain(
        &self,
        origin: &Origin,
        challenge: &Challenge,
        call: &Call<'_>,
        scopes: Scopes,
    ) -> Result<Option<HeaderValue>, Error> {
        if let Credentials::RegistryToken(token) = call.credentials {
            return Ok(bearer(token));
        }
        match wanted(origin, challenge, call, scopes) {
            None => Ok(call.credentials.basic()),
            Some(wanted) => {
                self.tokens.get(&self.transport, &wanted, call.credentials).await.map(Some)
            }
        }
    }

    /// The proof for a URL the registry itself referred to, with a body that cannot be sent twice.
    pub(crate) async fn proof_at(
        &self,
        url: &Uri,
        call: &Call<'_>,
    ) -> Result<Option<HeaderValue>, Error> {
        let Some(origin) = Origin::of(url) else { return Ok(None) };
        let known = lock(&self.challenges).get(&origin).cloned();
        match known {
            Some(challenge) => self.proof(&origin, &challenge, call).await,
            None => Ok(None),
        }
    }

    /// Makes an error of an answer that is no success; as Docker, takes a token that is not
    /// enough for a denial.
    pub(crate) async fn refusal(&self, answered: Answered) -> Error {
        let is_short = challenges(&answered).iter().any(|challenge| {
            matches!(challenge, Challenge::Bearer { error: Some(error), .. } if error == "insufficient_scope")
        });
        if is_short {
            let (method, url) = (answered.method.clone(), shown(&answered.url));
            return Error::Unauthorized { method, url, refusal: Refusal::denied() };
        }
        self.transport.refusal(answered).await
    }
}

/// Which scopes to ask a token for.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Scopes {
    /// Those the call is known to need.
    Own,
    /// And the one that the registry asked for.
    AndAsked,
}

/// The token to get; `None` if the registry wants no token.
fn wanted(
    origin: &Origin,
    challenge: &Challenge,
    call: &Call<'_>,
    scopes: Scopes,
) -> Option<Wanted> {
    let Challenge::Bearer { realm, service, scope, .. } = challenge else { return None };
    let mut all = call.scopes.clone();
    if scopes == Scopes::AndAsked
        && let Some(asked) = scope
        && !all.contains(asked)
    {
        all.push(asked.clone());
    }
    let (registry, realm, service) = (origin.clone(), realm.clone(), service.clone());
    Some(Wanted { registry, realm, service, scopes: all })
}

fn challenges(answered: &Answered) -> Vec<Challenge> {
    let headers = answered.response.headers().get_all(WWW_AUTHENTICATE).iter();
    headers.filter_map(|value| value.to_str().ok()).flat_map(challenge::parse).collect()
}

/// A token where one is offered: the password then goes to the token server alone.
fn chosen(answered: &Answered, credentials: &Credentials) -> Option<Challenge> {
    let all = challenges(answered);
    let token = all.iter().find(|challenge| matches!(challenge, Challenge::Bearer { .. }));
    let password = || all.iter().find(|_| matches!(credentials, Credentials::Basic { .. }));
    token.or_else(password).cloned()
}

fn lock<K, V>(map: &Mutex<HashMap<K, V>>) -> std::sync::MutexGuard<'_, HashMap<K, V>> {
    map.lock().unwrap_or_else(PoisonError::into_inner)
}

fn remember<V>(map: &Mutex<HashMap<Origin, V>>, origin: &Origin, value: V) {
    let mut map = lock(map);
    if map.len() >= KNOWN_MAX && !map.contains_key(origin) {
        map.clear();
    }
    map.insert(origin.clone(), value);
}
