//! From a process: its standard output and error, or its terminal.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use hull_shim::log::Stream;
use rustix::io::Errno;

/// Bytes taken in one read: all that a pipe holds unless its owner enlarged it.
pub(crate) const READ: usize = 64 << 10;

/// Bytes still taken after the process ended: the most a pipe can hold without privileges
/// (`/proc/sys/fs/pipe-max-size`). Whoever else holds the other end may write for ever.
const AFTER_END: usize = 1 << 20;

/// One stream of output.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) stream: Stream,
    fd: OwnedFd,
    /// The terminal's other side, held so that reading does not fail while no process has it open,
    /// as between the steps of a guest's own init.
    _peer: Option<OwnedFd>,
    /// `Some` after the process ended: how much is still read.
    left: Option<usize>,
    /// Nothing is left of what the process wrote.
    pub(crate) drained: bool,
}

/// What a read gave.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Read {
    /// This many bytes.
    Some,
    /// Nothing for now.
    Nothing,
    /// Nothing ever again.
    End,
}

impl Output {
    pub(crate) fn new(stream: Stream, fd: OwnedFd, peer: Option<OwnedFd>) -> Self {
        Self { stream, fd, _peer: peer, left: None, drained: false }
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// The process ended: from now on only what is there already counts.
    pub(crate) fn process_ended(&mut self) {
        self.left = Some(AFTER_END);
    }

    /// Reads once into `buffer`, which is emptied before.
    pub(crate) fn read(&mut self, buffer: &mut Vec<u8>) -> Read {
        buffer.clear();
        buffer.reserve_exact(READ);
        let read = loop {
            match rustix::io::read(&self.fd, rustix::buffer::spare_capacity(buffer)) {
                Ok(0) => break Read::End,
                Ok(_) => break Read::Some,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break Read::Nothing,
                // EIO: the other side of a terminal is gone.
                Err(_closed) => break Read::End,
            }
        };
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(buffer.len());
            self.drained = read != Read::Some || *left == 0;
        }
        read
    }

    pub(crate) fn into_fd(self) -> OwnedFd {
        self.fd
    }
}
