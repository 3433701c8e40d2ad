//! One HTTP exchange: deadlines, bounds, redirects. Knows no registry, decides no repetition.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{AUTHORIZATION, LOCATION, PROXY_AUTHORIZATION, RETRY_AFTER, USER_AGENT};
use http::uri::Scheme;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::{Frame, Incoming, SizeHint};
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::config::{Config, ConfigError, Timeouts};
use crate::connect::{ConnectError, Connector, Routes};
use crate::error::{Error, Refusal};
use crate::host::{Hosts, Origin};
use crate::location;
use crate::retry::parse_after;
use crate::tls::Tls;

/// As many as Go, and so Docker, follows.
const REDIRECTS_MAX: usize = 10;
/// Longest refusal that is read.
const REFUSAL_MAX: usize = 64 * 1024;

/// The body of a request.
pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// A body that is in memory.
pub(crate) fn full(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

/// A request without its body.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) method: Method,
    pub(crate) url: Uri,
    pub(crate) headers: HeaderMap,
    /// Sent to the URL's own origin alone.
    pub(crate) authorization: Option<HeaderValue>,
}

impl Ask {
    pub(crate) fn get(url: Uri) -> Self {
        Self { method: Method::GET, url, headers: HeaderMap::new(), authorization: None }
    }
}

/// An answer and where it came from.
pub(crate) struct Answered {
    pub(crate) response: Response<Incoming>,
    pub(crate) method: Method,
    pub(crate) url: Uri,
    /// Whether another origin than the one asked answered.
    pub(crate) is_elsewhere: bool,
}

/// The connections to everywhere.
#[derive(Debug)]
pub(crate) struct Transport {
    client: legacy::Client<Connector, Watched>,
    routes: Arc<Routes>,
    timeouts: Timeouts,
    user_agent: HeaderValue,
}

impl Transport {
    pub(crate) fn new(config: &Config, hosts: Arc<Hosts>) -> Result<Self, ConfigError> {
        let tls = Arc::new(Tls::new(config, hosts)?);
        let routes = Arc::new(Routes::new(&config.proxies)?);
        let connector = Connector::new(tls, Arc::clone(&routes), config.timeouts.connect);
        let usual = HeaderValue::from_static(concat!("hull/", env!("CARGO_PKG_VERSION")));
        Ok(Self {
            client: legacy::Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(Duration::from_secs(30))
                .pool_max_idle_per_host(4)
                .build(connector),
            routes,
            timeouts: config.timeouts.clone(),
            user_agent: match config.user_agent.as_str() {
                "" => usual,
                text => HeaderValue::from_str(text).unwrap_or(usual),
            },
        })
    }

    /// Asks without a body and follows redirects.
    ///
    /// The authorization is never sent to another origin, and not to the first one again once
    /// the way has left it.
    pub(crate) async fn fetch(&self, ask: &Ask) -> Result<Answered, Error> {
        let mut ask = ask.clone();
        let first = Origin::of(&ask.url);
        let mut is_elsewhere = false;
        for _ in 0..=REDIRECTS_MAX {
            let mut answered = self.send(&ask, full(Bytes::new())).await?;
            answered.is_elsewhere = is_elsewhere;
            if !is_redirect(answered.response.status()) {
                return Ok(answered);
            }
            ask.url = follow(&answered)?;
            if Origin::of(&ask.url) != first {
                is_elsewhere = true;
                ask.authorization = None;
            }
        }
        Err(Error::Location { url: shown(&ask.url), why: "there are too many redirects" })
    }

    /// One request and the head of its answer.
    pub(crate) async fn send(&self, ask: &Ask, body: Body) -> Result<Answered, Error> {
        let sent = Arc::new(AtomicU64::new(0));
        let request = self.request(ask, Watched { body, sent: Arc::clone(&sent) });
        let mut answer = self.client.request(request);
        let mut seen = 0;
        let response = loop {
            match tokio::time::timeout(self.timeouts.answer, &mut answer).await {
                Ok(answer) => break answer.map_err(|error| failed(ask, error))?,
                // A body on its way may take any time, as long as it is on its way.
                Err(_elapsed) if sent.load(Ordering::Relaxed) == seen => {
                    return Err(stalled(&ask.method, &ask.url, self.timeouts.answer));
                }
                Err(_elapsed) => seen = sent.load(Ordering::Relaxed),
            }
        };
        Ok(Answered {
            response,
            method: ask.method.clone(),
            url: ask.url.clone(),
            is_elsewhere: false,
        })
    }

