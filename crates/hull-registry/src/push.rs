//! Pushing: blobs first (if they are not there yet), then the manifest that names them.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::stream::{Stream, StreamExt as _};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Method, StatusCode, Uri};
use http_body_util::{BodyExt as _, StreamBody};
use hull_model::image::Digest;
use hull_model::manifest::Descriptor;
use hyper::body::Frame;

use crate::error::Error;
use crate::host::Endpoint;
use crate::repository::Repository;
use crate::session::{Call, Patience};
use crate::token::pair;
use crate::transport::{Ask, follow};
use crate::verify;

/// The bytes of a blob to push.
pub type Content = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// How a pushed blob came to be in the repository.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Pushed {
    /// It was there before.
    Existed,
    /// The registry took it from another of its repositories.
    Mounted,
    /// It was sent.
    Sent,
}

impl Repository {
    /// Whether the registry itself (no mirror) has the blob in this repository.
    pub async fn has_blob(&self, digest: Digest) -> Result<bool, Error> {
        let endpoint = self.session.hosts.to_push(self.reference.registry())?;
        let call = self.pushing(Method::HEAD, &format!("blobs/{digest}"));
        match self.session.success(&endpoint, &call).await {
            Ok(_) => Ok(true),
            Err(Error::Status { status: StatusCode::NOT_FOUND, .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Pushes a blob unless it is there. `open` gives its bytes from the beginning, once for each
    /// attempt.
    ///
    /// With `mount_from`, the path of another repository of the registry (`library/debian`), the
    /// registry is first asked to take it from there.
    pub async fn push_blob(
        &self,
        descriptor: &Descriptor,
        mount_from: Option<&str>,
        open: impl Fn() -> Content,
    ) -> Result<Pushed, Error> {
        if self.has_blob(descriptor.digest).await? {
            return Ok(Pushed::Existed);
        }
        let endpoint = self.session.hosts.to_push(self.reference.registry())?;
        let mut patience = Patience::default();
        loop {
            let Some(location) = self.begin(&endpoint, descriptor.digest, mount_from).await? else {
                return Ok(Pushed::Mounted);
            };
            match self.send_blob(descriptor, &location, open()).await {
                Ok(()) => return Ok(Pushed::Sent),
                Err(error) => self.session.patience(&endpoint, &mut patience, error).await?,
            }
        }
    }

    /// Puts a manifest or index under the reference's tag, or under its own digest if the
    /// reference has no tag. The blobs it names must be there. Returns its digest.
    pub async fn push_manifest(&self, media_type: &str, bytes: Bytes) -> Result<Digest, Error> {
        let digest = verify::digest(&bytes);
        let endpoint = self.session.hosts.to_push(self.reference.registry())?;
        let name = self.reference.tag().map_or_else(|| digest.to_string(), str::to_owned);
        let mut call = self.pushing(Method::PUT, &format!("manifests/{name}"));
        if let Ok(media_type) = HeaderValue::from_str(media_type) {
            call.headers.insert(CONTENT_TYPE, media_type);
        }
        call.body = bytes;
        self.session.success(&endpoint, &call).await?;
        Ok(digest)
    }

    fn pushing(&self, method: Method, rest: &str) -> Call<'_> {
        let mut call = self.call(method, rest);
        call.scopes = vec![format!("repository:{}:pull,push", self.reference.path())];
        call
    }

    /// Asks where to send a blob; `None` if the registry could mount it.
    async fn begin(
        &self,
        endpoint: &Endpoint,
        digest: Digest,
        mount_from: Option<&str>,
    ) -> Result<Option<Uri>, Error> {
        let mut rest = "blobs/uploads/".to_owned();
        if let Some(from) = mount_from {
            let mount = pair("mount", &digest.to_string());
            rest.push_str(&format!("?{mount}&{}", pair("from", from)));
        }
        let mut call = self.pushing(Method::POST, &rest);
        call.scopes.extend(mount_from.map(|from| format!("repository:{from}:pull")));
        let answered = self.session.success(endpoint, &call).await?;
        match answered.response.status() {
            StatusCode::CREATED => Ok(None),
            _ => follow(&answered).map(Some),
        }
    }

    async fn send_blob(
        &self,
        descriptor: &Descriptor,
        location: &Uri,
        content: Content,
    ) -> Result<(), Error> {
        let digest = descriptor.digest;
        let separator = if location.query().is_some() { '&' } else { '?' };
        let url = format!("{location}{separator}{}", pair("digest", &digest.to_string()));
        let url = url.parse::<Uri>().map_err(|_not_a_url| Error::Location {
            url: crate::transport::shown(location),
            why: "with the digest it is no URL",
        })?;
        let call = self.pushing(Method::PUT, "");
        let mut ask = Ask { method: Method::PUT, ..Ask::get(url) };
        ask.authorization = self.session.proof_at(&ask.url, &call).await?;
        ask.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        ask.headers.insert(CONTENT_LENGTH, HeaderValue::from(descriptor.size));
        // hyper says only that the body failed; why is kept beside it.
        let failure = Arc::new(Mutex::new(None));
        let kept = Arc::clone(&failure);
        let body = StreamBody::new(content.map(move |part| {
            part.map(Frame::data).map_err(|source| {
                let text = io::Error::from(source.kind());
                *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(source);
                text
            })
        }));
        let sent = self.session.transport.send(&ask, body.boxed_unsync()).await;
        if let Some(source) = failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(Error::Content { digest, source });
        }
        let answered = sent?;
        if answered.response.status().is_success() {
            return Ok(());
        }
        Err(self.session.refusal(answered).await)
    }
}
