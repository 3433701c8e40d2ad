//! Frames: a length (4 bytes, big-endian), then that many bytes of postcard.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The most bytes one frame may carry.
pub const FRAME_MAX: usize = 1 << 20;

const HEADER: usize = 4;

/// The bytes are not a frame of the protocol; the connection cannot be used any more.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum FrameError {
    /// The announced or needed length is above [`FRAME_MAX`].
    #[error("frame of {0} bytes, at most {FRAME_MAX} are allowed")]
    TooLong(usize),
    /// The content is not a message of the expected type.
    #[error("frame cannot be read: {0}")]
    Content(postcard::Error),
    /// The message was read, but its frame goes on.
    #[error("{0} bytes left over in a frame")]
    LeftOver(usize),
}

/// `message` as one frame.
pub fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, FrameError> {
    let frame = postcard::to_extend(message, vec![0; HEADER]).map_err(FrameError::Content)?;
    let length = frame.len() - HEADER;
    match u32::try_from(length) {
        Ok(header) if length <= FRAME_MAX => {
            let mut frame = frame;
            frame[..HEADER].copy_from_slice(&header.to_be_bytes());
            Ok(frame)
        }
        _ => Err(FrameError::TooLong(length)),
    }
}

/// Collects bytes as they arrive and hands out whole messages.
///
/// It never holds more than one frame's worth of bytes beyond what one `push` brought.
#[derive(Debug, Default)]
pub struct Decoder {
    bytes: Vec<u8>,
}

impl Decoder {
    /// Adds what was read.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole message, `None` when more bytes are needed.
    ///
    /// A length above the limit is an error as soon as the header is there, so nobody can make us
    /// wait for, or hold, a frame that will be refused anyway.
    pub fn take<T: DeserializeOwned>(&mut self) -> Result<Option<T>, FrameError> {
        let Some((header, rest)) = self.bytes.split_first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let length = usize::try_from(u32::from_be_bytes(*header)).unwrap_or(usize::MAX);
        if length > FRAME_MAX {
            return Err(FrameError::TooLong(length));
        }
        let Some(frame) = rest.get(..length) else { return Ok(None) };
        let (message, left) = postcard::take_from_bytes(frame).map_err(FrameError::Content)?;
        if !left.is_empty() {
            return Err(FrameError::LeftOver(left.len()));
        }
        self.bytes.drain(..HEADER + length);
        if self.bytes.is_empty() {
            self.bytes = Vec::new();
        }
        Ok(Some(message))
    }

    /// The bytes after the last message taken, for a connection that turns into a plain stream.
    pub fn into_rest(self) -> Vec<u8> {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::{Message, Process, Request};

    #[test]
    fn a_frame_that_is_too_long_is_refused_by_its_header_alone() {
        let mut decoder = Decoder::default();
        decoder.push(&u32::MAX.to_be_bytes());
        let refused = Err(FrameError::TooLong(u32::MAX as usize));
        assert_eq!(decoder.take::<Request>(), refused);
        assert_eq!(encode(&vec![1_u8; FRAME_MAX]), Err(FrameError::TooLong(FRAME_MAX + 3)));
    }

    #[test]
    fn what_a_frame_holds_beyond_its_message_is_an_error() {
        let mut frame = encode(&Process::Guest).unwrap();
        frame.push(0);
        frame[3] += 1;
        let mut decoder = Decoder::default();
        decoder.push(&frame);
        assert_eq!(decoder.take::<Process>(), Err(FrameError::LeftOver(1)));
    }

    #[test]
    fn a_length_inside_that_lies_costs_no_memory() {
        // An `Exec` whose plan claims to have 2^63 bytes.
        let mut body = vec![1, 1, 3, 64];
        body.extend_from_slice(&[b'a'; 64]);
        body.extend_from_slice(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]);
        let mut decoder = Decoder::default();
        decoder.push(&u32::try_from(body.len()).unwrap().to_be_bytes());
        decoder.push(&body);
        assert!(matches!(decoder.take::<Request>(), Err(FrameError::Content(_))));
    }

    fn drain<T: DeserializeOwned>(decoder: &mut Decoder) {
        while let Ok(Some(_)) = decoder.take::<T>() {}
    }

    proptest! {
        #[test]
        fn hostile_bytes_give_errors_and_nothing_worse(chunks: Vec<Vec<u8>>) {
            let mut decoder = Decoder::default();
            for chunk in chunks {
                decoder.push(&chunk);
                drain::<Request>(&mut decoder);
            }
        }

        #[test]
        fn hostile_content_in_a_proper_frame_too(body in prop::collection::vec(any::<u8>(), 0..300)) {
            for kind in 0..8 {
                let mut content = vec![kind % 3, kind];
                content.extend_from_slice(&body);
                let mut decoder = Decoder::default();
                decoder.push(&u32::try_from(content.len()).unwrap().to_be_bytes());
                decoder.push(&content);
                drain::<Request>(&mut decoder);
                let mut decoder = Decoder::default();
                decoder.push(&u32::try_from(content.len()).unwrap().to_be_bytes());
                decoder.push(&content);
                drain::<Message>(&mut decoder);
            }
        }

        #[test]
        fn messages_arrive_whole_however_they_are_cut(
            texts in prop::collection::vec(".{0,40}", 1..8),
            size in 1_usize..50,
        ) {
            let bytes: Vec<u8> = texts.iter().flat_map(|text| encode(text).unwrap()).collect();
            let mut decoder = Decoder::default();
            let mut read = Vec::new();
            for chunk in bytes.chunks(size) {
                decoder.push(chunk);
                while let Some(text) = decoder.take::<String>().unwrap() {
                    read.push(text);
                }
            }
            prop_assert_eq!(read, texts);
            prop_assert!(decoder.into_rest().is_empty());
        }
    }
}
