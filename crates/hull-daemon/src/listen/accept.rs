//! Takes connections in and serves them, so many at a time and no more.

use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hull_api::container::create::Caller;
use hyper::body::Incoming;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use super::{Listener, RemoteTls};
use crate::http::answer::Outcome;
use crate::http::connection::serve;
use crate::http::guard::Guard;
use crate::http::socket::Socket;

/// Connections served at once on one listener. Each idle one holds about 10 KiB.
const CONNECTIONS_MAX: usize = 8_192;
/// Handshakes at once: strangers can have no more of us than these.
const HANDSHAKES_MAX: usize = 128;
/// How long a handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long to wait when the host gives no more descriptors.
const EXHAUSTED_DELAY: Duration = Duration::from_millis(100);

/// Where a request comes from.
#[derive(Clone, Debug)]
pub(crate) enum Peer {
    /// Through a unix socket, by this user.
    Local(Option<Caller>),
    /// Over TCP; each request is to be checked.
    Remote(Arc<Guard>),
}

/// Serves `listener` until `stop`; then lets requests in progress end, at most for `grace`.
pub(crate) async fn accept<H, F>(
    listener: Listener,
    handle: H,
    mut stop: watch::Receiver<bool>,
    grace: Duration,
) where
    H: Fn(Peer, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Outcome> + Send + 'static,
{
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES_MAX));
    let mut tasks = JoinSet::new();
    while !*stop.borrow_and_update() {
        tokio::select! {
            _ = stop.changed() => {}
            Some(ended) = tasks.join_next(), if !tasks.is_empty() => report(ended),
            accepted = next(&listener, &connections, &handshakes) => {
                let (handle, stop) = (handle.clone(), stop.clone());
                match accepted {
                    Ok(accepted) => drop(tasks.spawn(connection(accepted, handle, stop))),
                    Err(error) => {
                        tracing::warn!(%error, "accept a connection");
                        tokio::time::sleep(EXHAUSTED_DELAY).await;
                    }
                }
            }
        }
    }
    // The name goes at once, so that a successor finds its place; connections keep what they have.
    drop(listener);
    let ends = async {
        while let Some(ended) = tasks.join_next().await {
            report(ended);
        }
    };
    if tokio::time::timeout(grace, ends).await.is_err() {
        tracing::info!(count = tasks.len(), "closing connections whose requests do not end");
        tasks.shutdown().await;
    }
}

/// A connection and its place among the many.
enum Accepted {
    Local(tokio::net::UnixStream, OwnedSemaphorePermit),
    Stranger {
        stream: TcpStream,
        tls: RemoteTls,
        place: OwnedSemaphorePermit,
        room: Arc<Semaphore>,
    },
}

/// The next connection. It stays in the kernel's queue while there is no place for it.
async fn next(
    listener: &Listener,
    connections: &Arc<Semaphore>,
    handshakes: &Arc<Semaphore>,
) -> std::io::Result<Accepted> {
    let places = match listener {
        Listener::Unix { .. } => connections,
        Listener::Tcp { .. } => handshakes,
    };
    let Ok(place) = Arc::clone(places).acquire_owned().await else {
        unreachable!("nobody closes these semaphores")
    };
    match listener {
        Listener::Unix { listener, .. } => {
            let (stream, _) = listener.accept().await?;
            Ok(Accepted::Local(stream, place))
        }
        Listener::Tcp { listener, tls } => {
            let (stream, _) = listener.accept().await?;
            let room = Arc::clone(connections);
            Ok(Accepted::Stranger { stream, tls: tls.clone(), place, room })
        }
    }
}

async fn connection<H, F>(accepted: Accepted, handle: H, stop: watch::Receiver<bool>)
where
    H: Fn(Peer, Request<Incoming>) -> F,
    F: Future<Output = Outcome> + Send + 'static,
{
    let (socket, peer, _place) = match accepted {
        Accepted::Local(stream, place) => {
            let known = stream.peer_cred().ok();
            let caller = known.map(|peer| Caller { uid: peer.uid(), gid: peer.gid() });
            (Socket::Unix(stream), Peer::Local(caller), place)
        }
        Accepted::Stranger { stream, tls, place, room } => {
            let Some(stream) = handshake(stream, &tls).await else { return };
            // Who is known gives back the stranger's place, and takes another if there is one.
            drop(place);
            let Ok(place) = room.try_acquire_owned() else { return };
            (Socket::Tls(Box::new(stream)), Peer::Remote(tls.guard), place)
        }
    };
    // Boxed: a task is as large as its future, and most connections wait most of the time.
    Box::pin(serve(socket, |request| handle(peer.clone(), request), stop)).await;
}

async fn handshake(
    stream: TcpStream,
    tls: &RemoteTls,
) -> Option<tokio_rustls::server::TlsStream<TcpStream>> {
    let peer = stream.peer_addr().ok();
    // Small writes are keystrokes, and a peer that vanished is noticed within minutes.
    let prepared = stream
        .set_nodelay(true)
        .and_then(|()| Ok(rustix::net::sockopt::set_socket_keepalive(&stream, true)?));
    if let Err(error) = prepared {
        tracing::debug!(?peer, %error, "prepare a TCP connection");
        return None;
    }
    match tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.acceptor.accept(stream)).await {
        Ok(Ok(stream)) => Some(stream),
        Ok(Err(error)) => {
            tracing::info!(?peer, %error, "a client was refused by TLS");
            None
        }
        Err(_elapsed) => None,
    }
}

/// A task that panicked is our fault and must not be silent.
fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a connection's task failed");
    }
}
