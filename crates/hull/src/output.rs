//! What the user sees: data on standard output, talk on standard error.

pub(crate) mod format;
pub(crate) mod json;
pub(crate) mod progress;
pub(crate) mod table;
pub(crate) mod times;
pub(crate) mod units;

use std::fmt::Display;
use std::io::{self, Write as _};

use crate::failure::Failure;

/// The status of a process that wrote into a closed pipe, as shells report it: 128 + SIGPIPE.
const BROKEN_PIPE: u8 = 141;

/// Writes one line of data.
///
/// # Errors
/// When standard output cannot be written; silently when its reader has gone, as for `| head`.
pub(crate) fn line(text: impl Display) -> Result<(), Failure> {
    text_with_end(text, "\n")
}

/// Writes data as it is.
///
/// # Errors
/// As [`line`].
pub(crate) fn text(text: impl Display) -> Result<(), Failure> {
    text_with_end(text, "")
}

fn text_with_end(text: impl Display, end: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    write!(stdout, "{text}{end}").and_then(|()| stdout.flush()).map_err(|error| broken(&error))
}

/// The failure for output nobody can take.
pub(crate) fn broken(error: &io::Error) -> Failure {
    if error.kind() == io::ErrorKind::BrokenPipe {
        Failure::Status(BROKEN_PIPE)
    } else {
        Failure::new(format!("write to standard output: {error}"))
    }
}

/// Tells the user something that is not data.
pub(crate) fn talk(text: impl Display) {
    // When standard error is gone there is nobody to tell that to.
    // Messages name what others chose: images, commands, answers of registries.
    let lines: Vec<_> = text.to_string().split('\n').map(table::printable).collect();
    drop(writeln!(io::stderr().lock(), "{}", lines.join("\n")));
}
