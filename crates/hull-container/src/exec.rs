//! Adding a process to a running guest.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use hull_sys::namespace::Kinds;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};

use crate::failure::{Doing, Failure, Kind};
use crate::launch::{
    Channel, FromChild, Joins, Maps, Running, Stdio, ToChild, WindowSize, adjust_oom_score, fork,
    go, send_stdio, terminal,
};
use crate::plan::{ExecPlan, Namespace, Namespaces, Time, User};
use crate::process::{self, limits};

/// How long the process may take to set itself up: reads from the image, no more.
const PREPARE_MAX: Duration = Duration::from_secs(30);

/// A running process and, if it has one, its terminal's controlling side.
#[derive(Debug)]
pub struct Executed {
    /// The process, a child of the caller.
    pub running: Running,
    /// For [`Stdio::Terminal`].
    pub terminal: Option<OwnedFd>,
}

/// Starts `plan`'s process in the cgroup and the namespaces of the guest whose first process is
/// `init`; returns when it has executed.
///
/// The calling process must have one thread.
pub fn exec(plan: &ExecPlan, init: BorrowedFd<'_>, stdio: Stdio) -> Result<Executed, Failure> {
    if has_ended(init)? {
        return Err(not_running(plan));
    }
    let entrance = plan
        .cgroup
        .entrance()
        .map_err(|error| Failure::new(Kind::NotRunning, format!("open cgroup: {error}")))?;
    let (channel, theirs) = Channel::pair().doing("make socket pair")?;
    let init = init.try_clone_to_owned().doing("duplicate a descriptor")?;
    let joins = Joins::process(init, kinds(&plan.namespaces));
    let newborn = fork::fork(&joins, Kinds::NONE, &entrance, (&channel, theirs), &|channel| {
        main(plan, channel)
    })?;
    if let Some(adjustment) = plan.oom_score_adj {
        adjust_oom_score(newborn.pid(), adjustment)?;
    }
    channel.send(&[ToChild::Begin as u8], &[]).doing("talk to the new process")?;
    let maps = Maps::of(newborn.pid(), &plan.namespaces.user)?;
    send_stdio(&channel, stdio, maps.root(), plan.process.terminal)?;
    let (answer, mut descriptors) = channel.answer(PREPARE_MAX, &newborn, "set up the process")?;
    match answer {
        FromChild::Ready => {}
        FromChild::Failed(failure) => return Err(failure),
        FromChild::Forked(_) => return Err(Failure::other("the new process answers nonsense")),
    }
    limits::apply(newborn.pid(), &plan.process.rlimits)?;
    let running = go(&channel, newborn, &plan.process.args)?;
    Ok(Executed { running, terminal: descriptors.pop() })
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
fn main(plan: &ExecPlan, channel: &Channel) -> Result<(), Failure> {
    if plan.namespaces.user != User::Host {
        process::become_root()?;
    }
    let (message, streams) = channel.hear()?;
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
    let ready = process::prepare(&plan.process, &plan.id, None)?;
    let controller: Vec<_> = controller.iter().map(AsFd::as_fd).collect();
    channel.say(&FromChild::Ready, &controller)?;
    process::await_start(channel)?;
    Err(ready.execute(channel))
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
