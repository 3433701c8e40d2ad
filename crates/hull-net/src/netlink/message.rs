//! One netlink message being written. Pure.

use super::uapi::{NLA_F_NESTED, NLM_F_ACK, NLM_F_REQUEST};

/// Length of `struct nlmsghdr`.
pub(crate) const HEADER_LEN: usize = 16;
/// Length of `struct nlattr`.
pub(crate) const ATTRIBUTE_LEN: usize = 4;

/// A request to the kernel. Its sequence number is set when it is sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Message {
    bytes: Vec<u8>,
    /// What the request does, for the error that it may cause.
    doing: String,
    fits: bool,
}

impl Message {
    /// Begins a request of this kind with its fixed header.
    pub(crate) fn new(doing: impl Into<String>, kind: u16, flags: u16, fixed: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(256);
        bytes.extend([0; 4]);
        bytes.extend(kind.to_ne_bytes());
        bytes.extend((flags | NLM_F_REQUEST).to_ne_bytes());
        bytes.extend([0; 8]);
        let mut message = Self { bytes, doing: doing.into(), fits: true };
        message.raw(fixed);
        message
    }

    /// Asks for an acknowledgement.
    pub(crate) fn acknowledged(mut self) -> Self {
        let flags = u16::from_ne_bytes([self.bytes[6], self.bytes[7]]) | NLM_F_ACK;
        self.bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        self
    }

    /// Whether an acknowledgement is asked for.
    pub(crate) fn is_acknowledged(&self) -> bool {
        u16::from_ne_bytes([self.bytes[6], self.bytes[7]]) & NLM_F_ACK != 0
    }

    /// Adds bytes as they are, padded to four.
    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    /// Adds an attribute.
    pub(crate) fn bytes(&mut self, kind: u16, value: &[u8]) {
        match u16::try_from(ATTRIBUTE_LEN + value.len()) {
            Ok(len) => self.bytes.extend(len.to_ne_bytes()),
            Err(_too_long) => {
                self.fits = false;
                return;
            }
        }
        self.bytes.extend(kind.to_ne_bytes());
        self.raw(value);
    }

    /// Adds a text attribute, with the NUL the kernel expects.
    pub(crate) fn text(&mut self, kind: u16, value: &str) {
        let mut bytes = Vec::with_capacity(value.len() + 1);
        bytes.extend(value.as_bytes());
        bytes.push(0);
        self.bytes(kind, &bytes);
    }

    /// Adds a byte.
    pub(crate) fn u8(&mut self, kind: u16, value: u8) {
        self.bytes(kind, &[value]);
    }

    /// Adds a 32-bit number in the machine's order (rtnetlink).
    pub(crate) fn u32(&mut self, kind: u16, value: u32) {
        self.bytes(kind, &value.to_ne_bytes());
    }

    /// Adds a 32-bit number in network order (nfnetlink).
    pub(crate) fn be32(&mut self, kind: u16, value: u32) {
        self.bytes(kind, &value.to_be_bytes());
    }

    /// Adds an attribute that holds what `fill` writes.
    pub(crate) fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        self.bytes.extend([0; 2]);
        self.bytes.extend((kind | NLA_F_NESTED).to_ne_bytes());
        fill(self);
        match u16::try_from(self.bytes.len() - start) {
            Ok(len) => self.bytes[start..start + 2].copy_from_slice(&len.to_ne_bytes()),
            Err(_too_long) => self.fits = false,
        }
    }

    /// What the request does, in words.
    pub(crate) fn doing(&self) -> &str {
        &self.doing
    }

    /// The bytes on the wire, unless an attribute is longer than its 16-bit length can say.
    pub(crate) fn finish(&self, sequence: u32) -> Option<Vec<u8>> {
        let len = u32::try_from(self.bytes.len()).ok().filter(|_| self.fits)?;
        let mut bytes = self.bytes.clone();
        bytes[..4].copy_from_slice(&len.to_ne_bytes());
        bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::super::attribute;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_message_is_laid_out_as_the_kernel_reads_it() {
        let mut message = Message::new("test", 16, 0x400, &[1, 2, 3, 4]);
        message.text(3, "eth0");
        message.nest(18, |nest| nest.u32(4, 0x0102_0304));
        let bytes = message.finish(7).unwrap();
        let mut expected = Vec::new();
        expected.extend(44u32.to_ne_bytes());
        expected.extend(16u16.to_ne_bytes());
        expected.extend(0x401u16.to_ne_bytes());
        expected.extend(7u32.to_ne_bytes());
        expected.extend([0, 0, 0, 0, 1, 2, 3, 4]);
        expected.extend(9u16.to_ne_bytes());
        expected.extend(3u16.to_ne_bytes());
        expected.extend(*b"eth0\0\0\0\0");
        expected.extend(12u16.to_ne_bytes());
        expected.extend((18u16 | 0x8000).to_ne_bytes());
        expected.extend(8u16.to_ne_bytes());
        expected.extend(4u16.to_ne_bytes());
        expected.extend(0x0102_0304u32.to_ne_bytes());
        assert_eq!(bytes, expected);
    }

    #[test]
    fn an_attribute_too_long_for_its_length_field_is_never_sent() {
        let mut message = Message::new("test", 16, 0, &[]);
        message.bytes(1, &vec![0; 70_000]);
        assert_eq!(message.finish(1), None);
        let mut message = Message::new("test", 16, 0, &[]);
        message.nest(1, |nest| (0..20).for_each(|_| nest.bytes(2, &[0; 4000])));
        assert_eq!(message.finish(1), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            values in prop::collection::vec((0u16..0x3fff, prop::collection::vec(any::<u8>(), 0..64)), 0..16),
        ) {
            let mut message = Message::new("test", 1, 0, &[9; 8]);
            for (kind, value) in &values {
                message.nest(*kind, |nest| nest.bytes(*kind, value));
            }
            let bytes = message.finish(1).unwrap();
            prop_assert_eq!(bytes.len() % 4, 0);
            let read: Vec<_> = attribute::all(&bytes[HEADER_LEN + 8..])
                .map(|(kind, nested)| {
                    let (inner, value) = attribute::all(nested).next().unwrap();
                    assert_eq!(kind, inner);
                    (kind, value.to_vec())
                })
                .collect();
            prop_assert_eq!(read, values);
        }
    }
}
