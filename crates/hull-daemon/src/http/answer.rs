//! Answers and failures as every route gives them.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use hull_engine::{Error, Kind};
use serde::Serialize;

use super::body::{Body, ByteStream};
use super::raw::Raw;

/// What a route comes to.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// An HTTP answer.
    Answer(Response<Body>),
    /// The connection stops speaking HTTP and becomes this.
    Raw(Box<Raw>),
}

/// An answer that is an error: Docker's `{"message": …}` with a status.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Failure {
    /// The status.
    pub(crate) status: StatusCode,
    /// For a person.
    pub(crate) message: String,
}

impl Failure {
    /// A failure with this status.
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    /// The request is wrong: 400.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// Our fault: 500.
    pub(crate) fn internal(error: &dyn std::error::Error) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, format!("carry out the request: {error}"))
    }

    /// No such route, or not with this method.
    pub(crate) fn no_route() -> Self {
        Self::new(StatusCode::NOT_FOUND, "page not found")
    }

    /// Part of the API, but not of hull.
    pub(crate) fn unsupported(what: &str) -> Self {
        let message = format!("{what} is not supported yet by hull");
        Self::new(StatusCode::NOT_IMPLEMENTED, message)
    }

    /// The answer that says so.
    pub(crate) fn into_response(self) -> Response<Body> {
        if self.status == StatusCode::NOT_MODIFIED {
            return empty(self.status);
        }
        json_bytes(self.status, &ErrorBody { message: &self.message })
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let status = match error.kind {
            Kind::Invalid => StatusCode::BAD_REQUEST,
            Kind::Missing => StatusCode::NOT_FOUND,
            Kind::Conflict => StatusCode::CONFLICT,
            Kind::Unchanged => StatusCode::NOT_MODIFIED,
            Kind::Unauthorized => StatusCode::UNAUTHORIZED,
            Kind::Unsupported => StatusCode::NOT_IMPLEMENTED,
            Kind::Unavailable | Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self { status, message: error.to_string() }
    }
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    message: &'a str,
}

/// A status and nothing else.
pub(crate) fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::Full(Bytes::new()));
    *response.status_mut() = status;
    response
}

/// 200 and nothing else.
pub(crate) fn ok() -> Outcome {
    Outcome::Answer(empty(StatusCode::OK))
}

/// 204.
pub(crate) fn no_content() -> Outcome {
    Outcome::Answer(empty(StatusCode::NO_CONTENT))
}

/// 200 with JSON.
pub(crate) fn json(value: &impl Serialize) -> Outcome {
    json_with(StatusCode::OK, value)
}

/// JSON with another status.
pub(crate) fn json_with(status: StatusCode, value: &impl Serialize) -> Outcome {
    Outcome::Answer(json_bytes(status, value))
}

/// A stream of this type.
pub(crate) fn stream(content_type: &'static str, body: ByteStream) -> Outcome {
    let mut response = Response::new(Body::Stream(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    Outcome::Answer(response)
}

fn json_bytes(status: StatusCode, value: &impl Serialize) -> Response<Body> {
    // Go's encoder ends each value with a line feed, and so do shells like it.
    let (status, mut bytes) = match serde_json::to_vec(value) {
        Ok(bytes) => (status, bytes),
        Err(error) => {
            let text = serde_json::json!({ "message": format!("write the answer: {error}") });
            (StatusCode::INTERNAL_SERVER_ERROR, text.to_string().into_bytes())
        }
    };
    bytes.push(b'\n');
    let mut response = Response::new(Body::Full(Bytes::from(bytes)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
