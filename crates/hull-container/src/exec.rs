//! Adding a process to a running guest.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use hull_sys::namespace::Kinds;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};

use crate::failure::{Doing, Failure, Kind};
use crate::launch::{
    Body, Channel, Given, Joins, Maps, Running, START_MAX, ToChild, WindowSize, adjust_oom_score,
    begin, fork, go, ready, send_descriptors, send_stdio, terminal,
};
use crate::plan::{ExecPlan, Namespace, Namespaces, Time, User};
use crate::process::label::HostProc;
use crate::process::{self, Outlook, preserved};

/// How long the process may take to set itself up: reads from the image, no more.
const PREPARE_MAX: Duration = Duration::from_secs(30);

/// A running process and, if it has one, its terminal's controlling side.
#[derive(Debug)]
pub struct Executed {
    /// The process, a child of the caller.
    pub running: Running,
    /// For [`crate::launch::Stdio::Terminal`].
    pub terminal: Option<OwnedFd>,
}

/// Starts `plan`'s process in the cgroup and the namespaces of the guest whose first process is
/// `init`; returns when it has executed.
///
/// The calling process must have one thread.
pub fn exec<'a>(
    plan: &ExecPlan,
    init: BorrowedFd<'_>,
    given: impl Into<Given<'a>>,
) -> Result<Executed, Failure> {
    if has_ended(init)? {
        return Err(not_running(plan));
    }
    let Given { stdio, preserved, gate, before_entering } = given.into();
    if gate.is_some() || before_entering.is_some() {
        return Err(Failure::other("an added process is not left waiting, and enters no root"));
    }
    let entrance = plan
        .cgroup
        .entrance()
        .map_err(|error| Failure::new(Kind::NotRunning, format!("open cgroup: {error}")))?;
    let (channel, theirs) = Channel::pair().doing("make socket pair")?;
    let init = init.try_clone_to_owned().doing("duplicate a descriptor")?;
    let joins = Joins::process(init, kinds(&plan.namespaces));
    let host = HostProc::open_if(plan.process.label.is_some(), plan.process.preserved)?;
    let body = Body {
        entrance: &entrance,
        process: &plan.process,
        host: host.as_ref(),
        main: &|channel, _begin| main(plan, channel, host.as_ref()),
    };
    let newborn = fork::fork(&joins, Kinds::NONE, (&channel, theirs), &body)?;
    if let Some(adjustment) = plan.oom_score_adj {
        adjust_oom_score(newborn.pid(), adjustment)?;
    }
    if preserved.len() != plan.process.preserved as usize {
        return Err(Failure::other("the plan and the given descriptors disagree"));
    }
    let maps = Maps::of(newborn.pid(), &plan.namespaces.user)?;
    begin(&channel, newborn.pid(), &[])
        .and_then(|()| send_descriptors(&channel, ToChild::Keep, &preserved))
        .and_then(|()| send_stdio(&channel, stdio, maps.root(), plan.process.terminal))
        .map_err(|failure| channel.last_words().unwrap_or(failure))?;
    let process = (&plan.process, &plan.state);
    let terminal = ready(&channel, &newborn, PREPARE_MAX, process, &plan.id)?;
    let running = go(&channel, newborn, &plan.process.args, START_MAX)?;
    Ok(Executed { running, terminal })
}

/// What of the first process's namespaces is not the host's.
fn kinds(namespaces: &Namespaces) -> Kinds {
    let mut kinds = Kinds::MOUNT;
    let mut add = |own: bool, kind: Kinds| {
        if own {
            kinds = kinds.and(kind);
        }
    };
    add(namespaces.user != User::Host, Kinds::USER);
    add(namespaces.pid != Namespace::Host, Kinds::PID);
    add(namespaces.ipc != Namespace::Host, Kinds::IPC);
    add(namespaces.uts != Namespace::Host, Kinds::UTS);
    add(namespaces.net != Namespace::Host, Kinds::NET);
    add(namespaces.cgroup != Namespace::Host, Kinds::CGROUP);
    add(namespaces.time != Time::Host, Kinds::TIME);
    kinds
}

/// Runs inside the guest. Returns only to fail.
fn main(plan: &ExecPlan, channel: &Channel, host: Option<&HostProc>) -> Result<(), Failure> {
    let mut places = preserved::reserve(channel, plan.process.preserved)?;
    if plan.namespaces.user != User::Host {
        process::become_root()?;
    }
    let mut kept = Vec::new();
    let (message, streams) = loop {
        let (message, descriptors) = channel.hear()?;
        match message.as_slice() {
            [word] if *word == ToChild::Keep as u8 => kept.extend(descriptors),
            _ => break (message, descriptors),
        }
    };
    let controller = match message.as_slice() {
        [word] if *word == ToChild::Streams as u8 => {
            process::streams::take(&streams)?;
            None
        }
        &[word, r0, r1, c0, c1] if word == ToChild::Terminal as u8 => {
            let rows = u16::from_le_bytes([r0, r1]);
            let columns = u16::from_le_bytes([c0, c1]);
            Some(take_terminal(WindowSize { rows, columns })?)
        }
        _ => return Err(Failure::other("the launcher says something unexpected")),
    };
    drop(streams);
    preserved::place(&mut places, &kept)?;
    drop(kept);
    let ready = process::prepare(&plan.process, &plan.id, None, host)?;
    Err(ready.go(channel, controller, &Outlook::default()))
}

fn take_terminal(size: WindowSize) -> Result<OwnedFd, Failure> {
    // The guest may have changed what is there; anything but a devpts is refused, and any devpts
    // gives terminals that are as good as another.
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let devpts = rustix::fs::open("/dev/pts", flags, Mode::empty()).doing("open /dev/pts")?;
    let opened = terminal::open(devpts.as_fd(), size)?;
    process::streams::take_terminal(&opened.process)?;
    Ok(opened.controller)
}

fn has_ended(init: BorrowedFd<'_>) -> Result<bool, Failure> {
    let mut watched = [PollFd::from_borrowed_fd(init, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    Ok(poll(&mut watched, Some(&now)).doing("look at the guest's first process")? > 0)
}

fn not_running(plan: &ExecPlan) -> Failure {
    Failure::new(Kind::NotRunning, format!("container {} is not running", plan.id))
}
