//! Blobs as streams that survive broken connections.

use std::pin::Pin;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream::{Stream, try_unfold};
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, RANGE};
use http::{HeaderValue, Method, StatusCode, Uri};
use hull_model::manifest::Descriptor;
use hyper::body::Incoming;

use crate::error::Error;
use crate::host::Endpoint;
use crate::repository::Repository;
use crate::session::Patience;
use crate::transport::{Answered, shown};

/// A connection that broke but brought this much makes the count of failures begin anew. Less does
/// not: a registry that cuts after each byte would be asked forever.
const PROGRESS: u64 = 1024 * 1024;

/// What must come within the longest wait for one part.
const DRIP: u64 = 4096;

/// The bytes of a blob in order. After an error there is nothing more.
pub type BlobStream = Pin<Box<dyn Stream<Item = Result<Bytes, Error>> + Send>>;

impl Repository {
    /// Streams a blob from `offset` on.
    ///
    /// Ends after exactly the descriptor's size or with an error. Broken and stalled connections
    /// and failing registries are asked again for what is missing. The digest is *not* verified:
    /// see [`crate::verified`].
    pub fn fetch_blob(&self, descriptor: &Descriptor, offset: u64) -> BlobStream {
        let download = Download {
            repository: self.clone(),
            descriptor: descriptor.clone(),
            position: offset,
            counted_from: offset,
            patience: Patience::default(),
            open: None,
            pace: Pace::default(),
        };
        Box::pin(try_unfold(download, |mut download| async move {
            Ok(download.next().await?.map(|bytes| (bytes, download)))
        }))
    }
}

struct Download {
    repository: Repository,
    descriptor: Descriptor,
    /// Of the next byte to give out.
    position: u64,
    /// Where the count of failures began.
    counted_from: u64,
    patience: Patience,
    open: Option<Open>,
    pace: Pace,
}

/// Bytes against time spent waiting for them, so that a registry that drips is given up.
#[derive(Default)]
struct Pace {
    waited: Duration,
    bytes: u64,
}

impl Pace {
    /// Counts a part; `false` if less than [`DRIP`] came within `bound`.
    fn keeps(&mut self, waited: Duration, bytes: u64, bound: Duration) -> bool {
        self.waited += waited;
        self.bytes = self.bytes.saturating_add(bytes);
        if self.waited < bound {
            return true;
        }
        let is_enough = self.bytes >= DRIP;
        *self = Self::default();
        is_enough
    }
}

struct Open {
    body: Incoming,
    url: Uri,
    source: usize,
    /// What the registry sends again though it was asked for the rest.
    surplus: u64,
}

