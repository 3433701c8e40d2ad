//! One process: its life, its streams, and the clients attached to it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hull_shim::exit::ExitRecord;
use hull_shim::log::{Log, Stream};
use hull_shim::protocol::{Failure, Kind, Phase, Streams, WindowSize};
use rustix::event::PollFlags;
use rustix::process::{WaitId, WaitIdOptions};
use rustix::termios::Winsize;

use crate::attachment::Attachment;
use crate::input::Input;
use crate::output::{Output, Read};

/// How long the output of an ended process waits for clients that do not read (moby
/// `daemon/monitor.go` waits as long for its streams).
const FLUSH_GRACE: Duration = Duration::from_secs(2);

/// A process of the guest.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) phase: Phase,
    pub(crate) input: Input,
    pub(crate) outputs: Vec<Output>,
    pub(crate) attachments: Vec<Attachment>,
    /// How it is, or will be, connected.
    pub(crate) streams: Streams,
    pidfd: Option<OwnedFd>,
    terminal: Option<OwnedFd>,
    end: Option<End>,
}

/// A process that ended while its output may still be on its way.
#[derive(Debug)]
struct End {
    code: u8,
    signal: Option<u8>,
    at: u64,
    deadline: Instant,
}

/// Our ends of a process' streams.
#[derive(Debug, Default)]
pub(crate) struct Ends {
    pub(crate) stdin: Option<OwnedFd>,
    pub(crate) stdout: Option<OwnedFd>,
    pub(crate) stderr: Option<OwnedFd>,
    pub(crate) terminal: Option<OwnedFd>,
}

impl Child {
    pub(crate) fn new(streams: Streams) -> Self {
        Self {
            phase: Phase::Created,
            input: Input::new(streams.stdin, streams.terminal.is_some()),
            outputs: Vec::new(),
            attachments: Vec::new(),
            streams,
            pidfd: None,
            terminal: None,
            end: None,
        }
    }

    /// The process exists.
    pub(crate) fn exists(&mut self, pidfd: OwnedFd, phase: Phase) {
        self.pidfd = Some(pidfd);
        self.phase = phase;
    }

    /// Connects our ends of its streams.
    pub(crate) fn connect(&mut self, ends: Ends) -> std::io::Result<()> {
        use rustix::pty::OpenptFlags;
        for fd in [&ends.stdin, &ends.stdout, &ends.stderr, &ends.terminal].into_iter().flatten() {
            rustix::io::ioctl_fionbio(fd, true)?;
        }
        if let Some(master) = ends.terminal {
            let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
            let peer = rustix::pty::ioctl_tiocgptpeer(&master, flags)?;
            self.input.open(Some(master.try_clone()?));
            self.outputs.push(Output::new(Stream::Stdout, master.try_clone()?, Some(peer)));
            self.terminal = Some(master);
            return Ok(());
        }
        self.input.open(ends.stdin);
        let streams = [(Stream::Stdout, ends.stdout), (Stream::Stderr, ends.stderr)];
        for (stream, fd) in streams {
            self.outputs.extend(fd.map(|fd| Output::new(stream, fd, None)));
        }
        Ok(())
    }

