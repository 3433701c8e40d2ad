//! Opens connections to the daemon, starting hull's own when nobody answers.

use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use super::host::{Address, Host};
use super::launch::{self, LaunchError};
use super::tls::{Tls, TlsError};

/// How long a TCP connection may take.
const TCP_TIMEOUT: Duration = Duration::from_secs(30);

/// A byte stream to a daemon, whatever carries it.
pub(crate) trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// Why no connection came about.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("permission denied while trying to connect to the daemon socket at {host}")]
    Permission { host: String, source: io::Error },
    #[error("Cannot connect to the daemon at {host}. Is the daemon running?")]
    Unreachable { host: String, source: io::Error },
    #[error("connect to {host}: no answer within {} s", TCP_TIMEOUT.as_secs())]
    TimedOut { host: String },
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Launch(#[from] LaunchError),
}

/// How to reach one daemon.
pub(crate) struct Connect {
    pub(crate) host: Host,
    pub(crate) tls: Option<Tls>,
}

impl Connect {
    /// Opens a connection.
    ///
    /// # Errors
    /// When nobody answers, and the daemon is not ours to start or does not come up.
    pub(crate) async fn open(&self) -> Result<Box<dyn Io>, ConnectError> {
        match &self.host.address {
            Address::Unix(path) => Ok(Box::new(self.unix(path).await?)),
            Address::Tcp(authority) => self.tcp(authority).await,
        }
    }

    async fn unix(&self, path: &Path) -> Result<UnixStream, ConnectError> {
        let error = match UnixStream::connect(path).await {
            Ok(stream) => return Ok(stream),
            Err(error) => error,
        };
        if !(self.host.is_own && launch::nobody_listens(&error)) {
            return Err(self.unreachable(error));
        }
        launch::daemon(path)?;
        UnixStream::connect(path).await.map_err(|error| self.unreachable(error))
    }

    async fn tcp(&self, authority: &str) -> Result<Box<dyn Io>, ConnectError> {
        let connecting = tokio::time::timeout(TCP_TIMEOUT, TcpStream::connect(authority)).await;
        let stream = match connecting {
            Err(_elapsed) => return Err(ConnectError::TimedOut { host: self.host.to_string() }),
            Ok(Err(error)) => return Err(self.unreachable(error)),
            Ok(Ok(stream)) => stream,
        };
        // Keystrokes are small packets; they must not wait for each other.
        stream.set_nodelay(true).map_err(|error| self.unreachable(error))?;
        match &self.tls {
            None => Ok(Box::new(stream)),
            Some(tls) => Ok(Box::new(tls.connect(authority, stream).await?)),
        }
    }

    fn unreachable(&self, source: io::Error) -> ConnectError {
        let host = self.host.to_string();
        if source.kind() == io::ErrorKind::PermissionDenied {
            ConnectError::Permission { host, source }
        } else {
            ConnectError::Unreachable { host, source }
        }
    }
}
