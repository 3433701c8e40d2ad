//! Content against its digest.

use bytes::Bytes;
use futures_util::stream::{Stream, StreamExt as _, try_unfold};
use hull_model::image::Digest;
use sha2::{Digest as _, Sha256};

use crate::error::Error;

/// The digest of `bytes`.
pub fn digest(bytes: &[u8]) -> Digest {
    Digest::from_sha256(Sha256::digest(bytes).into())
}

/// The same stream, which ends with [`Error::Digest`] if it was not the content of `expected`.
///
/// Only at the end is it known: whatever was made of the bytes must be thrown away on an error.
/// The stream must begin at the content's beginning.
pub fn verified<S>(stream: S, expected: Digest) -> impl Stream<Item = Result<Bytes, Error>>
where
    S: Stream<Item = Result<Bytes, Error>> + Unpin,
{
    try_unfold((stream, Some(Sha256::new())), move |(mut stream, hash)| async move {
        let Some(mut hash) = hash else { return Ok(None) };
        match stream.next().await {
            Some(part) => {
                let part = part?;
                hash.update(&part);
                Ok(Some((part, (stream, Some(hash)))))
            }
            None => {
                let found = Digest::from_sha256(hash.finalize().into());
                let what = "a blob".to_owned();
                if found == expected {
                    Ok(None)
                } else {
                    Err(Error::Digest { what, expected, found })
                }
            }
        }
    })
}
