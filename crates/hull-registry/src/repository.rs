//! One repository as seen with one caller's credentials.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::header::ACCEPT;
use http::{HeaderValue, Method};
use hull_model::image::{Digest, Platform};
use hull_model::manifest::{
    DOCKER_LIST, DOCKER_MANIFEST, Descriptor, Document, Manifest, OCI_INDEX, OCI_MANIFEST,
};
use hull_model::reference::Reference;

use crate::credentials::Credentials;
use crate::error::Error;
use crate::host::Endpoint;
use crate::session::{Call, Patience, Session};
use crate::transport::Answered;
use crate::verify;

/// Longest manifest or index that is read (distribution `registry/handlers/manifests.go`).
pub const MANIFEST_MAX: usize = 4 * 1024 * 1024;
/// How deep indexes may lie within indexes.
const DEPTH_MAX: usize = 3;
/// Every kind that [`Document`] reads. Schema 1 is left out, so that a registry that can convert
/// an image does not serve it.
const ACCEPTED: [&str; 4] = [OCI_INDEX, DOCKER_LIST, OCI_MANIFEST, DOCKER_MANIFEST];

/// A repository to pull from or push to. Cheap to clone.
///
/// Keeps the credentials while it lives, and which mirrors have failed.
#[derive(Clone, Debug)]
pub struct Repository {
    pub(crate) session: Arc<Session>,
    pub(crate) reference: Reference,
    pub(crate) credentials: Arc<Credentials>,
    sources: Arc<[Source]>,
}

#[derive(Debug)]
struct Source {
    endpoint: Endpoint,
    has_failed: AtomicBool,
}

/// Bytes with the descriptor they answer to: their digest is verified.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// Media type, digest and size.
    pub descriptor: Descriptor,
    /// The content, unchanged.
    pub bytes: Bytes,
}

/// What a reference means on one platform.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The index the manifest was chosen from, outermost first; empty if there was none.
    pub indexes: Vec<Fetched>,
    /// The manifest's own bytes.
    pub fetched: Fetched,
    /// The manifest, read.
    pub manifest: Manifest,
}

impl Resolved {
    /// The digest that the reference itself stands for: the index's, if there is one.
    pub fn digest(&self) -> Digest {
        self.indexes.first().unwrap_or(&self.fetched).descriptor.digest
    }
}

impl Repository {
    pub(crate) fn new(
        session: Arc<Session>,
        reference: Reference,
        credentials: Credentials,
    ) -> Result<Self, Error> {
        let endpoints = session.hosts.to_pull(reference.registry())?;
        let sources =
            endpoints.into_iter().map(|endpoint| Source { endpoint, has_failed: false.into() });
        let sources = sources.collect();
        Ok(Self { session, reference, credentials: Arc::new(credentials), sources })
    }

    /// The reference it was made for.
    pub fn reference(&self) -> &Reference {
        &self.reference
    }

    /// Finds the manifest of the reference (its digest, else its tag, else `latest`) for
    /// `platform`.
    ///
    /// Every document's digest is verified; one that no digest names is taken as it is, as with
    /// any tag.
    pub async fn resolve(&self, platform: &Platform) -> Result<Resolved, Error> {
        let reference = self.reference.clone().or_latest();
        let mut name = match (reference.digest(), reference.tag()) {
            (Some(digest), _) => digest.to_string(),
            (None, tag) => tag.unwrap_or("latest").to_owned(),
        };
        let mut expected = reference.digest();
        let mut indexes = Vec::new();
        loop {
            let (fetched, document) = self.document(&name, expected).await?;
            let index = match document {
                Document::Manifest(manifest) => return Ok(Resolved { indexes, fetched, manifest }),
                Document::Index(index) => index,
            };
            let Some(entry) = index.choose(platform) else {
                return Err(Error::NoPlatform(platform.clone()));
            };
            if indexes.len() >= DEPTH_MAX {
                return Err(Error::Nested(reference.to_string()));
            }
            indexes.push(fetched);
            expected = Some(entry.digest);
            name = entry.digest.to_string();
        }
    }

    /// Fetches one manifest or index by tag or digest, as it is.
    pub async fn fetch_manifest(&self, reference: &Reference) -> Result<Fetched, Error> {
        let reference = reference.clone().or_latest();
        let name = match (reference.digest(), reference.tag()) {
            (Some(digest), _) => digest.to_string(),
            (None, tag) => tag.unwrap_or("latest").to_owned(),
        };
        Ok(self.document(&name, reference.digest()).await?.0)
    }

