//! How the client may reach registries. Files and environment are read by the caller.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use ipnet::IpNet;

use crate::retry::Retry;

/// Settings of a [`crate::Client`].
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// `User-Agent`; empty means `hull/<version>`.
    pub user_agent: String,
    /// By registry as in references: `docker.io`, `localhost:5000`.
    pub registries: BTreeMap<String, Registry>,
    /// Registries named by an address in one of these are as if [`Registry::insecure`].
    pub insecure_networks: Vec<IpNet>,
    /// Which proxies to go through.
    pub proxies: Proxies,
    /// Longest waits.
    pub timeouts: Timeouts,
    /// Repetitions.
    pub retry: Retry,
    /// Whom to trust.
    pub roots: Roots,
}

/// Settings of one registry.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    /// `http(s)://host[:port]`, asked in this order before the registry itself; pulls only, and
    /// always anonymously: the registry's credentials are not theirs.
    pub mirrors: Vec<String>,
    /// Whether its certificate goes unchecked, and http is used where https fails, credentials
    /// included, as in Docker. For a mirror with an untrusted certificate: an entry of its own.
    pub insecure: bool,
    /// Certificates (PEM) to trust beside [`Config::roots`].
    pub authorities: Vec<u8>,
    /// The client's own certificate.
    pub identity: Option<Identity>,
}

/// A client certificate.
#[derive(Clone)]
pub struct Identity {
    /// Certificates (PEM), own first.
    pub chain: Vec<u8>,
    /// Its private key (PEM).
    pub key: Vec<u8>,
}

impl fmt::Debug for Identity {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

/// Proxies, in the form of the usual environment variables. Names of the loopback never go
/// through one.
#[derive(Clone, Default)]
pub struct Proxies {
    /// `HTTP_PROXY`: `http://[user:password@]host:port`; empty for none.
    pub http: String,
    /// `HTTPS_PROXY`, likewise.
    pub https: String,
    /// `NO_PROXY`: names, addresses and networks with commas between, or `*`.
    pub none: String,
}

impl fmt::Debug for Proxies {
    /// Without the proxies: their URLs may hold passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxies").field("none", &self.none).finish_non_exhaustive()
    }
}

/// Longest waits.
#[derive(Clone, Debug)]
pub struct Timeouts {
    /// Until there is a connection, name resolution and TLS included.
    pub connect: Duration,
    /// Between a request, or any part of it that was taken, and its answer.
    pub answer: Duration,
    /// Between two parts of a body.
    pub stall: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(15),
            answer: Duration::from_secs(60),
            stall: Duration::from_secs(30),
        }
    }
}

/// The certificate authorities to trust for every registry.
#[derive(Clone, Debug, Default)]
pub enum Roots {
    /// The system's: `/etc/ssl`, or what `SSL_CERT_FILE` and `SSL_CERT_DIR` name. Where there are
    /// none, no https registry is trusted, but plain ones still work.
    #[default]
    System,
    /// These alone (PEM).
    Only(Vec<u8>),
}

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// No registry can be called so.
    #[error("invalid registry {0:?}: expected HOST or HOST:PORT")]
    Registry(String),
    /// Not `http(s)://host[:port]`.
    #[error(
        "invalid mirror {mirror:?} of {registry}: expected http(s)://HOST[:PORT] without a path"
    )]
    Mirror {
        /// Whose mirror.
        registry: String,
        /// The text.
        mirror: String,
    },
    /// Not a URL of a proxy hull can use. The text is not shown, it may hold a password.
    #[error("invalid {0} proxy: expected http(s)://[USER:PASSWORD@]HOST:PORT")]
    Proxy(&'static str),
    /// Not PEM, or no certificate in it.
    #[error("read the {what} for {registry}")]
    Pem {
        /// Certificate authorities, client certificate or key.
        what: &'static str,
        /// Whose.
        registry: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Certificate and key do not fit, or TLS cannot be set up.
    #[error("set up TLS for {registry}")]
    Tls {
        /// Whose.
        registry: String,
        /// Why.
        source: rustls::Error,
    },
}
