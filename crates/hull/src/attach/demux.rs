//! Docker's frames: output and errors in one stream, each piece behind an eight byte header.
//!
//! Nothing is held back until a frame is complete, so a frame's length costs no memory.

const HEADER_BYTES: usize = 8;
/// The longest message of the daemon that is kept.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// Which of our streams a piece belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    Stdout,
    Stderr,
}

/// A piece of output.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Piece<'a> {
    pub(crate) target: Target,
    pub(crate) bytes: &'a [u8],
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Output(Target),
    /// The daemon's own words: it could not go on.
    Message,
}

/// Takes frames apart, wherever they are cut.
#[derive(Debug, Default)]
pub(crate) struct Demux {
    header: [u8; HEADER_BYTES],
    header_length: usize,
    /// The frame being read, and how much of it is to come.
    frame: Option<(Kind, usize)>,
    message: Vec<u8>,
}

impl Demux {
    /// The next piece at the start of `bytes`, if there is one, and what follows it.
    ///
    /// # Errors
    /// The number of an unknown stream: this is not Docker's format.
    pub(crate) fn next<'a>(
        &mut self,
        bytes: &'a [u8],
    ) -> Result<(Option<Piece<'a>>, &'a [u8]), u8> {
        let Some((kind, left)) = self.frame else {
            return self.read_header(bytes).map(|rest| (None, rest));
        };
        let (now, rest) = bytes.split_at(left.min(bytes.len()));
        self.frame = (left > now.len()).then(|| (kind, left - now.len()));
        match kind {
            Kind::Output(target) => Ok((Some(Piece { target, bytes: now }), rest)),
            Kind::Message => {
                let room = MESSAGE_BYTES_MAX - self.message.len();
                self.message.extend_from_slice(&now[..now.len().min(room)]);
                Ok((None, rest))
            }
        }
    }

    fn read_header<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], u8> {
        let missing = HEADER_BYTES - self.header_length;
        let (now, rest) = bytes.split_at(missing.min(bytes.len()));
        self.header[self.header_length..][..now.len()].copy_from_slice(now);
        self.header_length += now.len();
        if self.header_length == HEADER_BYTES {
            self.header_length = 0;
            let [kind, _, _, _, a, b, c, d] = self.header;
            let kind = match kind {
                // Stream 0 is standard input echoed: Docker writes it to standard output.
                0 | 1 => Kind::Output(Target::Stdout),
                2 => Kind::Output(Target::Stderr),
                3 => Kind::Message,
                unknown => return Err(unknown),
            };
            let length = u32::from_be_bytes([a, b, c, d]);
            // hull runs on 64 bits only; elsewhere a frame that long is as good as endless.
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            self.frame = (length > 0).then_some((kind, length));
        }
        Ok(rest)
    }

    /// Ends the stream.
    ///
    /// # Errors
    /// The message the daemon left in it.
    pub(crate) fn finish(self) -> Result<(), String> {
        if self.message.is_empty() {
            return Ok(());
        }
        Err(String::from_utf8_lossy(&self.message).trim_end().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, text: &str) -> Vec<u8> {
        let length = u32::try_from(text.len()).unwrap().to_be_bytes();
        [&[kind, 0, 0, 0], &length[..], text.as_bytes()].concat()
    }

    fn read(parts: &[&[u8]]) -> (String, String, Result<(), String>) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let mut demux = Demux::default();
        for part in parts {
            let mut rest = *part;
            while !rest.is_empty() {
                let (piece, after) = demux.next(rest).unwrap();
                rest = after;
                if let Some(piece) = piece {
                    let to = if piece.target == Target::Stdout { &mut out } else { &mut err };
                    to.extend_from_slice(piece.bytes);
                }
            }
        }
        (String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap(), demux.finish())
    }

    #[test]
    fn frames_may_be_cut_anywhere() {
        let all = [frame(1, "out"), frame(2, "err"), frame(1, ""), frame(1, "put"), frame(2, "or")]
            .concat();
        for cut in 0..all.len() {
            let (out, err, end) = read(&[&all[..cut], &all[cut..]]);
            assert_eq!((&*out, &*err, end), ("output", "error", Ok(())), "cut at {cut}");
        }
    }

    #[test]
    fn the_daemons_own_message_is_an_error_and_bounded() {
        let long = "x".repeat(MESSAGE_BYTES_MAX + 10);
        let (_, _, end) = read(&[&frame(3, "broken\n"), &frame(3, &long)]);
        let message = end.unwrap_err();
        assert!(message.starts_with("broken\n") && message.len() <= MESSAGE_BYTES_MAX);
    }

    #[test]
    fn an_unknown_stream_is_refused() {
        assert_eq!(Demux::default().next(&frame(b'H', "TTP")), Err(b'H'));
    }
}
