//! Docker's API: which route a request means, and what each does.
//!
//! Each route reads its request (`hull-api`), asks the engine, and writes its answer (`hull-api`).

mod archive;
mod attach;
mod container;
mod copy;
mod disk;
mod events;
mod exec;
mod host;
mod image;
mod logs;
mod network;
mod path;
mod stats;
mod system;
mod table;
mod volume;
mod wait;

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use hull_api::container::create::Caller;
use hull_api::refusal::Refusal;
use hull_api::version::ApiVersion;
use hull_engine::Engine;
use hyper::body::Incoming;
use tokio::sync::Semaphore;

use crate::config::Settings;
use crate::http::answer::{Failure, Outcome};
use crate::http::body::Body;
use crate::http::read::Bodies;
use crate::listen::accept::Peer;
use host::Host;
use hull_api::query::Query;
use table::Route;

/// What a route comes to, or why not.
pub(crate) type Answer = Result<Outcome, Failure>;

/// Archives on their way in or out at once: each holds a thread as long as its client takes.
const TRANSFERS_MAX: usize = 16;

/// The API of one engine. Cheap to clone.
#[derive(Clone)]
pub(crate) struct App(Arc<Shared>);

struct Shared {
    engine: Engine,
    settings: Settings,
    bodies: Bodies,
    transfers: Arc<Semaphore>,
    host: Host,
}

/// A request, as far as every route wants it.
pub(crate) struct Call {
    pub(crate) version: ApiVersion,
    pub(crate) query: Query,
    /// Who asks, through a unix socket.
    pub(crate) caller: Option<Caller>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Incoming,
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let status = StatusCode::from_u16(refusal.status());
        Self::new(status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), refusal.message)
    }
}

impl App {
    /// The API of `engine`.
    pub(crate) fn new(engine: Engine, settings: Settings) -> Self {
        Self(Arc::new(Shared {
            host: Host::read(),
            engine,
            settings,
            bodies: Bodies::default(),
            transfers: Arc::new(Semaphore::new(TRANSFERS_MAX)),
        }))
    }

    /// The answer to a request of `peer`.
    pub(crate) async fn handle(self, peer: Peer, request: Request<Incoming>) -> Outcome {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let outcome = match self.answer(&peer, request).await {
            Ok(outcome) => outcome,
            Err(failure) => {
                log(&method, &path, &failure);
                Outcome::Answer(failure.into_response())
            }
        };
        match outcome {
            Outcome::Answer(mut answer) => {
                add_headers(&mut answer);
                Outcome::Answer(answer)
            }
            Outcome::Raw(raw) => Outcome::Raw(raw),
        }
    }

    async fn answer(&self, peer: &Peer, request: Request<Incoming>) -> Answer {
        let caller = match peer {
            Peer::Local(caller) => *caller,
            Peer::Remote(guard) => {
                guard.check(request.headers())?;
                None
            }
        };
        let (head, body) = request.into_parts();
        let path = path::decode(head.uri.path())
            .ok_or_else(|| Failure::invalid("the path is not valid percent-encoded UTF-8"))?;
        let (version, path) = ApiVersion::split_path(&path)?;
        let query = Query::parse(head.uri.query());
        let call = Call { version, query, caller, headers: head.headers, body };
        let route = table::route(&head.method, path);
        tracing::debug!(method = %head.method, path, ?route, "request");
        // Boxed, so that a connection that waits does not hold room for the largest of all routes.
        Box::pin(self.dispatch(route, call)).await
    }

    async fn dispatch(&self, route: Route, call: Call) -> Answer {
        match route {
            Route::System(route) => system::answer(self, route, call).await,
            Route::Container(route) => container::answer(self, route, call).await,
            Route::Exec(action, id) => exec::answer(self, action, &id, call).await,
            Route::Image(route) => image::answer(self, route, call).await,
            Route::Volume(route) => volume::answer(self, route, call).await,
            Route::Network(route) => network::answer(self, &route, &call),
            Route::Unsupported(what) => Err(Failure::unsupported(what)),
            Route::Swarm => Err(Failure::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm \
                 join\" to connect this node to swarm and try again.",
            )),
            Route::Unknown => Err(Failure::no_route()),
        }
    }

    fn engine(&self) -> &Engine {
        &self.0.engine
    }

    fn settings(&self) -> &Settings {
        &self.0.settings
    }

    fn host(&self) -> &Host {
        &self.0.host
    }

    /// The whole body of a request with JSON.
    async fn body(&self, call: Call) -> Result<Bytes, Failure> {
        self.0.bodies.read(call.body).await
    }

    /// Reads a body that must say it is JSON, as Docker wants it: no form of a web page can.
    async fn json_body(&self, call: Call) -> Result<Bytes, Failure> {
        let kind = call.headers.get(CONTENT_TYPE).cloned();
        let body = self.body(call).await?;
        let kind = kind.as_ref().map_or("", |kind| kind.to_str().unwrap_or("not text"));
        let essence = kind.split(';').next().unwrap_or_default().trim();
        if essence.eq_ignore_ascii_case("application/json") || (kind.is_empty() && body.is_empty())
        {
            return Ok(body);
        }
        let wanted = "must be 'application/json'";
        Err(Failure::invalid(format!("unsupported Content-Type header ({kind}): {wanted}")))
    }

    /// Runs `work` where it may block.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Engine) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let engine = self.0.engine.clone();
        match tokio::task::spawn_blocking(move || work(&engine)).await {
            Ok(done) => done,
            Err(error) => Err(Failure::internal(&error)),
        }
    }
}

/// What every answer says about us.
const HEADERS: [(&str, &str); 3] = [
    ("docker-experimental", "false"),
    ("ostype", "linux"),
    ("server", concat!("hull/", env!("CARGO_PKG_VERSION"), " (linux)")),
];

fn add_headers(answer: &mut Response<Body>) {
    let headers = answer.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    if let Ok(version) = HeaderValue::try_from(ApiVersion::MAX.to_string()) {
        headers.insert(HeaderName::from_static("api-version"), version);
    }
}

/// The same headers for an answer that is no HTTP answer any more.
fn raw_headers() -> String {
    let version = format!("Api-Version: {}\r\n", ApiVersion::MAX);
    HEADERS.iter().fold(version, |text, (name, value)| text + &format!("{name}: {value}\r\n"))
}

fn log(method: &Method, path: &str, failure: &Failure) {
    let status = failure.status.as_u16();
    if failure.status == StatusCode::INTERNAL_SERVER_ERROR {
        tracing::error!(%method, path, status, reason = %failure.message, "request failed");
    } else {
        tracing::debug!(%method, path, status, reason = %failure.message, "request refused");
    }
}
