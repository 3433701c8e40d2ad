//! Between our own terminal and the process's.

use std::io::{self, PipeWriter};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::thread::JoinHandle;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::stdio::{stdin, stdout};
use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcsetattr};

use crate::failure::{Doing, Failure};

/// Bytes taken in one read.
const CHUNK: usize = 16 << 10;
/// Ready to be read, or over.
const READABLE: PollFlags = PollFlags::IN.union(PollFlags::HUP).union(PollFlags::ERR);

/// A thread that carries bytes both ways.
pub(super) struct Relay {
    terminal: Arc<OwnedFd>,
    /// Its end is the word to stop.
    stop: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
    /// Our own terminal as it was.
    before: Option<Termios>,
}

impl Relay {
    /// Puts our own terminal, if that is what standard input is, into raw mode and begins.
    pub(super) fn start(terminal: OwnedFd) -> Result<Self, Failure> {
        let terminal = Arc::new(terminal);
        let (stopped, stop) = io::pipe().doing("make a pipe")?;
        let before = isatty(stdin()).then(|| tcgetattr(stdin())).transpose();
        let before = before.doing("read the terminal's settings")?;
        let theirs = Arc::clone(&terminal);
        let thread = std::thread::Builder::new()
            .spawn(move || carry(theirs.as_fd(), stopped.as_fd()))
            .doing("start a thread")?;
        // From here on the value puts things back when it goes.
        let relay = Self { terminal, stop: Some(stop), thread: Some(thread), before };
        if let Some(before) = &relay.before {
            let mut raw = before.clone();
            raw.make_raw();
            tcsetattr(stdin(), OptionalActions::Now, &raw).doing("make the terminal raw")?;
        }
        Ok(relay)
    }

    /// The process's terminal, from the controlling side.
    pub(super) fn terminal(&self) -> BorrowedFd<'_> {
        self.terminal.as_fd()
    }

    /// Carries what is still on its way, then stops.
    pub(super) fn finish(self) {
        drop(self);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It has no panics of its own; one would have lost output only.
            thread.join().unwrap_or_default();
        }
        if let Some(before) = &self.before {
            // The terminal may be gone.
            tcsetattr(stdin(), OptionalActions::Now, before).unwrap_or_default();
        }
    }
}

fn carry(terminal: BorrowedFd<'_>, stopped: BorrowedFd<'_>) {
    let mut input_open = true;
    let mut stopping = false;
    loop {
        let input = if input_open && !stopping { PollFlags::IN } else { PollFlags::empty() };
        let mut watched = [
            PollFd::from_borrowed_fd(terminal, PollFlags::IN),
            PollFd::from_borrowed_fd(stopped, PollFlags::IN),
            PollFd::from_borrowed_fd(stdin(), input),
        ];
        // A closed standard input is reported for ever, whatever is asked for.
        let count = if input.is_empty() { 2 } else { 3 };
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        match poll(&mut watched[..count], stopping.then_some(&now)) {
            Err(Errno::INTR) => continue,
            Err(_) => return,
            Ok(_) => {}
        }
        let ready = |at: usize| watched[at].revents().intersects(READABLE);
        let (output, stop, typed) = (ready(0), ready(1), count == 3 && ready(2));
        if output && !copy(terminal, stdout()) {
            return;
        }
        if typed {
            input_open = copy(stdin(), terminal);
        }
        if stopping && !output {
            return;
        }
        stopping |= stop;
    }
}

/// Carries one read's worth; whether there may be more.
fn copy(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> bool {
    let mut buffer = [0; CHUNK];
    let count = loop {
        match rustix::io::read(from, &mut buffer) {
            Err(Errno::INTR) => {}
            // A terminal whose other side is closed reads as an error.
            Ok(0) | Err(_) => return false,
            Ok(count) => break count,
        }
    };
    let mut rest = &buffer[..count];
    while !rest.is_empty() {
        match rustix::io::write(to, rest) {
            Ok(written) => rest = &rest[written..],
            Err(Errno::INTR) => {}
            Err(_) => return false,
        }
    }
    true
}
