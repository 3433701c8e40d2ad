//! The client of the API: requests on one kept connection, streams on their own.

pub(crate) mod body;
pub(crate) mod call;
pub(crate) mod connect;
pub(crate) mod host;
pub(crate) mod launch;
pub(crate) mod lines;
pub(crate) mod tls;

use std::cell::RefCell;

use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::upgrade::Upgraded;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;

use body::Body;
use call::Call;
use connect::{Connect, ConnectError};

/// The most a JSON answer may have: far above `ps` with thousands of guests.
const ANSWER_BYTES_MAX: usize = 256 << 20;
/// The most of an error answer that is read.
const ERROR_BYTES_MAX: usize = 1 << 20;

/// What can go wrong between this client and a daemon.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// The daemon refused, with its reason.
    #[error("Error response from daemon: {message}")]
    Refused { status: StatusCode, message: String },
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("talk to the daemon at {host}")]
    Http { host: String, source: hyper::Error },
    #[error("build the request {target}")]
    Request { target: String, source: hyper::http::Error },
    #[error("read the daemon's answer to {target}")]
    Read { target: String, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("the daemon's answer to {target} is larger than {ANSWER_BYTES_MAX} bytes")]
    TooLarge { target: String },
    #[error("understand the daemon's answer to {target}")]
    Json { target: String, source: serde_json::Error },
    #[error("unable to upgrade to tcp, received {status}")]
    NoUpgrade { status: StatusCode },
}

impl ClientError {
    /// Whether the daemon says that the thing does not exist.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status: StatusCode::NOT_FOUND, .. })
    }

    /// Whether the daemon does not have the route.
    pub(crate) fn is_not_implemented(&self) -> bool {
        matches!(self, Self::Refused { status: StatusCode::NOT_IMPLEMENTED, .. })
    }
}

/// A client of one daemon.
pub(crate) struct Client {
    connect: Connect,
    /// `/v1.41` when the user asks for a version; else bare paths, which mean the daemon's newest.
    prefix: String,
    /// The connection of the last request whose answer was read to the end.
    idle: RefCell<Option<SendRequest<Body>>>,
}

impl Client {
    /// A client which connects when it first has something to ask.
    pub(crate) fn new(connect: Connect, version: Option<&str>) -> Self {
        let prefix = version.map(|v| format!("/v{}", v.trim_start_matches('v')));
        Self { connect, prefix: prefix.unwrap_or_default(), idle: RefCell::new(None) }
    }

    /// The daemon's address, for messages.
    pub(crate) fn host(&self) -> String {
        self.connect.host.to_string()
    }

    /// Sends a request and reads the answer as JSON.
    pub(crate) async fn json<T: DeserializeOwned>(&self, call: Call) -> Result<T, ClientError> {
        let target = call.target.clone();
        let bytes = self.bytes(call).await?;
        serde_json::from_slice(&bytes).map_err(|source| ClientError::Json { target, source })
    }

    /// Sends a request and reads the answer whole. The connection is kept for the next one.
    pub(crate) async fn bytes(&self, call: Call) -> Result<Bytes, ClientError> {
        let target = call.target.clone();
        let (sender, response) = self.send(call).await?;
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        self.idle.replace(Some(sender));
        match body {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => Err(ClientError::TooLarge { target }),
            Err(source) => Err(ClientError::Read { target, source }),
        }
    }

    /// Sends a request whose answer arrives bit by bit; it has a connection for itself.
    pub(crate) async fn stream(&self, call: Call) -> Result<Response<Incoming>, ClientError> {
        Ok(self.send(call).await?.1)
    }

    /// Turns a connection into a raw stream to a guest: `attach` and `exec`.
    pub(crate) async fn hijack(&self, call: Call) -> Result<Upgraded, ClientError> {
        let call = call.header("connection", "Upgrade").header("upgrade", "tcp");
        let (_sender, response) = self.send(call).await?;
        let status = response.status();
        if status != StatusCode::SWITCHING_PROTOCOLS {
            return Err(ClientError::NoUpgrade { status });
        }
        hyper::upgrade::on(response).await.map_err(|error| self.http(error))
    }

    fn http(&self, source: hyper::Error) -> ClientError {
        ClientError::Http { host: self.host(), source }
    }

    async fn send(
        &self,
        call: Call,
    ) -> Result<(SendRequest<Body>, Response<Incoming>), ClientError> {
        let target = call.target.clone();
        let mut request = self.request(call)?;
        // A kept connection may have been closed meanwhile: then the request comes back unsent.
        let kept = self.idle.take();
        if let Some(mut sender) = kept.filter(|sender| !sender.is_closed())
            && sender.ready().await.is_ok()
        {
            match sender.try_send_request(request).await {
                Ok(response) => return Ok((sender, checked(&target, response).await?)),
                Err(mut error) => match error.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(self.http(error.into_error())),
                },
            }
        }
        let mut sender = self.open().await?;
        let response = sender.send_request(request).await.map_err(|e| self.http(e))?;
        Ok((sender, checked(&target, response).await?))
    }

    fn request(&self, call: Call) -> Result<Request<Body>, ClientError> {
        let uri = format!("{}{}", self.prefix, call.target);
        let mut builder = Request::builder()
            .method(call.method)
            .uri(&uri)
            .header("host", "api.moby.localhost")
            .header("user-agent", concat!("hull/", env!("CARGO_PKG_VERSION"), " (linux)"));
        for (name, value) in call.headers {
            builder = builder.header(name, value);
        }
        builder.body(call.body).map_err(|source| ClientError::Request { target: uri, source })
    }

    async fn open(&self) -> Result<SendRequest<Body>, ClientError> {
        let stream = self.connect.open().await?;
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|e| self.http(e))?;
        // The connection ends with its last sender; what goes wrong on it is told to the request.
        drop(tokio::spawn(connection.with_upgrades()));
        Ok(sender)
    }
}

/// Turns an answer with an error status into the error it describes.
async fn checked(
    target: &str,
    response: Response<Incoming>,
) -> Result<Response<Incoming>, ClientError> {
    #[derive(serde::Deserialize)]
    struct Answer {
        message: String,
    }
    let status = response.status();
    if status.is_success() || status == StatusCode::SWITCHING_PROTOCOLS {
        return Ok(response);
    }
    let body = Limited::new(response.into_body(), ERROR_BYTES_MAX).collect().await;
    let bytes = match body {
        Ok(body) => body.to_bytes(),
        Err(source) => {
            return Err(ClientError::Read { target: target.to_owned(), source });
        }
    };
    let message = match serde_json::from_slice::<Answer>(&bytes) {
        Ok(answer) => answer.message.trim_end().to_owned(),
        Err(_) if bytes.is_empty() => format!("{status} for {target}"),
        // Not our API: a proxy, perhaps. Its words are better than none.
        Err(_) => String::from_utf8_lossy(&bytes).trim().to_owned(),
    };
    Err(ClientError::Refused { status, message })
}
