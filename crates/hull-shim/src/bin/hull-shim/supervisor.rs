//! The loop: everything that happens to a guest between its launch and its exit record.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use hull_container::cgroup::OomWatch;
use hull_container::launch::Assembled;
use hull_shim::exit::ExitRecord;
use hull_shim::log::{Log, Stream};
use hull_shim::plan::ShimPlan;
use hull_shim::protocol::{Event, Failure, Message, Phase, Process};
use rustix::event::PollFlags;
use rustix::io::Errno;

use crate::child::Child;
use crate::children::Children;
use crate::connection::Connection;
use crate::exit_file::ExitFile;
use crate::guest;
use crate::output::Read;
use crate::prepare::Socket;
use crate::round::{Interests, Source};

/// Connections at once, attached ones included.
const CONNECTIONS_MAX: usize = 512;

/// Descriptors of ended execs that are still read from, for the good of what they left running.
const LEFTOVERS_MAX: usize = 64;

/// How long buffers are kept after the last event.
const REST: Duration = Duration::from_secs(1);

/// How long the shim stays for clients to be told of the end.
const FAREWELL: Duration = Duration::from_secs(1);

/// Everything there is while a guest lives.
pub(crate) struct Supervisor<'plan> {
    pub(crate) children: Children,
    /// The guest between its making and its start.
    pub(crate) waiting: Option<Assembled<'plan>>,
    connections: Vec<Connection>,
    leftovers: Vec<OwnedFd>,
    /// Until the cgroup is removed.
    memory: Option<OomWatch>,
    /// Whether the kernel found no memory for something in the guest.
    out_of_memory: bool,
    log: Option<Log>,
    plan: &'plan ShimPlan,
    exit_file: ExitFile,
    socket: Socket,
    /// Readable when a child ended.
    ended: OwnedFd,
    /// Why the guest's program could not be executed, until that ends the guest.
    pub(crate) start_failure: Option<Failure>,
    /// The next connection's number.
    next: u32,
    buffer: Vec<u8>,
}

/// Builds the guest, supervises it to its end, and returns when everything is cleaned up.
pub(crate) fn run(plan: &ShimPlan, (socket, ended): (Socket, OwnedFd)) {
    let exit_file = ExitFile::reserve(&plan.exit_file);
    let mut supervisor = Supervisor {
        children: Children::new(Child::new(plan.streams)),
        waiting: None,
        connections: Vec::new(),
        leftovers: Vec::new(),
        memory: None,
        out_of_memory: false,
        log: None,
        plan,
        exit_file,
        socket,
        ended,
        start_failure: None,
        next: 0,
        buffer: Vec::new(),
    };
    let record = match supervisor.launch() {
        Ok(()) => loop {
            if let Some(record) = supervisor.settle() {
                break record;
            }
            supervisor.turn(None);
        },
        Err(failure) => supervisor.children.guest.failed(failure),
    };
    supervisor.finish(record);
}

