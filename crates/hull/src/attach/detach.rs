//! The keys that detach from a guest: Ctrl-P Ctrl-Q unless told otherwise. Pure.

/// A sequence of keys looked for in the input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Keys {
    sequence: Vec<u8>,
    /// How many keys of the sequence were typed last, held back until it is clear what they are.
    matched: usize,
}

impl Default for Keys {
    fn default() -> Self {
        Self { sequence: vec![16, 17], matched: 0 }
    }
}

impl Keys {
    /// Reads `ctrl-p,ctrl-q`: single characters and `ctrl-` with a letter or one of `@[\]^_`.
    ///
    /// # Errors
    /// A message naming what is not a key.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let key = |name: &str| match name.as_bytes() {
            [byte] => Ok(*byte),
            [b'c', b't', b'r', b'l', b'-', byte] => match byte {
                b'a'..=b'z' => Ok(byte - b'a' + 1),
                b'@' => Ok(0),
                b'[' | b'\\' | b']' | b'^' | b'_' => Ok(byte - b'[' + 27),
                _ => Err(format!("Unknown character: '{name}'")),
            },
            _ => Err(format!("Unknown character: '{name}'")),
        };
        let sequence = text.split(',').map(key).collect::<Result<_, _>>()?;
        Ok(Self { sequence, matched: 0 })
    }

    /// Takes typed bytes; gives what goes to the guest, and whether the keys were typed.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> (Vec<u8>, bool) {
        let mut out = Vec::with_capacity(bytes.len() + self.matched);
        for &byte in bytes {
            if self.sequence.get(self.matched) == Some(&byte) {
                self.matched += 1;
                if self.matched == self.sequence.len() {
                    self.matched = 0;
                    return (out, true);
                }
                continue;
            }
            out.extend_from_slice(&self.sequence[..self.matched]);
            self.matched = 0;
            if self.sequence.first() == Some(&byte) {
                self.matched = 1;
            } else {
                out.push(byte);
            }
        }
        (out, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_are_found_across_reads_and_nothing_else_is_lost() {
        for (input, sent, detached) in [
            (&[&b"ab"[..]][..], &b"ab"[..], false),
            (&[b"a\x10\x11b"], b"a", true),
            (&[b"a\x10", b"\x11"], b"a", true),
            (&[b"\x10x"], b"\x10x", false),
            (&[b"\x10\x10", b"\x11"], b"\x10", true),
            (&[b"\x11\x10"], b"\x11", false),
        ] {
            let mut keys = Keys::default();
            let mut out = Vec::new();
            let mut end = false;
            for part in input {
                let (bytes, found) = keys.feed(part);
                out.extend(bytes);
                end |= found;
            }
            assert_eq!((&*out, end), (sent, detached), "{input:?}");
        }
    }

    #[test]
    fn keys_read_as_in_docker() {
        let read = |text| Keys::parse(text).map(|keys| keys.sequence);
        assert_eq!(read("ctrl-p,ctrl-q"), Ok(vec![16, 17]));
        assert_eq!(read("ctrl-@,a,ctrl-_"), Ok(vec![0, b'a', 31]));
        for text in ["", "ctrl-", "ctrl-1", "ab", "a,,b", "ctrl-é"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
