//! Answers that are a stream of JSON values: progress of a pull, events.

use bytes::{Buf as _, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use serde::de::DeserializeOwned;

use super::ClientError;

/// The longest single value: a line of progress or one event.
const VALUE_BYTES_MAX: usize = 4 << 20;

/// JSON values one after the other, with or without line breaks between them.
pub(crate) struct Values {
    body: Incoming,
    buffer: BytesMut,
    target: String,
}

impl Values {
    pub(crate) fn new(body: Incoming, target: &str) -> Self {
        Self { body, buffer: BytesMut::new(), target: target.to_owned() }
    }

    /// The next value, or none at the end of the answer.
    pub(crate) async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, ClientError> {
        loop {
            if let Some(value) = take(&mut self.buffer).map_err(|source| self.json(source))? {
                return Ok(Some(value));
            }
            if self.buffer.len() > VALUE_BYTES_MAX {
                return Err(ClientError::TooLarge { target: self.target.clone() });
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        self.buffer.extend_from_slice(&bytes);
                    }
                }
                Some(Err(error)) => {
                    let target = self.target.clone();
                    return Err(ClientError::Read { target, source: Box::new(error) });
                }
                None if self.buffer.trim_ascii().is_empty() => return Ok(None),
                None => {
                    let cut = serde_json::from_slice::<serde_json::Value>(&self.buffer);
                    return cut.map(|_| None).map_err(|source| self.json(source));
                }
            }
        }
    }

    fn json(&self, source: serde_json::Error) -> ClientError {
        ClientError::Json { target: self.target.clone(), source }
    }
}

/// Takes the first whole value off the buffer; none when it is not all there yet.
fn take<T: DeserializeOwned>(buffer: &mut BytesMut) -> Result<Option<T>, serde_json::Error> {
    let mut values = serde_json::Deserializer::from_slice(buffer).into_iter::<T>();
    let value = match values.next() {
        Some(Ok(value)) => value,
        Some(Err(error)) if error.is_eof() => return Ok(None),
        Some(Err(error)) => return Err(error),
        None => return Ok(None),
    };
    let length = values.byte_offset();
    buffer.advance(length);
    Ok(Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_may_be_cut_anywhere() {
        let text = b"{\"a\":1}\r\n{\"a\":\"}{\"} [3]";
        for cut in 0..text.len() {
            let mut buffer = BytesMut::new();
            let mut seen = Vec::new();
            for part in [&text[..cut], &text[cut..]] {
                buffer.extend_from_slice(part);
                while let Some(value) = take::<serde_json::Value>(&mut buffer).unwrap() {
                    seen.push(value.to_string());
                }
            }
            assert_eq!(seen, ["{\"a\":1}", "{\"a\":\"}{\"}", "[3]"], "cut at {cut}");
        }
        assert!(take::<serde_json::Value>(&mut BytesMut::from(&b"{]"[..])).is_err());
    }
}