impl Supervisor<'_> {
    fn launch(&mut self) -> Result<(), Failure> {
        if let Some(plan) = &self.plan.log {
            let log = Log::open(plan).map_err(|error| {
                Failure::other(format!("open log {}: {error}", plan.path.display()))
            })?;
            self.log = Some(log);
        }
        self.waiting = Some(guest::build(self.plan, &mut self.children.guest)?);
        self.memory = guest::watch_memory(&self.plan.launch.cgroup);
        Ok(())
    }

    /// Waits once, and does what is to be done then.
    fn turn(&mut self, at_most: Option<Duration>) {
        let now = Instant::now();
        let deadlines = self.children.iter().filter_map(|(_, child)| child.deadline());
        let until = deadlines.min().map(|at| at.saturating_duration_since(now));
        let rest = (self.buffer.capacity() > 0).then_some(REST);
        let timeout = [until, rest, at_most].into_iter().flatten().min();
        let happened = self.interests().wait(timeout);
        if happened.is_empty() && rest.is_some() && timeout == rest {
            self.buffer = Vec::new();
            if let Some(log) = &mut self.log {
                log.rest();
            }
        }
        for (source, flags) in happened {
            self.react(source, flags);
        }
    }

    fn interests(&self) -> Interests<'_> {
        let mut interests = Interests::default();
        if self.has_room() {
            interests.add(Source::Listener, self.socket.listener.as_fd(), PollFlags::IN);
        }
        interests.add(Source::ChildEnded, self.ended.as_fd(), PollFlags::IN);
        for connection in &self.connections {
            let (fd, flags) = connection.waiting();
            interests.add(Source::Connection(connection.id), fd, flags);
        }
        for (process, child) in self.children.iter() {
            if let Some(fd) = child.pidfd() {
                interests.add(Source::Pidfd(process), fd, PollFlags::IN);
            }
            for output in &child.outputs {
                if !output.drained && !child.is_blocked(output.stream) {
                    let source = Source::Output(process, output.stream);
                    interests.add(source, output.fd(), PollFlags::IN);
                }
            }
            if let Some(fd) = child.input.waiting() {
                interests.add(Source::Input(process), fd, PollFlags::OUT);
            }
            for attachment in &child.attachments {
                if let Some((fd, flags)) = attachment.waiting(&child.input) {
                    let source = Source::Attachment(process, attachment.id);
                    interests.add(source, fd, flags);
                }
            }
        }
        if let Some((fd, flags)) = self.memory.as_ref().map(OomWatch::waiting) {
            interests.add(Source::Memory, fd, flags);
        }
        for fd in &self.leftovers {
            interests.add(Source::Leftover, fd.as_fd(), PollFlags::IN);
        }
        interests
    }

    fn react(&mut self, source: Source, flags: PollFlags) {
        match source {
            Source::Listener => self.accept(),
            Source::Connection(id) => self.converse(id, flags),
            Source::Memory => self.notice_memory(),
            Source::Leftover => self.leftovers.retain(may_go_on),
            Source::ChildEnded => self.reap_strays(),
            Source::Output(process, stream) => {
                self.take_output(process, stream);
            }
            Source::Pidfd(process) => {
                if let Ok(child) = self.children.get_mut(process) {
                    child.reap(Instant::now());
                }
            }
            Source::Input(process) => {
                if let Ok(child) = self.children.get_mut(process) {
                    child.input.flush();
                }
            }
            Source::Attachment(process, id) => {
                if let Ok(child) = self.children.get_mut(process) {
                    child.serve(id, flags);
                }
            }
        }
    }

    fn reap_strays(&mut self) {
        // Only after the last was seen is the signal taken, and then it is looked once more: one
        // that ended in between has no signal of its own.
        if self.children.reap_strays(Instant::now()) {
            may_go_on(&self.ended);
            self.children.reap_strays(Instant::now());
        }
    }

    fn take_output(&mut self, process: Process, stream: Stream) -> Read {
        let Self { children, buffer, log, .. } = self;
        let log = if process == Process::Guest { log } else { &mut None };
        match children.get_mut(process) {
            Ok(child) => child.take_output(stream, buffer, log),
            Err(_removed) => Read::End,
        }
    }

    /// After every turn: moves on what needs no event, and reports who ended. The guest's own
    /// record comes last, when nothing else is left.
    fn settle(&mut self) -> Option<ExitRecord> {
        self.connections.retain(|connection| !connection.is_over());
        if let Some(failure) = self.start_failure.take() {
            return Some(self.children.guest.failed(failure));
        }
        for (_, child) in self.children.iter_mut() {
            child.tidy_attachments();
        }
        let now = Instant::now();
        let guest_ends = self.children.guest.deadline();
        let ended: Vec<Process> = self
            .children
            .iter()
            .filter(|(_, child)| child.deadline().is_some())
            .map(|(process, _)| process)
            .collect();
        for process in ended.into_iter().rev() {
            self.drain(process);
            // What ran beside the guest ends with it, as the kernel sees to in a process
            // namespace of its own.
            let waits = process == Process::Guest && self.children.any_exec_runs();
            if waits && guest_ends.is_some_and(|deadline| now < deadline) {
                self.children.kill_execs();
                continue;
            }
            let Self { children, log, .. } = self;
            let log = if process == Process::Guest { log } else { &mut None };
            let outcome = children.get_mut(process).ok().and_then(|child| child.outcome(now, log));
            match (process, outcome) {
                (Process::Guest, Some(record)) => return Some(record),
                (Process::Exec(id), Some(exit)) => {
                    self.keep_leftovers(process);
                    self.tell(&Event::ExecExited { id, exit });
                }
                (_, None) => {}
            }
        }
        None
    }

    /// Takes what an ended process left in its pipes, as far as clients take it from us.
    fn drain(&mut self, process: Process) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            while self.children.get_mut(process).is_ok_and(|child| child.is_draining(stream)) {
                self.take_output(process, stream);
            }
        }
    }

    /// Goes on reading what an exec's own children write, so that they are not killed by it.
    fn keep_leftovers(&mut self, process: Process) {
        if let Ok(child) = self.children.get_mut(process) {
            self.leftovers.append(&mut child.leftover());
        }
        let surplus = self.leftovers.len().saturating_sub(LEFTOVERS_MAX);
        self.leftovers.drain(..surplus);
    }

    /// The guest is over: records it, cleans up, says good-bye.
    fn finish(mut self, mut record: ExitRecord) {
        drop(self.waiting.take());
        self.notice_memory();
        // Before the cgroup goes, which would look like one more time.
        drop(self.memory.take());
        record.oom_killed = self.out_of_memory || guest::was_oom_killed(&self.plan.launch.cgroup);
        self.children.guest.phase = Phase::Exited(record.clone());
        let mut recorded = self.exit_file.write(&record).is_ok();
        guest::remove_cgroup(&self.plan.launch.cgroup);
        self.tell(&Event::Exited(record.clone()));
        let deadline = Instant::now() + FAREWELL;
        let mut wait = Duration::ZERO;
        loop {
            self.turn(Some(wait));
            self.connections.retain(|connection| !connection.is_over());
            recorded = recorded || self.exit_file.write(&record).is_ok();
            // On a disk that takes nothing, the status lives here until somebody has heard it.
            let heard = self.connections.iter().any(|c| c.greeted && !c.has_unsent());
            let all_told = self.connections.iter().all(|c| c.greeted && !c.has_unsent());
            let now = Instant::now();
            if (recorded || heard) && (all_told || now >= deadline) {
                return;
            }
            wait = if now < deadline { deadline - now } else { REST };
        }
    }

    /// Tells if the kernel found no memory since this was last called.
    fn notice_memory(&mut self) {
        if self.memory.as_mut().is_some_and(OomWatch::happened) {
            self.out_of_memory = true;
            self.tell(&Event::OutOfMemory);
        }
    }

    pub(crate) fn tell(&mut self, event: &Event) {
        let message = Message::Event(event.clone());
        for connection in self.connections.iter_mut().filter(|connection| connection.greeted) {
            connection.send(&message);
        }
    }

    pub(crate) fn lines_lost(&self) -> u64 {
        self.log.as_ref().map_or(0, Log::lines_lost)
    }

    fn has_room(&self) -> bool {
        let attached: usize = self.children.iter().map(|(_, c)| c.attachments.len()).sum();
        attached + self.connections.len() < CONNECTIONS_MAX
            || self.connections.iter().any(|connection| !connection.greeted)
    }

    fn accept(&mut self) {
        let Ok((socket, _)) = self.socket.listener.accept() else {
            // No descriptors left: make one by giving up on whoever does not talk.
            self.connections.retain(|connection| connection.greeted);
            std::thread::sleep(Duration::from_millis(1));
            return;
        };
        let attached: usize = self.children.iter().map(|(_, c)| c.attachments.len()).sum();
        if attached + self.connections.len() >= CONNECTIONS_MAX {
            match self.connections.iter().position(|connection| !connection.greeted) {
                Some(silent) => drop(self.connections.remove(silent)),
                None => return,
            }
        }
        let ours = rustix::process::geteuid();
        let peer = rustix::net::sockopt::socket_peercred(&socket);
        if socket.set_nonblocking(true).is_ok() && peer.is_ok_and(|peer| peer.uid == ours) {
            self.next = self.next.wrapping_add(1);
            self.connections.push(Connection::new(self.next, socket));
        }
    }

    /// Reads from a connection and does what it asks for.
    fn converse(&mut self, id: u32, flags: PollFlags) {
        let Some(at) = self.connections.iter().position(|connection| connection.id == id) else {
            return;
        };
        // Taken out, so that requests can change everything else.
        let mut connection = self.connections.swap_remove(at);
        if flags.contains(PollFlags::OUT) {
            connection.flush();
        }
        if flags.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
            connection.fill();
        }
        if let Some(connection) = self.serve(connection) {
            self.connections.push(connection);
        }
    }
}

/// Reads once from what an ended process left open, and says whether more may come.
fn may_go_on(fd: &OwnedFd) -> bool {
    matches!(rustix::io::read(fd, &mut [0; 4096]), Ok(1..) | Err(Errno::AGAIN | Errno::INTR))
}