    fn request(&self, ask: &Ask, body: Watched) -> Request<Watched> {
        let mut request = Request::new(body);
        *request.method_mut() = ask.method.clone();
        *request.uri_mut() = ask.url.clone();
        let headers = request.headers_mut();
        headers.clone_from(&ask.headers);
        headers.insert(USER_AGENT, self.user_agent.clone());
        if let Some(authorization) = &ask.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        let proxy = self.routes.of(&ask.url);
        if let Some(password) = proxy.as_ref().and_then(|proxy| proxy.basic_auth())
            && ask.url.scheme() == Some(&Scheme::HTTP)
        {
            headers.insert(PROXY_AUTHORIZATION, password.clone());
        }
        request
    }

    /// The whole body of an answer that must be small.
    pub(crate) async fn read(&self, answered: Answered, limit: usize) -> Result<Bytes, Error> {
        let Answered { response, method, url, .. } = answered;
        let body = Limited::new(response.into_body(), limit).collect();
        // Small enough that a deadline for the whole of it is fair.
        match tokio::time::timeout(self.timeouts.answer, body).await {
            Err(_elapsed) => Err(stalled(&method, &url, self.timeouts.answer)),
            Ok(Ok(collected)) => Ok(collected.to_bytes()),
            Ok(Err(source)) if source.is::<LengthLimitError>() => {
                Err(Error::TooLong { url: shown(&url), limit })
            }
            Ok(Err(source)) => Err(Error::Broken { method, url: shown(&url), source }),
        }
    }

    /// The longest wait for one part of a body.
    pub(crate) fn stall(&self) -> Duration {
        self.timeouts.stall
    }

    /// The next part of a body; `None` at its end.
    pub(crate) async fn part(
        &self,
        url: &Uri,
        body: &mut Incoming,
    ) -> Result<Option<Bytes>, Error> {
        loop {
            let frame = match tokio::time::timeout(self.timeouts.stall, body.frame()).await {
                Err(_elapsed) => return Err(stalled(&Method::GET, url, self.timeouts.stall)),
                Ok(None) => return Ok(None),
                Ok(Some(Err(source))) => {
                    let url = shown(url);
                    return Err(Error::Broken { method: Method::GET, url, source: source.into() });
                }
                Ok(Some(Ok(frame))) => frame,
            };
            if let Ok(bytes) = frame.into_data()
                && !bytes.is_empty()
            {
                return Ok(Some(bytes));
            }
        }
    }

    /// Makes an error of an answer that is no success.
    pub(crate) async fn refusal(&self, answered: Answered) -> Error {
        let (method, url) = (answered.method.clone(), shown(&answered.url));
        let status = answered.response.status();
        let after = answered.response.headers().get(RETRY_AFTER);
        let after = after.and_then(|after| parse_after(after.to_str().ok()?, SystemTime::now()));
        // Without its words the refusal still stands.
        let body = self.read(answered, REFUSAL_MAX).await.unwrap_or_default();
        let refusal = Refusal::parse(&body, status);
        match status {
            StatusCode::UNAUTHORIZED => Error::Unauthorized { method, url, refusal },
            _ => Error::Status { method, url, status, refusal, after },
        }
    }
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// The URL an answer refers to.
pub(crate) fn follow(answered: &Answered) -> Result<Uri, Error> {
    let location = answered.response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    location
        .ok_or("there is none")
        .and_then(|location| location::resolve(&answered.url, location))
        .map_err(|why| Error::Location { url: shown(&answered.url), why })
}

/// The URL without its query, which may hold a signature that grants access.
pub(crate) fn shown(url: &Uri) -> String {
    let origin = Origin::of(url).map(|origin| origin.to_string()).unwrap_or_default();
    format!("{origin}{}", url.path())
}

fn stalled(method: &Method, url: &Uri, after: Duration) -> Error {
    Error::Stalled { method: method.clone(), url: shown(url), after }
}

fn failed(ask: &Ask, error: legacy::Error) -> Error {
    if error.is_connect() {
        let host = Origin::of(&ask.url).map(|origin| origin.authority).unwrap_or_default();
        // hyper's own layer says nothing a user could use.
        let inner =
            std::error::Error::source(&error).and_then(|s| s.downcast_ref::<ConnectError>());
        return match inner.cloned() {
            Some(inner) => Error::Connect { host, source: Box::new(inner) },
            None => Error::Connect { host, source: Box::new(error) },
        };
    }
    Error::Broken { method: ask.method.clone(), url: shown(&ask.url), source: Box::new(error) }
}

/// A body that says how much of it was taken.
struct Watched {
    body: Body,
    sent: Arc<AtomicU64>,
}

impl hyper::body::Body for Watched {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if frame.is_ready() {
            self.sent.fetch_add(1, Ordering::Relaxed);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
