//! Signals we get on behalf of the guest.

use std::future::poll_fn;
use std::io;
use std::task::Poll;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals passed on to a guest, with the names the API knows them by.
///
/// Not those about ourselves: children, pipes, stops and our window.
fn kinds() -> [(&'static str, SignalKind); 7] {
    [
        ("HUP", SignalKind::hangup()),
        ("INT", SignalKind::interrupt()),
        ("QUIT", SignalKind::quit()),
        ("TERM", SignalKind::terminate()),
        ("USR1", SignalKind::user_defined1()),
        ("USR2", SignalKind::user_defined2()),
        ("ALRM", SignalKind::alarm()),
    ]
}

/// Receives signals from the moment it is made.
pub(crate) struct Signals(Vec<(&'static str, Signal)>);

impl Signals {
    /// Takes over the signals which are passed on.
    ///
    /// # Errors
    /// When a handler cannot be installed.
    pub(crate) fn to_pass_on() -> io::Result<Self> {
        kinds()
            .into_iter()
            .map(|(name, kind)| Ok((name, signal(kind)?)))
            .collect::<io::Result<_>>()
            .map(Self)
    }

    /// The name of the next signal.
    pub(crate) async fn next(&mut self) -> &'static str {
        poll_fn(|context| {
            for (name, signal) in &mut self.0 {
                if signal.poll_recv(context).is_ready() {
                    return Poll::Ready(*name);
                }
            }
            Poll::Pending
        })
        .await
    }
}

/// The shell's exit status for a process that died of one of [`kinds`].
pub(crate) fn status(name: &str) -> u8 {
    128 + match name {
        "HUP" => 1,
        "INT" => 2,
        "QUIT" => 3,
        "USR1" => 10,
        "USR2" => 12,
        "ALRM" => 14,
        _ => 15,
    }
}

/// Receives changes of the window's size.
///
/// # Errors
/// When the handler cannot be installed.
pub(crate) fn window_changes() -> io::Result<Signal> {
    signal(SignalKind::window_change())
}
