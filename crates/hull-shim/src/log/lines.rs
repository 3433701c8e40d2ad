//! Cutting a stream into the pieces that become log entries, as moby's `Copier` does.

/// The longest piece: longer lines become several entries (moby `daemon/logger/copier.go`,
/// `defaultBufSize`).
pub(super) const PIECE_MAX: usize = 16 << 10;

/// One entry to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Piece<'a> {
    /// What an earlier read brought, then what this one did.
    pub(super) text: [&'a [u8]; 2],
    /// Whether a newline follows.
    pub(super) newline: bool,
    /// When it was seen; all pieces of one line carry the time of its first.
    pub(super) time: &'a str,
}

/// A stream between two reads.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// The begun line, less than [`PIECE_MAX`] bytes of it.
    tail: Vec<u8>,
    /// When the first piece of the line was emitted, if one was.
    begun: Option<String>,
}

impl Lines {
    /// Cuts what a read brought.
    pub(super) fn feed(&mut self, mut bytes: &[u8], now: &str, emit: &mut dyn FnMut(Piece<'_>)) {
        while !bytes.is_empty() {
            let room = PIECE_MAX - self.tail.len();
            let window = &bytes[..room.min(bytes.len())];
            let newline = window.iter().position(|byte| *byte == b'\n');
            if newline.is_none() && window.len() < room {
                self.tail.extend_from_slice(window);
                return;
            }
            let text = [self.tail.as_slice(), &window[..newline.unwrap_or(room)]];
            let time = self.begun.as_deref().unwrap_or(now);
            emit(Piece { text, newline: newline.is_some(), time });
            bytes = &bytes[newline.map_or(room, |at| at + 1)..];
            if !self.tail.is_empty() {
                self.tail = Vec::new();
            }
            if newline.is_some() {
                self.begun = None;
            } else if self.begun.is_none() {
                self.begun = Some(now.to_owned());
            }
        }
    }

    /// The stream is over: what is left is an entry without newline.
    pub(super) fn end(&mut self, now: &str, emit: &mut dyn FnMut(Piece<'_>)) {
        let time = self.begun.as_deref().unwrap_or(now);
        if !self.tail.is_empty() {
            emit(Piece { text: [&self.tail, &[]], newline: false, time });
        }
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pieces as `(text, newline, time)`, the input fed in chunks of `chunk` bytes, the time
    /// being the number of the chunk.
    fn pieces(input: &[u8], chunk: usize) -> Vec<(Vec<u8>, bool, String)> {
        let mut lines = Lines::default();
        let mut out = Vec::new();
        let mut emit = |piece: Piece<'_>| {
            out.push((piece.text.concat(), piece.newline, piece.time.to_owned()));
        };
        for (number, chunk) in input.chunks(chunk).enumerate() {
            lines.feed(chunk, &number.to_string(), &mut emit);
        }
        lines.end("end", &mut emit);
        out
    }

    fn shape(input: &[u8], chunk: usize) -> Vec<(usize, bool)> {
        pieces(input, chunk).iter().map(|(text, newline, _)| (text.len(), *newline)).collect()
    }

    #[test]
    fn lines_end_at_newlines_and_the_last_one_needs_none() {
        for chunk in 1..8 {
            assert_eq!(shape(b"ab\n\nc", chunk), [(2, true), (0, true), (1, false)]);
        }
        assert_eq!(shape(b"", 1), []);
        assert_eq!(shape(b"\n", 1), [(0, true)]);
    }

    #[test]
    fn long_lines_are_cut_where_docker_cuts_them() {
        let line = |length: usize| [vec![b'x'; length], b"\n".to_vec()].concat();
        for chunk in [1, 7, 4096, PIECE_MAX, 65_536] {
            assert_eq!(shape(&line(PIECE_MAX - 1), chunk), [(PIECE_MAX - 1, true)]);
            assert_eq!(shape(&line(PIECE_MAX), chunk), [(PIECE_MAX, false), (0, true)]);
            assert_eq!(
                shape(&line(2 * PIECE_MAX + 5), chunk),
                [(PIECE_MAX, false), (PIECE_MAX, false), (5, true)]
            );
        }
        assert_eq!(shape(&vec![b'x'; PIECE_MAX], 5), [(PIECE_MAX, false)]);
    }

    #[test]
    fn all_pieces_of_a_line_carry_the_time_of_the_first() {
        let mut input = vec![b'x'; 2 * PIECE_MAX + 1];
        input.extend_from_slice(b"\nnext\n");
        let times: Vec<String> = pieces(&input, PIECE_MAX).into_iter().map(|p| p.2).collect();
        assert_eq!(times, ["0", "0", "0", "2"]);
    }
}
