//! Making the process, directly or by way of one in between that joins namespaces first.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use hull_sys::namespace::{self, Kinds};
use hull_sys::process::{Child, Fork, Parentage, end};
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::process::{
    DumpableBehavior, Pid, Signal, WaitId, WaitIdOptions, WaitOptions, pidfd_send_signal, waitid,
    waitpid,
};

use super::{Channel, FromChild, Running, ToChild};
use crate::cgroup::Entrance;
use crate::failure::{Doing, Failure};
use crate::plan::{Namespace, Namespaces, Process, Time, User};
use crate::process::label::HostProc;
use crate::weakened::{Defence, stands};

/// How long the process in between may take: a few system calls.
const JOIN_MAX: Duration = Duration::from_secs(10);

/// A process that dies, and is reaped, with this value.
#[derive(Debug)]
pub(crate) struct Newborn(Option<Child>);

/// Namespaces to join before the process is made.
#[derive(Debug, Default)]
pub(crate) struct Joins(Vec<(OwnedFd, Kinds)>);

/// What a new process does, and with what.
pub(crate) struct Body<'a> {
    /// Into its cgroup.
    pub(crate) entrance: &'a Entrance,
    /// What it becomes.
    pub(crate) process: &'a Process,
    /// The host's `/proc`, when needed.
    pub(crate) host: Option<&'a HostProc>,
    /// All the rest, once it may begin.
    pub(crate) main: &'a dyn Fn(&Channel, Begin) -> Result<(), Failure>,
}

/// What a process is told when it may begin.
#[derive(Debug)]
pub(crate) struct Begin {
    /// Its number on the host.
    pub(crate) pid: i32,
    /// Where the clocks of a new time namespace are set.
    pub(crate) offsets: Option<OwnedFd>,
}

/// Makes a process that enters the cgroup, waits for [`ToChild::Begin`] and runs `body`.
pub(crate) fn fork(
    joins: &Joins,
    kinds: Kinds,
    (ours, theirs): (&Channel, Channel),
    body: &Body<'_>,
) -> Result<Newborn, Failure> {
    // Where the preserved descriptors will be, nothing else may be.
    let above = body.process.preserved_end();
    let theirs = if above > 3 { theirs.moved_to(above).doing("move the channel")? } else { theirs };
    // A process put into its cgroup at birth would have missed its first affinity.
    let late = !body.process.affinity.initial.is_empty();
    let into = body.entrance.unified.as_ref().filter(|_| !late).map(AsFd::as_fd);
    let first_kinds = if joins.0.is_empty() { kinds } else { Kinds::NONE };
    let forked = hull_sys::process::fork(first_kinds, into, Parentage::Caller)
        .map_err(|error| explain_fork(&error))?;
    let child = match forked {
        Fork::Child if joins.0.is_empty() => run(&theirs, || {
            enter(&theirs, body)?;
            begin(&theirs, body)
        }),
        Fork::Child => run(&theirs, || between(joins, kinds, &theirs, body)),
        Fork::Parent(child) => child,
    };
    // Ours would keep the conversation alive after the process's death.
    drop(theirs);
    let newborn = Newborn(Some(child));
    if joins.0.is_empty() {
        return Ok(newborn);
    }
    let (answer, mut descriptors) = ours.answer(JOIN_MAX, &newborn, "join namespaces")?;
    // The one in between has ended or is about to; dropping it makes sure and reaps it.
    drop(newborn);
    let FromChild::Forked(pid) = answer else { return Err(answer.unexpected()) };
    let nonsense = || FromChild::Forked(pid).unexpected();
    let pid = Pid::from_raw(pid).ok_or_else(nonsense)?;
    let pidfd = descriptors.pop().ok_or_else(nonsense)?;
    Ok(Newborn(Some(Child { pid, pidfd })))
}

fn explain_fork(error: &std::io::Error) -> Failure {
    let hint = match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NOSPC) => "; hint: raise the limits in /proc/sys/user",
        _ => "",
    };
    Failure::other(format!("clone into new namespaces: {error}{hint}"))
}

/// Runs `body` in a forked process, reports its failure and ends.
fn run(channel: &Channel, body: impl FnOnce() -> Result<(), Failure>) -> ! {
    let status = match body() {
        Ok(()) => 0,
        Err(failure) => {
            // If the launcher cannot be told, it is gone, and there is nobody else to tell.
            channel.say(&FromChild::Failed(failure), &[]).unwrap_or_default();
            1
        }
    };
    end(status)
}

/// First deeds of a forked process: nothing of the launcher's stays open, nothing inside the
/// guest may look into it, and it moves into the cgroup.
///
/// Not dumpable means that `/proc/PID/{exe,fd,mem,…}` of this process, which still runs the
/// launcher's program, are closed to the guest's processes (CVE-2016-9962, CVE-2019-5736).
fn enter(channel: &Channel, body: &Body<'_>) -> Result<(), Failure> {
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .doing("set not dumpable")?;
    let initial = &body.process.affinity.initial;
    if !initial.is_empty() {
        hull_sys::schedule::set_affinity(None, initial)
            .doing(format!("run on processors {initial:?} at first"))?;
        if let Some(unified) = &body.entrance.unified {
            let flags = OFlags::WRONLY | OFlags::CLOEXEC;
            let procs = openat(unified, "cgroup.procs", flags, Mode::empty());
            let procs = procs.doing("open cgroup.procs")?;
            rustix::io::write(&procs, b"0").doing("enter the cgroup")?;
        }
    }
    for tasks in &body.entrance.tasks {
        rustix::io::write(tasks, b"0").doing("enter the cgroup")?;
    }
    let host = body.host.map(AsFd::as_fd);
    let keep: Vec<_> = host.into_iter().chain([channel.as_fd()]).collect();
    close_all_except(&keep)
}

