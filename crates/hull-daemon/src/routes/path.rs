//! Paths of requests, decoded.

/// Undoes percent-encoding; `None` if it is broken or not UTF-8.
pub(super) fn decode(text: &str) -> Option<String> {
    if !text.contains('%') {
        return Some(text.to_owned());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => digit(rest.next()?)? << 4 | digit(rest.next()?)?,
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn paths_are_decoded_or_refused() {
        assert_eq!(decode("/a%2Fb+c").as_deref(), Some("/a/b+c"));
        for bad in ["%", "%1", "%g0", "%ff", "%c3%28"] {
            assert_eq!(decode(bad), None);
        }
    }
}
