//! The keys that detach a client from a terminal: Ctrl-P Ctrl-Q unless it says otherwise.

use std::borrow::Cow;

use crate::refusal::{Refusal, Result, quote};

/// A sequence of keys, at least one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct DetachKeys {
    sequence: Vec<u8>,
}

/// More keys than anybody types, fewer than a client could waste memory with.
const KEYS_MAX: usize = 64;

impl Default for DetachKeys {
    fn default() -> Self {
        Self { sequence: vec![16, 17] }
    }
}

impl DetachKeys {
    /// Reads `ctrl-p,ctrl-q`: single characters, and `ctrl-` with a letter or one of `@[\]^_`.
    /// Nothing means the default.
    pub fn parse(text: &str) -> Result<Self> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let sequence = text.split(',').map(key).collect::<Option<Vec<u8>>>();
        match sequence.filter(|keys| keys.len() <= KEYS_MAX) {
            Some(sequence) => Ok(Self { sequence }),
            None => Err(Refusal::invalid(format_args!(
                "invalid detach keys ({}) provided",
                quote(text)
            ))),
        }
    }
}

/// A single byte, or what a terminal sends for Ctrl and a key (moby `term.ToBytes`).
fn key(name: &str) -> Option<u8> {
    match name.to_ascii_lowercase().as_bytes() {
        [_] => name.bytes().next(),
        [b'c', b't', b'r', b'l', b'-', key] => match key {
            b'a'..=b'z' => Some(key - b'a' + 1),
            b'@' => Some(0),
            b'[' | b'\\' | b']' | b'^' | b'_' => Some(key - b'[' + 27),
            _ => None,
        },
        _ => None,
    }
}

/// Looks for the keys in what a client types, however it is cut.
///
/// Keys that may become the sequence are held back until it is clear; nothing else is delayed.
#[derive(Clone, Debug)]
pub struct Detach {
    keys: DetachKeys,
    /// How many keys of the sequence were typed last.
    matched: usize,
}

impl Detach {
    /// Waits for `keys`.
    pub fn new(keys: DetachKeys) -> Self {
        Self { keys, matched: 0 }
    }

    /// What of `typed` (and of what was held back) goes to the container, and whether the keys were
    /// typed. Nothing after them is looked at.
    pub fn filter<'t>(&mut self, typed: &'t [u8]) -> (Cow<'t, [u8]>, bool) {
        let sequence = &self.keys.sequence;
        if self.matched == 0 && !typed.contains(&sequence[0]) {
            return (Cow::Borrowed(typed), false);
        }
        let mut out = Vec::with_capacity(typed.len() + self.matched);
        for &byte in typed {
            // What was held back may end in a shorter beginning of the sequence: `a,a,b` in "aaab".
            while self.matched > 0 && sequence[self.matched] != byte {
                let shorter = (1..=self.matched)
                    .find(|&skip| sequence[skip..self.matched] == sequence[..self.matched - skip]);
                let skip = shorter.unwrap_or(self.matched);
                out.extend_from_slice(&sequence[..skip]);
                self.matched -= skip;
            }
            if sequence[self.matched] != byte {
                out.push(byte);
                continue;
            }
            self.matched += 1;
            if self.matched == sequence.len() {
                self.matched = 0;
                return (Cow::Owned(out), true);
            }
        }
        (Cow::Owned(out), false)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn typed(keys: &str, parts: &[&[u8]]) -> (Vec<u8>, bool) {
        let mut detach = Detach::new(DetachKeys::parse(keys).unwrap());
        let mut out = Vec::new();
        for part in parts {
            let (bytes, detached) = detach.filter(part);
            out.extend_from_slice(&bytes);
            if detached {
                return (out, true);
            }
        }
        (out, false)
    }

    #[test]
    fn keys_read_as_in_docker() {
        let read = |text| DetachKeys::parse(text).map(|keys| keys.sequence);
        assert_eq!(read(""), Ok(vec![16, 17]));
        assert_eq!(read("ctrl-p,ctrl-q"), Ok(vec![16, 17]));
        assert_eq!(read("ctrl-@,a,ctrl-_,A,CTRL-a"), Ok(vec![0, b'a', 31, b'A', 1]));
        for bad in ["ctrl-", "ctrl-1", "ab", "a,,b", "ctrl-é", "é", ",", &"a,".repeat(1_000)] {
            let message = DetachKeys::parse(bad).unwrap_err().message;
            assert!(message.starts_with("invalid detach keys ("), "{bad}");
        }
    }

    #[test]
    fn keys_are_found_across_reads_and_nothing_else_is_lost() {
        let (p, q) = (&b"\x10"[..], &b"\x11"[..]);
        assert_eq!(typed("", &[b"a\x10\x11b"]), (b"a".to_vec(), true));
        assert_eq!(typed("", &[b"a", p, q]), (b"a".to_vec(), true));
        assert_eq!(typed("", &[p, b"x"]), (b"\x10x".to_vec(), false));
        assert_eq!(typed("", &[b"\x10\x10", q]), (b"\x10".to_vec(), true));
        assert_eq!(typed("", &[q, p]), (b"\x11".to_vec(), false));
        assert_eq!(typed("a,a,b", &[b"aaab"]), (b"a".to_vec(), true));
        assert_eq!(typed("a,b,a,c", &[b"aba", b"bac"]), (b"ab".to_vec(), true));
        assert_eq!(typed("x", &[b"x"]), (Vec::new(), true));
    }

    proptest! {
        #[test]
        fn what_goes_through_is_what_comes_before_the_keys(
            text in "[abc]{0,30}", keys in "[ab](,[ab]){0,3}", cut in 0_usize..30,
        ) {
            let cut = cut.min(text.len());
            let (out, detached) = typed(&keys, &[&text.as_bytes()[..cut], &text.as_bytes()[cut..]]);
            let sequence = keys.replace(',', "");
            match text.find(&sequence) {
                Some(at) => prop_assert_eq!((out, detached), (text.as_bytes()[..at].to_vec(), true)),
                None => {
                    prop_assert!(!detached && text.as_bytes().starts_with(&out));
                    prop_assert!(sequence.as_bytes().starts_with(&text.as_bytes()[out.len()..]));
                }
            }
        }

        #[test]
        fn no_keys_panic(text in "\\PC{0,20}") {
            DetachKeys::parse(&text).ok();
        }
    }
}
