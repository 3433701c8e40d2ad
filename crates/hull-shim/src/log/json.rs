//! One log entry as JSON, with the escapes of moby's own encoder and no others.
//!
//! moby (`daemon/logger/jsonfilelog/jsonlog`) writes only `\\`, `\"`, `\n` and `\r` short, every
//! other control character and `<`, `>`, `&` as `\u00xx`, the two line separators of Unicode as
//! `\u202x`, and each byte that is not UTF-8 as `\ufffd`. Tools compare such files, so do we.

use super::lines::Piece;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Copies of a few bytes are cheaper one by one than through `memcpy`: musl's costs some 30 ns
/// whatever the length (`rep movsq`), which is most of the time that short lines take.
const SHORT: usize = 24;

/// The parts of an entry that are the same for all that one read brought.
#[derive(Debug)]
pub(super) struct Encoder {
    stream: &'static str,
    /// What follows the text, for entries of this moment.
    end: Vec<u8>,
    now: String,
}

impl Encoder {
    pub(super) fn new(stream: &'static str, now: &str) -> Self {
        let mut end = Vec::with_capacity(80);
        write_end(stream, now, &mut end);
        Self { stream, end, now: now.to_owned() }
    }

    /// Adds the entry and a newline to `out`.
    pub(super) fn encode(&self, piece: &Piece<'_>, out: &mut Vec<u8>) {
        // moby leaves an empty text out, but none of ours is: a piece has text or a newline.
        out.extend_from_slice(b"{\"log\":\"");
        let [earlier, now] = piece.text;
        if earlier.is_empty() {
            escape(now, out);
        } else if now.is_empty() {
            escape(earlier, out);
        } else {
            // A character may begin in one part and end in the other.
            escape(&[earlier, now].concat(), out);
        }
        if piece.newline {
            out.extend_from_slice(b"\\n");
        }
        if piece.time == self.now {
            out.extend_from_slice(&self.end);
        } else {
            write_end(self.stream, piece.time, out);
        }
    }
}

fn write_end(stream: &str, time: &str, out: &mut Vec<u8>) {
    for part in ["\",\"stream\":\"", stream, "\",\"time\":\"", time, "\"}\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}

/// Adds `text` as the inside of a JSON string.
fn escape(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while !rest.is_empty() {
        let plain = rest.iter().position(|byte| !is_plain(*byte)).unwrap_or(rest.len());
        let (clean, next) = rest.split_at(plain);
        if clean.len() <= SHORT {
            out.extend(clean.iter());
        } else {
            out.extend_from_slice(clean);
        }
        let Some(&byte) = next.first() else { return };
        let taken = if byte < 0x80 {
            escape_ascii(byte, out);
            1
        } else {
            escape_beyond(next, out)
        };
        rest = &next[taken..];
    }
}

fn is_plain(byte: u8) -> bool {
    (0x20..0x80).contains(&byte) && !matches!(byte, b'\\' | b'"' | b'<' | b'>' | b'&')
}

fn escape_ascii(byte: u8, out: &mut Vec<u8>) {
    match byte {
        b'\\' | b'"' => out.extend_from_slice(&[b'\\', byte]),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        byte => {
            out.extend_from_slice(b"\\u00");
            out.push(HEX[usize::from(byte >> 4)]);
            out.push(HEX[usize::from(byte & 15)]);
        }
    }
}

/// Adds the character that `text` begins with, and says how many bytes it took.
fn escape_beyond(text: &[u8], out: &mut Vec<u8>) -> usize {
    let length = match text[0] {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => 1,
    };
    let Some(Ok(character)) = text.get(..length).map(str::from_utf8) else {
        // Go takes one byte of what it cannot read, not the longest sensible part.
        out.extend_from_slice(b"\\ufffd");
        return 1;
    };
    match character {
        "\u{2028}" => out.extend_from_slice(b"\\u2028"),
        "\u{2029}" => out.extend_from_slice(b"\\u2029"),
        character => out.extend_from_slice(character.as_bytes()),
    }
    length
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn escaped(text: &[u8]) -> String {
        let mut out = Vec::new();
        escape(text, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn escapes_are_those_of_moby() {
        for (text, expected) in [
            (&b"plain ~ text"[..], "plain ~ text"),
            (b"a\tb\x00\x1b[0m\x7f", "a\\u0009b\\u0000\\u001b[0m\u{7f}"),
            (b"\"\\\r\n", r#"\"\\\r\n"#),
            (b"<a href=\"x\">&", r#"\u003ca href=\"x\"\u003e\u0026"#),
            ("é€😀".as_bytes(), "é€😀"),
            ("\u{2028}\u{2029}\u{2027}".as_bytes(), "\\u2028\\u2029\u{2027}"),
            // A real replacement character stays as it is.
            ("\u{fffd}".as_bytes(), "\u{fffd}"),
            (b"\xff\xfe", r"\ufffd\ufffd"),
            // A surrogate, a cut character, an overlong slash: one escape for each byte, as in Go.
            (b"\xed\xa0\x80", r"\ufffd\ufffd\ufffd"),
            (b"\xf0\x9f\x98", r"\ufffd\ufffd\ufffd"),
            (b"\xc0\xaf.", r"\ufffd\ufffd."),
            (b"\xe2\x82x", r"\ufffd\ufffdx"),
        ] {
            assert_eq!(escaped(text), expected);
        }
    }

    #[test]
    fn a_character_cut_by_a_read_is_whole_in_the_log() {
        let euro = "€".as_bytes();
        let piece = Piece { text: [&euro[..1], &euro[1..]], newline: true, time: "T" };
        let mut out = Vec::new();
        Encoder::new("stderr", "T").encode(&piece, &mut out);
        let expected = "{\"log\":\"€\\n\",\"stream\":\"stderr\",\"time\":\"T\"}\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    proptest! {
        #[test]
        fn any_bytes_become_json_that_says_the_same(text: Vec<u8>) {
            let json = format!("\"{}\"", escaped(&text));
            let read: String = serde_json::from_str(&json).unwrap();
            if let Ok(text) = String::from_utf8(text) {
                prop_assert_eq!(read, text);
            }
        }
    }
}
