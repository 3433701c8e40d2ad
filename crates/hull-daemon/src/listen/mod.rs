//! Where the daemon listens: unix sockets, TCP under mutual TLS, sockets that systemd holds.

pub(crate) mod accept;
pub(crate) mod activation;
pub(crate) mod address;
pub(crate) mod tls;
pub(crate) mod unix;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::{TcpListener, UnixListener};
use tokio_rustls::TlsAcceptor;

use crate::http::guard::Guard;
use activation::Inherited;
use address::Address;
use tls::{Tls, TlsError};
use unix::{SocketFile, UnixError};

/// A socket that clients connect to.
#[derive(Debug)]
pub(crate) enum Listener {
    /// Local clients. The file goes when this does; an inherited socket has none of ours.
    Unix {
        /// The socket.
        listener: UnixListener,
        /// Its name in the file system.
        _file: Option<SocketFile>,
    },
    /// Remote clients.
    Tcp {
        /// The socket.
        listener: TcpListener,
        /// How they prove who they are.
        tls: RemoteTls,
    },
}

/// What every remote connection goes through.
#[derive(Clone)]
pub(crate) struct RemoteTls {
    /// The handshake.
    pub(crate) acceptor: TlsAcceptor,
    /// The check of each request.
    pub(crate) guard: Arc<Guard>,
}

impl std::fmt::Debug for RemoteTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemoteTls").finish_non_exhaustive()
    }
}

/// Why the daemon cannot listen.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListenError {
    /// The unix socket cannot be made.
    #[error(transparent)]
    Unix(#[from] UnixError),
    /// The port cannot be had.
    #[error("listen on tcp://{address}")]
    Tcp {
        /// Host and port as configured.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// Whoever reaches an open port would own the host.
    #[error(
        "listen on {address}: refused without mutual TLS, since whoever reaches the port is root \
         on this host; hint: give --tlsverify, --tlscacert, --tlscert and --tlskey, or reach the \
         unix socket through ssh"
    )]
    Open {
        /// The address as configured.
        address: String,
    },
    /// The certificates are not usable.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The sockets given by systemd are not usable.
    #[error(transparent)]
    Activation(#[from] activation::ActivationError),
    /// Nobody could talk to such a daemon.
    #[error("no address to listen on; hint: fd:// needs a systemd socket unit")]
    Nowhere,
}

/// Listens on every address, or on none: what was opened before a failure is closed again.
///
/// Must be called inside the runtime. `group` may use unix sockets that we make.
pub(crate) async fn open(
    addresses: &[Address],
    group: Option<u32>,
    tls: Option<&Tls>,
) -> Result<Vec<Listener>, ListenError> {
    let remote = tls.map(Tls::load).transpose()?;
    let mut listeners = Vec::new();
    for address in addresses {
        match address {
            Address::Unix(path) => listeners.push(unix_listener(path.clone(), group)?),
            Address::Tcp(authority) => {
                let tls = remote
                    .clone()
                    .ok_or_else(|| ListenError::Open { address: address.to_string() })?;
                tcp_listeners(authority, &tls, &mut listeners).await?;
            }
            Address::Inherited(which) => {
                for socket in activation::take(*which)? {
                    listeners.push(inherited(socket, remote.as_ref())?);
                }
            }
        }
    }
    if listeners.is_empty() { Err(ListenError::Nowhere) } else { Ok(listeners) }
}

fn unix_listener(path: PathBuf, group: Option<u32>) -> Result<Listener, UnixError> {
    let (listener, file) = SocketFile::bind(path, group)?;
    Ok(Listener::Unix { listener, _file: Some(file) })
}

/// One listener for each address the name has: `localhost` is two of them.
async fn tcp_listeners(
    authority: &str,
    tls: &RemoteTls,
    listeners: &mut Vec<Listener>,
) -> Result<(), ListenError> {
    let failed = |source| ListenError::Tcp { address: authority.to_owned(), source };
    let found: Vec<SocketAddr> =
        tokio::net::lookup_host(authority).await.map_err(failed)?.collect();
    for address in found {
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        listeners.push(Listener::Tcp { listener, tls: tls.clone() });
    }
    Ok(())
}

fn inherited(socket: Inherited, tls: Option<&RemoteTls>) -> Result<Listener, ListenError> {
    match socket {
        Inherited::Unix(listener) => Ok(Listener::Unix { listener, _file: None }),
        Inherited::Tcp(listener) => match tls {
            Some(tls) => Ok(Listener::Tcp { listener, tls: tls.clone() }),
            None => Err(ListenError::Open { address: "fd:// (a TCP socket)".to_owned() }),
        },
    }
}

#[cfg(test)]
mod tests;
