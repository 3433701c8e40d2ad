//! One connection: name resolution, proxy, TCP, TLS. Nothing here knows what a registry is.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use http::uri::Scheme;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tower_service::Service;

use crate::config::{ConfigError, Proxies};
use crate::host::{is_loopback, parse_authority};
use crate::tls::Tls;

/// The proxies to use, checked.
#[derive(Debug)]
pub(crate) struct Routes(Matcher);

impl Routes {
    pub(crate) fn new(proxies: &Proxies) -> Result<Self, ConfigError> {
        for (which, proxy) in [("http", &proxies.http), ("https", &proxies.https)] {
            if !proxy.is_empty() && !is_proxy(proxy) {
                return Err(ConfigError::Proxy(which));
            }
        }
        Ok(Self(
            Matcher::builder()
                .http(proxies.http.clone())
                .https(proxies.https.clone())
                .no(proxies.none.clone())
                .build(),
        ))
    }

    /// The proxy on the way to `url`, if any.
    pub(crate) fn of(&self, url: &Uri) -> Option<Intercept> {
        let host = url.host()?;
        if is_loopback(host) { None } else { self.0.intercept(url) }
    }
}

/// Docker takes `host:port` too, and means http.
fn is_proxy(text: &str) -> bool {
    let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    let host = host.strip_suffix('/').unwrap_or(host);
    matches!(scheme, "http" | "https") && parse_authority(host).is_some()
}

/// No connection came about.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("no connection within {} s", .0.as_secs())]
    Timeout(Duration),
    #[error("{0:?} is no host name")]
    Name(String),
    #[error("no route to it")]
    Tcp(#[source] Arc<dyn std::error::Error + Send + Sync>),
    #[error("reach it through the proxy {proxy}")]
    Proxy { proxy: String, source: Arc<dyn std::error::Error + Send + Sync> },
    #[error("TLS handshake")]
    Tls(#[source] Arc<io::Error>),
}

/// Makes connections for hyper's pool.
#[derive(Clone)]
pub(crate) struct Connector {
    hop: Hop,
    routes: Arc<Routes>,
    timeout: Duration,
}

impl Connector {
    pub(crate) fn new(tls: Arc<Tls>, routes: Arc<Routes>, timeout: Duration) -> Self {
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(Duration::from_secs(30)));
        Self { hop: Hop { tcp, tls }, routes, timeout }
    }

    async fn connect(mut self, url: Uri) -> Result<Link, ConnectError> {
        let Some(proxy) = self.routes.of(&url) else {
            return self.hop.connect(url).await;
        };
        let failed = |source| ConnectError::Proxy {
            // Not the whole URL: it may hold a password.
            proxy: proxy.uri().host().unwrap_or_default().to_owned(),
            source,
        };
        if url.scheme() == Some(&Scheme::HTTP) {
            let link = self.hop.connect(proxy.uri().clone()).await;
            let link = link.map_err(|error| failed(Arc::new(error)))?;
            return Ok(Link { is_proxied: true, ..link });
        }
        let mut tunnel = Tunnel::new(proxy.uri().clone(), self.hop.clone());
        if let Some(authorization) = proxy.basic_auth() {
            tunnel = tunnel.with_auth(authorization.clone());
        }
        let link = tunnel.call(url.clone()).await.map_err(|error| failed(Arc::new(error)))?;
        self.hop.secure(TokioIo::new(link), &url).await
    }
}

impl Service<Uri> for Connector {
    type Response = Link;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Link, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, url: Uri) -> Self::Future {
        let (connector, timeout) = (self.clone(), self.timeout);
        Box::pin(async move {
            tokio::time::timeout(timeout, connector.connect(url))
                .await
                .unwrap_or(Err(ConnectError::Timeout(timeout)))
        })
    }
}

/// A connection to the next machine, which may be a proxy.
#[derive(Clone)]
struct Hop {
    tcp: HttpConnector,
    tls: Arc<Tls>,
}

impl Hop {
    async fn connect(&mut self, url: Uri) -> Result<Link, ConnectError> {
        let tcp = self.tcp.call(url.clone()).await;
        let tcp = tcp.map_err(|error| ConnectError::Tcp(Arc::new(error)))?.into_inner();
        if url.scheme() == Some(&Scheme::HTTPS) {
            return self.secure(tcp, &url).await;
        }
        Ok(Link::new(tcp))
    }

    async fn secure<T>(&self, inner: T, url: &Uri) -> Result<Link, ConnectError>
    where
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let unnamed = || ConnectError::Name(url.host().unwrap_or_default().to_owned());
        let authority = url.authority().ok_or_else(unnamed)?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host).map_err(|_not_a_name| unnamed())?;
        let connector = TlsConnector::from(self.tls.of(authority));
        let stream = connector.connect(name, inner).await;
        Ok(Link::new(stream.map_err(|error| ConnectError::Tls(Arc::new(error)))?))
    }
}

impl Service<Uri> for Hop {
    type Response = Link;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Link, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, url: Uri) -> Self::Future {
        let mut hop = self.clone();
        Box::pin(async move { hop.connect(url).await })
    }
}

/// What TCP, TLS and TLS within TLS have in common.
trait Duplex: AsyncRead + AsyncWrite + Send {}
impl<T: AsyncRead + AsyncWrite + Send> Duplex for T {}

/// An open connection.
pub(crate) struct Link {
    io: TokioIo<Pin<Box<dyn Duplex>>>,
    is_proxied: bool,
}

impl Link {
    fn new(io: impl Duplex + 'static) -> Self {
        Self { io: TokioIo::new(Box::pin(io)), is_proxied: false }
    }
}

impl Connection for Link {
    fn connected(&self) -> Connected {
        // Makes hyper write the whole URL in the request line.
        Connected::new().proxy(self.is_proxied)
    }
}

impl Read for Link {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl Write for Link {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, slices)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_chosen_as_the_variables_say_and_never_for_the_loopback() {
        let routes = Routes::new(&Proxies {
            http: "http://user:secret@proxy:3128".to_owned(),
            https: "tunnel:8080".to_owned(),
            none: "internal.example,10.0.0.0/8".to_owned(),
        })
        .unwrap();
        let of = |url: &str| routes.of(&url.parse().unwrap()).map(|p| p.uri().to_string());
        assert_eq!(of("http://a.example/").as_deref(), Some("http://proxy:3128/"));
        assert_eq!(of("https://a.example/").as_deref(), Some("http://tunnel:8080/"));
        for direct in [
            "https://x.internal.example/",
            "http://10.1.1.1/",
            "http://localhost:5000/",
            "https://[::1]/",
        ] {
            assert_eq!(of(direct), None, "{direct}");
        }
    }

    #[test]
    fn a_bad_proxy_is_refused_without_showing_its_password() {
        for bad in ["socks5://u:secret@h:1", "http://", "http://u:secret@", "http://u:secret@h:x"] {
            let proxies = Proxies { https: bad.to_owned(), ..Proxies::default() };
            let error = Routes::new(&proxies).unwrap_err();
            assert!(!error.to_string().contains("secret"));
        }
    }
}
