//! Bytes between a client and a container: framing, logs, detach keys, messages in a stream.

mod detach;
mod frame;
mod logs;
mod message;

pub use detach::{Detach, DetachKeys};
pub use frame::{Output, frame, frame_header};
pub use logs::{LogsQuery, log_line};
pub use message::{ErrorDetail, Message, ProgressDetail, failure, status, text};

use crate::version::ApiVersion;

/// Raw bytes: of a terminal, and for clients below 1.42 of everything.
pub const RAW: &str = "application/vnd.docker.raw-stream";
/// Output and errors behind headers of 8 bytes.
pub const MULTIPLEXED: &str = "application/vnd.docker.multiplexed-stream";

/// The content type of a container's output for a client of `version`.
pub fn content_type(tty: bool, version: ApiVersion) -> &'static str {
    if !tty && version.names_framed_streams() { MULTIPLEXED } else { RAW }
}
