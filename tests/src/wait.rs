//! Waiting for what happens elsewhere, never for ever.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long anything may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `happened` gives a value.
///
/// # Panics
/// After [`PATIENCE`], naming `what`.
pub fn eventually<T>(what: &str, happened: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, happened).unwrap_or_else(|| panic!("not within {PATIENCE:?}: {what}"))
}

/// Waits until `happened` gives a value, at most for `limit`.
pub fn within<T>(limit: Duration, mut happened: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    loop {
        if let Some(value) = happened() {
            return Some(value);
        }
        if start.elapsed() > limit {
            return None;
        }
        sleep(Duration::from_millis(10));
    }
}
