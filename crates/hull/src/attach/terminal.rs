//! Our own terminal: its size, and raw mode that always ends.

use std::io::{self, IsTerminal as _};

use rustix::termios::{OptionalActions, Termios, Winsize, tcgetattr, tcgetwinsize, tcsetattr};

/// Raw mode on standard input; dropping it (also in a panic) restores the terminal.
pub(crate) struct Raw {
    before: Termios,
}

impl Raw {
    /// Makes the terminal on standard input raw; nothing when it is not a terminal.
    ///
    /// # Errors
    /// When the terminal does not take the mode.
    pub(crate) fn enter() -> io::Result<Option<Self>> {
        let stdin = io::stdin();
        if !stdin.is_terminal() {
            return Ok(None);
        }
        let before = tcgetattr(&stdin)?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(&stdin, OptionalActions::Now, &raw)?;
        Ok(Some(Self { before }))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // A terminal that is gone cannot be restored, and there is nobody left to tell.
        tcsetattr(io::stdin(), OptionalActions::Now, &self.before).unwrap_or_default();
    }
}

/// Rows and columns of our terminal, if standard output is one.
pub(crate) fn size() -> Option<(u16, u16)> {
    let Winsize { ws_row, ws_col, .. } = tcgetwinsize(io::stdout()).ok()?;
    (ws_row > 0 && ws_col > 0).then_some((ws_row, ws_col))
}

/// Whether a person can type into the guest.
pub(crate) fn input_is_terminal() -> bool {
    io::stdin().is_terminal()
}