    async fn document(
        &self,
        name: &str,
        expected: Option<Digest>,
    ) -> Result<(Fetched, Document), Error> {
        let mut call = self.call(Method::GET, &format!("manifests/{name}"));
        for accepted in ACCEPTED {
            call.headers.append(ACCEPT, HeaderValue::from_static(accepted));
        }
        let mut sources = self.usable();
        loop {
            let Some((number, endpoint)) = sources.next() else {
                unreachable!("the registry itself is the last source and its error is returned")
            };
            let error = match self.manifest_at(endpoint, &call, expected).await {
                Ok(found) => return Ok(found),
                Err(error) => error,
            };
            if !endpoint.is_mirror {
                return Err(self.in_words_of_docker(error));
            }
            self.mirror_failed(number, &error);
        }
    }

    async fn manifest_at(
        &self,
        endpoint: &Endpoint,
        call: &Call<'_>,
        expected: Option<Digest>,
    ) -> Result<(Fetched, Document), Error> {
        let mut patience = Patience::default();
        loop {
            let answered = self.session.success(endpoint, call).await?;
            let media_type = content_type(&answered);
            match self.session.transport.read(answered, MANIFEST_MAX).await {
                Ok(bytes) => return self.accept(bytes, media_type.as_deref(), expected),
                Err(error) => self.session.patience(endpoint, &mut patience, error).await?,
            }
        }
    }

    fn accept(
        &self,
        bytes: Bytes,
        told: Option<&str>,
        expected: Option<Digest>,
    ) -> Result<(Fetched, Document), Error> {
        let digest = verify::digest(&bytes);
        if let Some(expected) = expected.filter(|expected| *expected != digest) {
            let what = format!("the manifest of {}", self.reference);
            return Err(Error::Digest { what, expected, found: digest });
        }
        let document = Document::parse(&bytes, told)
            .map_err(|source| Error::Manifest { reference: self.reference.to_string(), source })?;
        let media_type = match told {
            Some(told) if ACCEPTED.contains(&told) => told,
            _ => document.media_type(),
        };
        let descriptor = Descriptor {
            media_type: media_type.to_owned(),
            digest,
            size: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            platform: None,
            annotations: None,
        };
        Ok((Fetched { descriptor, bytes }, document))
    }

    /// A request below this repository that needs the right to pull.
    pub(crate) fn call(&self, method: Method, rest: &str) -> Call<'_> {
        let mut path = String::new();
        // Writing to a string cannot fail; the repository's grammar leaves nothing to encode.
        write!(path, "/v2/{}/{rest}", self.reference.path()).ok();
        let mut call = Call::new(method, path, &self.credentials);
        call.scopes.push(format!("repository:{}:pull", self.reference.path()));
        call
    }

    /// The places to pull from that have not failed yet; the registry itself is always the last.
    pub(crate) fn usable(&self) -> impl Iterator<Item = (usize, &Endpoint)> {
        self.sources.iter().enumerate().filter_map(|(number, source)| {
            let is_out = source.endpoint.is_mirror && source.has_failed.load(Ordering::Relaxed);
            (!is_out).then_some((number, &source.endpoint))
        })
    }

    /// Goes on without a mirror.
    pub(crate) fn mirror_failed(&self, number: usize, error: &Error) {
        tracing::warn!(%error, "a mirror failed; the next source is asked");
        if let Some(source) = self.sources.get(number) {
            source.has_failed.store(true, Ordering::Relaxed);
        }
    }

    /// Says what a refusal means for an image, as Docker does (moby `TranslatePullError`).
    pub(crate) fn in_words_of_docker(&self, error: Error) -> Error {
        let (Error::Status { refusal, .. } | Error::Unauthorized { refusal, .. }) = &error else {
            return error;
        };
        let (refusal, repository) = (refusal.clone(), self.reference.familiar_name());
        match refusal.code.as_str() {
            "MANIFEST_UNKNOWN" => {
                let reference = self.reference.clone().or_latest().to_string();
                Error::ManifestUnknown { reference, refusal }
            }
            "NAME_UNKNOWN" => Error::RepositoryUnknown { repository, refusal },
            "DENIED" => Error::PullDenied { repository, refusal },
            _ => error,
        }
    }
}

/// The media type an answer tells, without parameters.
fn content_type(answered: &Answered) -> Option<String> {
    let told = answered.response.headers().get(http::header::CONTENT_TYPE)?.to_str().ok()?;
    Some(told.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}
