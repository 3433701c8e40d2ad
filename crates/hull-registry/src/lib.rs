//! The client side of the OCI distribution protocol.
//!
//! Sees the network alone: it neither writes to disk nor knows where content goes. One pull is
//!
//! 1. [`Client::repository`]: reference and credentials → the places to ask (`host`): configured
//!    mirrors, then the registry; https, and http after it only on the loopback and for registries
//!    listed as insecure.
//! 2. [`Repository::resolve`]: `GET manifests/…` → a manifest, or an index, of which the entry for
//!    the platform is fetched by its digest.
//! 3. [`Repository::fetch_blob`] for the configuration and each layer, several at once: a stream
//!    that asks again for what is missing when a connection breaks.
//!
//! A request goes through three layers. `session` adds the proof of identity a registry asked for
//! (`challenge`, `token`) and repeats what failed for the moment (`retry`). `transport` makes one
//! exchange, with deadlines, and follows redirects (`location`). `connect` makes connections,
//! through proxies and TLS (`tls`).
//!
//! What comes from a registry is hostile. The invariants:
//!
//! - Credentials go to the registry they were given for and to the token server it names; never
//!   to a mirror, never along a redirect to another origin, never from https down to http.
//! - Every answer has a bound and a deadline: manifests 4 MiB, tokens 1 MiB, blobs the size in
//!   their descriptor, redirects 10, repetitions and their waits as configured.
//! - What has a digest is verified (blobs by [`verified`] or by whoever stores them).
//! - A registry's words are stripped of control characters before they are shown.

mod blob;
mod challenge;
mod config;
mod connect;
mod credentials;
mod error;
mod host;
mod location;
mod push;
mod repository;
mod retry;
mod session;
mod tls;
mod token;
mod transport;
mod verify;

use std::sync::Arc;

use http::Method;
use hull_model::reference::Reference;

pub use crate::blob::BlobStream;
pub use crate::config::{Config, ConfigError, Identity, Proxies, Registry, Roots, Timeouts};
pub use crate::credentials::Credentials;
pub use crate::error::{Error, Kind, Refusal};
pub use crate::push::{Content, Pushed};
pub use crate::repository::{Fetched, MANIFEST_MAX, Repository, Resolved};
pub use crate::retry::Retry;
pub use crate::verify::{digest, verified};

use crate::session::{Call, Session};

/// A client of every registry: connections, tokens and what was learned about hosts are shared
/// by all calls. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    session: Arc<Session>,
}

impl Client {
    /// Checks the configuration and reads the system's certificate authorities, which takes some
    /// milliseconds: make one client and keep it. Must be used within a tokio runtime.
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        Ok(Self { session: Arc::new(Session::new(config)?) })
    }

    /// The repository of `reference`, seen with `credentials`. Nothing is sent yet.
    pub fn repository(
        &self,
        reference: &Reference,
        credentials: Credentials,
    ) -> Result<Repository, Error> {
        Repository::new(Arc::clone(&self.session), reference.clone(), credentials)
    }

    /// Whether `registry` (`docker.io`, `localhost:5000`) takes the credentials (`docker login`).
    pub async fn log_in(&self, registry: &str, credentials: &Credentials) -> Result<(), Error> {
        let endpoint = self.session.hosts.to_push(registry)?;
        let call = Call::new(Method::GET, "/v2/".to_owned(), credentials);
        self.session.success(&endpoint, &call).await.map(drop)
    }
}
