//! One request of the API, before it is sent.

use std::fmt::Write as _;

use hyper::Method;
use serde::Serialize;

use super::body::Body;

/// A request: method, path with query, body.
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) target: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Body,
    has_query: bool,
}

impl Call {
    fn new(method: Method, path: &[&str]) -> Self {
        let mut target = String::new();
        for segment in path {
            target.push('/');
            escape(&mut target, segment, b"-._~:");
        }
        Self { method, target, headers: Vec::new(), body: Body::empty(), has_query: false }
    }

    /// `GET` of a path given by segments, which are escaped.
    pub(crate) fn get(path: &[&str]) -> Self {
        Self::new(Method::GET, path)
    }

    /// `POST` to a path given by segments.
    pub(crate) fn post(path: &[&str]) -> Self {
        Self::new(Method::POST, path)
    }

    /// `HEAD` of a path given by segments.
    pub(crate) fn head(path: &[&str]) -> Self {
        Self::new(Method::HEAD, path)
    }

    /// `PUT` to a path given by segments.
    pub(crate) fn put(path: &[&str]) -> Self {
        Self::new(Method::PUT, path)
    }

    /// `DELETE` of a path given by segments.
    pub(crate) fn delete(path: &[&str]) -> Self {
        Self::new(Method::DELETE, path)
    }

    /// A call for a named image: the slashes of a reference stay slashes, as Docker sends them.
    pub(crate) fn on_image(method: Method, name: &str, action: &str) -> Self {
        let mut call = Self::new(method, &["images"]);
        call.target.push('/');
        escape(&mut call.target, name, b"-._~:/@");
        if !action.is_empty() {
            call.target.push('/');
            call.target.push_str(action);
        }
        call
    }

    /// Adds a query parameter.
    pub(crate) fn query(mut self, name: &str, value: &str) -> Self {
        self.target.push(if self.has_query { '&' } else { '?' });
        self.has_query = true;
        escape(&mut self.target, name, b"-._~");
        self.target.push('=');
        escape(&mut self.target, value, b"-._~");
        self
    }

    /// Adds a query parameter unless its value is empty.
    pub(crate) fn query_given(self, name: &str, value: &str) -> Self {
        if value.is_empty() { self } else { self.query(name, value) }
    }

    /// Adds `name=1` when it is on.
    pub(crate) fn switch(self, name: &str, on: bool) -> Self {
        if on { self.query(name, "1") } else { self }
    }

    /// Adds a header.
    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// Sets the body to a value as JSON.
    ///
    /// # Errors
    /// When the value cannot be written as JSON.
    pub(crate) fn json(mut self, value: &impl Serialize) -> Result<Self, serde_json::Error> {
        self.body = Body::Whole(Some(serde_json::to_vec(value)?.into()));
        Ok(self.header("content-type", "application/json"))
    }

    /// Sets the body.
    pub(crate) fn body(mut self, body: Body, kind: &str) -> Self {
        self.body = body;
        self.header("content-type", kind)
    }
}

/// Percent-encodes all but letters, digits and `plain`.
fn escape(target: &mut String, text: &str, plain: &[u8]) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || plain.contains(&byte) {
            target.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            write!(target, "%{byte:02X}").unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_place_in_the_target() {
        assert_eq!(
            Call::get(&["containers", "a/../b?c=d#", "json"]).target,
            "/containers/a%2F..%2Fb%3Fc%3Dd%23/json"
        );
        let call = Call::get(&["a"]).query("x", "1 &2=é").switch("y", true).switch("z", false);
        assert_eq!(call.target, "/a?x=1%20%262%3D%C3%A9&y=1");
        assert_eq!(
            Call::on_image(Method::GET, "r:5000/a/b@sha256:1", "json").target,
            "/images/r:5000/a/b@sha256:1/json"
        );
    }
}