    /// The descriptor that becomes readable when the process ends, until it was seen to.
    pub(crate) fn pidfd(&self) -> Option<BorrowedFd<'_>> {
        self.pidfd.as_ref().map(AsFd::as_fd)
    }

    /// Its number on the host, until its end was seen to.
    pub(crate) fn number(&self) -> Option<u32> {
        self.pidfd.as_ref()?;
        match self.phase {
            Phase::Ready { pid } | Phase::Running { pid, .. } => Some(pid),
            Phase::Created | Phase::Exited(_) => None,
        }
    }

    pub(crate) fn signal(&self, signal: i32) -> Result<(), Failure> {
        let Some(pidfd) = &self.pidfd else { return Err(not_running()) };
        hull_sys::supervise::send(pidfd.as_fd(), signal).map_err(|error| match error {
            error if error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => {
                not_running()
            }
            error => Failure::other(format!("send signal {signal}: {error}")),
        })
    }

    pub(crate) fn resize(&mut self, size: WindowSize) -> Result<(), Failure> {
        let Some(known) = &mut self.streams.terminal else {
            return Err(Failure::other("the process has no terminal"));
        };
        *known = size;
        // Made with this size later.
        let Some(master) = &self.terminal else { return Ok(()) };
        let size = Winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(master, size)
            .map_err(|error| Failure::other(format!("set the size of the terminal: {error}")))
    }

    /// Takes one read's worth of a stream to the log and the clients.
    pub(crate) fn take_output(
        &mut self,
        stream: Stream,
        buffer: &mut Vec<u8>,
        log: &mut Option<Log>,
    ) -> Read {
        let Some(at) = self.outputs.iter().position(|output| output.stream == stream) else {
            return Read::End;
        };
        let read = self.outputs[at].read(buffer);
        if !buffer.is_empty() {
            if let Some(log) = log {
                log.append(stream, buffer, SystemTime::now());
            }
            for attachment in &mut self.attachments {
                attachment.send(stream, buffer);
            }
        }
        if read == Read::End {
            self.outputs.remove(at);
            if let Some(log) = log {
                log.end(stream, SystemTime::now());
            }
        }
        read
    }

    /// Whether an ended process' stream can and must be read on.
    pub(crate) fn is_draining(&self, stream: Stream) -> bool {
        let left = self.outputs.iter().any(|o| o.stream == stream && !o.drained);
        left && self.end.is_some() && !self.is_blocked(stream)
    }

    /// Something happened on an attached client's connection.
    pub(crate) fn serve(&mut self, id: u32, flags: PollFlags) {
        let Self { attachments, input, .. } = self;
        let Some(attachment) = attachments.iter_mut().find(|attachment| attachment.id == id) else {
            return;
        };
        if flags.intersects(PollFlags::HUP | PollFlags::ERR) {
            attachment.hung_up();
        }
        if flags.contains(PollFlags::OUT) {
            attachment.flush();
        }
        if flags.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
            attachment.receive(input);
        }
    }

    /// Moves on what needs no event: input that came with a request, clients that are gone.
    pub(crate) fn tidy_attachments(&mut self) {
        let Self { attachments, input, .. } = self;
        for attachment in attachments.iter_mut().filter(|attachment| attachment.has_early()) {
            attachment.receive(input);
        }
        attachments.retain(|attachment| !attachment.is_over());
    }

    /// Whether a client that does not read holds this stream up.
    pub(crate) fn is_blocked(&self, stream: Stream) -> bool {
        self.attachments.iter().any(|attachment| attachment.blocks(stream))
    }

    /// Collects the status of the process if it ended.
    pub(crate) fn reap(&mut self, now: Instant) {
        let Some(pidfd) = &self.pidfd else { return };
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        let (code, signal) = match rustix::process::waitid(WaitId::PidFd(pidfd.as_fd()), options) {
            Ok(None) | Err(rustix::io::Errno::INTR) => return,
            Ok(Some(status)) => match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => (u8::try_from(code & 0xff).unwrap_or(u8::MAX), None),
                (None, Some(signal)) => {
                    let signal = u8::try_from(signal).unwrap_or(0);
                    (128_u8.saturating_add(signal), Some(signal))
                }
                (None, None) => return,
            },
            // Somebody else collected it. That it ended is certain, how is not (Docker's number
            // for that is 255).
            Err(_no_child) => (u8::MAX, None),
        };
        self.pidfd = None;
        self.end = Some(End { code, signal, at: nanos(), deadline: now + FLUSH_GRACE });
        self.outputs.iter_mut().for_each(Output::process_ended);
        self.input.close();
    }

    /// When to stop waiting for clients, while the process has ended and its exit is not reported.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.end.as_ref().map(|end| end.deadline)
    }

    /// The outcome, once the process ended and its output has gone where it could go.
    pub(crate) fn outcome(&mut self, now: Instant, log: &mut Option<Log>) -> Option<ExitRecord> {
        let end = self.end.as_ref()?;
        if now >= end.deadline {
            self.give_up_on_clients(log);
        }
        let drained = self.outputs.iter().all(|output| output.drained);
        let flushed = !self.attachments.iter().any(Attachment::has_pending);
        if !(drained && flushed) {
            return None;
        }
        let end = self.end.take()?;
        if let Some(log) = log {
            log.end(Stream::Stdout, SystemTime::now());
            log.end(Stream::Stderr, SystemTime::now());
        }
        self.attachments.clear();
        let started_at = match self.phase {
            Phase::Running { started_at, .. } => Some(started_at),
            Phase::Created | Phase::Ready { .. } | Phase::Exited(_) => None,
        };
        let record = ExitRecord {
            code: end.code,
            signal: end.signal,
            oom_killed: false,
            started_at,
            finished_at: end.at,
            failure: None,
        };
        self.phase = Phase::Exited(record.clone());
        Some(record)
    }

    /// Drops the clients that do not read; the log still gets everything.
    fn give_up_on_clients(&mut self, log: &mut Option<Log>) {
        self.attachments.retain(|attachment| !attachment.has_pending());
        let mut buffer = Vec::new();
        for stream in [Stream::Stdout, Stream::Stderr] {
            while self.outputs.iter().any(|o| o.stream == stream && !o.drained) {
                self.take_output(stream, &mut buffer, log);
            }
        }
        self.attachments.retain(|attachment| !attachment.has_pending());
    }

    /// It could not be started: nothing of it is left but why.
    pub(crate) fn failed(&mut self, failure: Failure) -> ExitRecord {
        let record = ExitRecord::of_failure(failure, nanos());
        self.phase = Phase::Exited(record.clone());
        self.pidfd = None;
        self.outputs.clear();
        self.input.close();
        self.attachments.clear();
        record
    }

    /// Descriptors whose other ends live on in processes this one left behind.
    pub(crate) fn leftover(&mut self) -> Vec<OwnedFd> {
        self.outputs.drain(..).map(Output::into_fd).collect()
    }
}

/// The failure of everything that needs a process that runs.
pub(crate) fn not_running() -> Failure {
    Failure::new(Kind::NotRunning, "the process is not running")
}

/// Now, in nanoseconds since 1970.
pub(crate) fn nanos() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
