//! Docker's frames: which stream, three zero bytes, the length (big endian), the bytes.

/// A stream of a container.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Output {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// The header before `length` bytes of `output`.
pub fn frame_header(output: Output, length: u32) -> [u8; 8] {
    let kind = match output {
        Output::Stdout => 1,
        Output::Stderr => 2,
    };
    let [a, b, c, d] = length.to_be_bytes();
    [kind, 0, 0, 0, a, b, c, d]
}

/// `bytes` in frames: one, unless they are longer than a length can say; none for nothing.
pub fn frame(output: Output, bytes: &[u8]) -> Vec<u8> {
    let mut framed = Vec::with_capacity(bytes.len() + 8);
    for part in bytes.chunks(1 << 30) {
        let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
        framed.extend_from_slice(&frame_header(output, length));
        framed.extend_from_slice(part);
    }
    framed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_dockers() {
        assert_eq!(frame(Output::Stdout, b"ab"), b"\x01\0\0\0\0\0\0\x02ab");
        assert_eq!(frame_header(Output::Stderr, 0x0102_0304), [2, 0, 0, 0, 1, 2, 3, 4]);
        assert!(frame(Output::Stdout, b"").is_empty());
    }
}
