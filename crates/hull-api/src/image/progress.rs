//! Messages of a pull, in the words the docker CLI draws its bars from.

use hull_model::image::Digest;
use hull_model::reference::Reference;

use crate::stream::{Message, ProgressDetail, status};

/// The first message: what is pulled.
pub fn pulling(reference: &Reference) -> Message {
    let version = match (reference.tag(), reference.digest()) {
        (_, Some(digest)) => digest.to_string(),
        (Some(tag), None) => tag.to_owned(),
        (None, None) => "latest".to_owned(),
    };
    let from = match reference.registry() {
        hull_model::reference::DEFAULT_REGISTRY => reference.path().to_owned(),
        registry => format!("{registry}/{}", reference.path()),
    };
    Message { id: Some(version), ..status(format!("Pulling from {from}")) }
}

/// What happens to a layer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Layer {
    /// It is known that it is needed.
    Waiting,
    /// It is here already.
    Exists,
    /// So much of it has come, of so much.
    Downloading {
        /// Bytes that have come.
        current: u64,
        /// Bytes in all.
        total: u64,
    },
    /// All has come and is unpacked.
    Complete,
}

/// A message about a layer, by the first twelve digits of its digest.
pub fn layer(digest: Digest, what: Layer) -> Message {
    let (words, detail) = match what {
        Layer::Waiting => ("Pulling fs layer", ProgressDetail::default()),
        Layer::Exists => ("Already exists", ProgressDetail::default()),
        Layer::Downloading { current, total } => {
            let total = (total > 0).then_some(total);
            ("Downloading", ProgressDetail { current: Some(current), total })
        }
        Layer::Complete => ("Pull complete", ProgressDetail::default()),
    };
    let short = digest.hex().chars().take(12).collect();
    Message { id: Some(short), progress_detail: Some(detail), ..status(words) }
}

/// The last messages: what the registry calls it, and whether it is news.
pub fn done(reference: &Reference, digest: Digest, known: bool) -> [Message; 2] {
    let news = if known { "Image is up to date for" } else { "Downloaded newer image for" };
    [status(format!("Digest: {digest}")), status(format!("Status: {news} {reference}"))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_dockers() {
        let reference = Reference::parse("debian:12").unwrap();
        let json = |message: &Message| serde_json::to_string(message).unwrap();
        assert_eq!(
            json(&pulling(&reference)),
            r#"{"status":"Pulling from library/debian","id":"12"}"#
        );
        let digest = Digest::from_sha256([0xab; 32]);
        assert_eq!(
            json(&layer(digest, Layer::Waiting)),
            r#"{"status":"Pulling fs layer","progressDetail":{},"id":"abababababab"}"#
        );
        assert_eq!(
            json(&layer(digest, Layer::Downloading { current: 5, total: 9 })),
            r#"{"status":"Downloading","progressDetail":{"current":5,"total":9},"id":"abababababab"}"#
        );
        let [_, last] = done(&reference, digest, false);
        assert_eq!(json(&last), r#"{"status":"Status: Downloaded newer image for debian:12"}"#);
        assert_eq!(
            json(&crate::stream::failure("no")),
            r#"{"errorDetail":{"message":"no"},"error":"no"}"#
        );
    }
}
