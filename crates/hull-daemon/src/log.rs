//! The daemon's own log: lines on standard error.

use std::error::Error;

use tracing::level_filters::LevelFilter;

/// Begins to log. Only the first call of a process counts.
pub(crate) fn start(level: LevelFilter) {
    let subscriber = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(level)
        .with_ansi(false)
        .with_target(false)
        .finish();
    // Somebody logs already: a test, or a program we are part of.
    tracing::subscriber::set_global_default(subscriber).ok();
}

/// An error and all its causes in one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += ": ";
        text += &error.to_string();
        cause = error.source();
    }
    text
}