fn close_all_except(keep: &[BorrowedFd<'_>]) -> Result<(), Failure> {
    if !stands(Defence::Descriptors) {
        return Ok(());
    }
    hull_sys::descriptor::close_all_except(keep).doing("close descriptors")
}

fn begin(channel: &Channel, body: &Body<'_>) -> Result<(), Failure> {
    // Cleared by fork and by every change of user, so it is set again later.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .doing("set parent death signal")?;
    let (message, mut descriptors) = channel.hear()?;
    match message.as_slice() {
        &[word, a, b, c, d] if word == ToChild::Begin as u8 => {
            let pid = i32::from_le_bytes([a, b, c, d]);
            (body.main)(channel, Begin { pid, offsets: descriptors.pop() })
        }
        _ => Err(Failure::other("the launcher says something unexpected")),
    }
}

/// The process in between: joins, forks on behalf of its parent, tells and ends.
fn between(joins: &Joins, kinds: Kinds, channel: &Channel, body: &Body<'_>) -> Result<(), Failure> {
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .doing("set not dumpable")?;
    let Entrance { unified, tasks } = body.entrance;
    let keep: Vec<_> = joins
        .0
        .iter()
        .map(|(fd, _)| fd.as_fd())
        .chain(unified.iter().chain(tasks).map(AsFd::as_fd))
        .chain(body.host.map(AsFd::as_fd))
        .chain([channel.as_fd()])
        .collect();
    close_all_except(&keep)?;
    for (target, kind) in &joins.0 {
        namespace::join(target.as_fd(), *kind).doing("join namespaces")?;
    }
    let forked = hull_sys::process::fork(kinds, None, Parentage::Grandparent)
        .map_err(|error| explain_fork(&error))?;
    match forked {
        // Not before: a guest at its limit of processes refuses a fork in its cgroup, but not that a
        // process moves there, and it must be possible to look into such a guest and to mend it.
        Fork::Child => run(channel, || enter(channel, body).and_then(|()| begin(channel, body))),
        Fork::Parent(Child { pid, pidfd }) => {
            let forked = FromChild::Forked(pid.as_raw_nonzero().get());
            channel.say(&forked, &[pidfd.as_fd()])
        }
    }
}

impl Joins {
    /// What of `namespaces` is to be joined by path. The user namespace comes first: only with its
    /// capabilities can the others be entered.
    pub(crate) fn of(namespaces: &Namespaces) -> Result<Self, Failure> {
        let mut joins = Vec::new();
        if let User::Join(path) = &namespaces.user {
            joins.push((open(path)?, Kinds::USER));
        }
        for (from, kind) in [
            (&namespaces.mount, Kinds::MOUNT),
            (&namespaces.pid, Kinds::PID),
            (&namespaces.ipc, Kinds::IPC),
            (&namespaces.uts, Kinds::UTS),
            (&namespaces.net, Kinds::NET),
            (&namespaces.cgroup, Kinds::CGROUP),
        ] {
            if let Namespace::Join(path) = from {
                joins.push((open(path)?, kind));
            }
        }
        if let Time::Join(path) = &namespaces.time {
            joins.push((open(path)?, Kinds::TIME));
        }
        Ok(Self(joins))
    }

    /// All of `kinds` of the process that `pidfd` refers to, at once.
    pub(crate) fn process(pidfd: OwnedFd, kinds: Kinds) -> Self {
        Self(vec![(pidfd, kinds)])
    }
}

fn open(path: &Path) -> Result<OwnedFd, Failure> {
    Ok(File::open(path).doing_at("open namespace", path)?.into())
}

impl Newborn {
    /// A process made otherwise.
    pub(crate) fn of(child: Child) -> Self {
        Self(Some(child))
    }

    fn child(&self) -> &Child {
        match &self.0 {
            Some(child) => child,
            None => unreachable!("the child is taken only by functions that consume self"),
        }
    }

    /// Its number on the host.
    pub(crate) fn pid(&self) -> Pid {
        self.child().pid
    }

    /// Refers to it.
    pub(crate) fn pidfd(&self) -> BorrowedFd<'_> {
        self.child().pidfd.as_fd()
    }

    /// Lets it live on.
    pub(crate) fn into_running(mut self) -> Running {
        match self.0.take() {
            Some(Child { pid, pidfd }) => Running { pid, pidfd },
            None => unreachable!("the child is taken only by functions that consume self"),
        }
    }

    /// How it died, for messages. It stays to be reaped.
    pub(crate) fn fate(&self) -> String {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        match waitid(WaitId::PidFd(self.pidfd()), options) {
            Ok(Some(status)) => match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => format!("ended with status {code}"),
                (_, Some(9)) => "was killed; hint: is its memory limit too low?".to_owned(),
                (_, Some(signal)) => format!("was ended by signal {signal}"),
                (None, None) => "stopped answering".to_owned(),
            },
            Ok(None) | Err(_) => "stopped answering".to_owned(),
        }
    }
}

impl Drop for Newborn {
    fn drop(&mut self) {
        if let Some(Child { pid, pidfd }) = self.0.take() {
            // Dead already is as good; reaping below is what matters.
            pidfd_send_signal(&pidfd, Signal::KILL).unwrap_or_default();
            let reaped = rustix::io::retry_on_intr(|| waitpid(Some(pid), WaitOptions::empty()));
            // Only "no such child" can come back: somebody else reaped it.
            reaped.map(drop).unwrap_or_default();
        }
    }
}