impl Download {
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        if self.position > self.descriptor.size {
            return Err(self.wrong_size(self.position));
        }
        loop {
            if self.position == self.descriptor.size && self.open.is_none() {
                return Ok(None);
            }
            let mut open = match self.open.take() {
                Some(open) => open,
                None => self.reopen().await?,
            };
            let failure = match self.part(&mut open).await {
                Ok(Some(bytes)) => {
                    let new = self.take(bytes, &mut open)?;
                    self.open = Some(open);
                    if new.is_empty() {
                        continue;
                    }
                    return Ok(Some(new));
                }
                _ if self.position == self.descriptor.size => return Ok(None),
                // A body without a length ends like a broken connection.
                Ok(None) => self.cut_short(),
                Err(error) => error,
            };
            self.failed(open.source, failure).await?;
        }
    }

    async fn part(&mut self, open: &mut Open) -> Result<Option<Bytes>, Error> {
        let transport = &self.repository.session.transport;
        let begun = Instant::now();
        let part = transport.part(&open.url, &mut open.body).await?;
        let length = part.as_ref().map_or(0, |part| u64::try_from(part.len()).unwrap_or(u64::MAX));
        let stall = transport.stall();
        // A whole blob may be small; only what is still missing can be dripping.
        if part.is_some() && !self.pace.keeps(begun.elapsed(), length, stall) {
            let url = shown(&open.url);
            return Err(Error::Stalled { method: Method::GET, url, after: stall });
        }
        Ok(part)
    }

    /// Leaves out what was asked for before; refuses what was not announced.
    fn take(&mut self, mut bytes: Bytes, open: &mut Open) -> Result<Bytes, Error> {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let again = length.min(open.surplus);
        open.surplus -= again;
        let new = bytes.split_off(usize::try_from(again).unwrap_or(bytes.len()));
        let position = self.position.saturating_add(length - again);
        if position > self.descriptor.size {
            return Err(self.wrong_size(position));
        }
        self.position = position;
        Ok(new)
    }

    /// Waits after a failure, or goes on to the next source; gives up when it is enough.
    async fn failed(&mut self, source: usize, error: Error) -> Result<(), Error> {
        if self.position - self.counted_from.min(self.position) >= PROGRESS {
            self.counted_from = self.position;
            self.patience = Patience::default();
        }
        let endpoint = self.repository.usable().find(|(number, _)| *number == source);
        match endpoint {
            Some((number, endpoint)) if endpoint.is_mirror => {
                self.repository.mirror_failed(number, &error);
                Ok(())
            }
            _ => self.patience.after(&self.repository.session.retry, error).await,
        }
    }

    async fn reopen(&mut self) -> Result<Open, Error> {
        loop {
            let Some((number, endpoint)) = self.repository.usable().next() else {
                unreachable!("the registry itself is always usable")
            };
            let endpoint = endpoint.clone();
            let error = match self.ask(&endpoint).await {
                Ok(answered) => match self.check(answered, number) {
                    Ok(open) => return Ok(open),
                    Err(error) => error,
                },
                Err(error) => self.repository.in_words_of_docker(error),
            };
            if !endpoint.is_mirror && !error.is_transient() {
                return Err(error);
            }
            self.failed(number, error).await?;
        }
    }

    async fn ask(&self, endpoint: &Endpoint) -> Result<Answered, Error> {
        let rest = format!("blobs/{}", self.descriptor.digest);
        let mut call = self.repository.call(Method::GET, &rest);
        if self.position > 0
            && let Ok(range) = HeaderValue::from_str(&format!("bytes={}-", self.position))
        {
            call.headers.insert(RANGE, range);
        }
        let session = &self.repository.session;
        let answered = session.exchange(endpoint, &call).await?;
        match answered.response.status() {
            StatusCode::OK | StatusCode::PARTIAL_CONTENT => Ok(answered),
            _ => Err(session.refusal(answered).await),
        }
    }

    /// Whether the answer is the part that was asked for, or the whole, of the right size.
    fn check(&self, answered: Answered, source: usize) -> Result<Open, Error> {
        let headers = answered.response.headers();
        let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let surplus = match answered.response.status() {
            StatusCode::PARTIAL_CONTENT => {
                let range = text(CONTENT_RANGE).and_then(range);
                let Some((start, total)) = range.filter(|(start, _)| *start <= self.position)
                else {
                    return Err(Error::Range(self.what()));
                };
                if let Some(total) = total.filter(|total| *total != self.descriptor.size) {
                    return Err(self.wrong_size(total));
                }
                self.position - start
            }
            _ => self.position,
        };
        let length = text(CONTENT_LENGTH).and_then(|text| text.parse::<u64>().ok());
        let total = length.map(|length| length.saturating_add(self.position - surplus));
        // A part may end early: the rest is then asked for.
        let is_part = answered.response.status() == StatusCode::PARTIAL_CONTENT;
        let fits =
            |total: u64| total == self.descriptor.size || is_part && total < self.descriptor.size;
        if let Some(total) = total.filter(|total| !fits(*total)) {
            return Err(self.wrong_size(total));
        }
        let (body, url) = (answered.response.into_body(), answered.url);
        Ok(Open { body, url, source, surplus })
    }

    fn what(&self) -> String {
        format!(
            "blob {} of {}",
            self.descriptor.digest,
            self.repository.reference().familiar_name()
        )
    }

    fn wrong_size(&self, found: u64) -> Error {
        Error::Size { what: self.what(), expected: self.descriptor.size, found }
    }

    fn cut_short(&self) -> Error {
        Error::Broken {
            method: Method::GET,
            url: self.what(),
            source: Box::new(self.wrong_size(self.position)),
        }
    }
}

/// Start and, if told, total of `bytes 5-9/10`.
fn range(header: &str) -> Option<(u64, Option<u64>)> {
    let (part, total) = header.strip_prefix("bytes ")?.split_once('/')?;
    let (start, end) = part.split_once('-')?;
    let (start, end) = (start.trim().parse().ok()?, end.trim().parse().ok()?);
    let total = match total.trim() {
        "*" => None,
        total => Some(total.parse().ok()?),
    };
    (start <= end && total.is_none_or(|total| end < total)).then_some((start, total))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ranges_are_read_or_refused() {
        assert_eq!(range("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(range("bytes 0-0/*"), Some((0, None)));
        for bad in
            ["", "bytes", "bytes */10", "bytes 9-5/10", "bytes 0-10/10", "bytes -1-5/6", "5-9/10"]
        {
            assert_eq!(range(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_drips_is_given_up_and_what_flows_is_not() {
        let second = Duration::from_secs(1);
        let mut pace = Pace::default();
        assert!((0..1000).all(|_| pace.keeps(second / 10, 1024, second)));
        let mut pace = Pace::default();
        assert!(!(0..10).all(|_| pace.keeps(second / 10, 1, second)));
    }

    proptest! {
        #[test]
        fn no_range_panics(header in "(bytes |[0-9*/-]){0,30}") {
            range(&header);
        }
    }
}
