//! Starting a guest's first process, in three steps that cannot be confused:
//! [`spawn`] → [`Spawned::assemble`] → [`Assembled::start`].
//!
//! Each step that fails, and each value dropped before it runs, kills the process, reaps it and
//! removes the cgroup.

mod agent;
mod channel;
mod child;
mod copy_up;
mod devices;
pub(crate) mod fork;
mod gate;
mod given;
mod inside;
mod maps;
mod overlay;
mod owners;
pub(crate) mod resolve;
mod root;
pub(crate) mod terminal;
mod tree;

pub(crate) use channel::{Channel, FromChild, ToChild};
pub(crate) use fork::{Begin, Body, Joins, Newborn};
pub use gate::Gate;
pub(crate) use gate::wait as wait_at;
pub use given::{BeforeEntering, Given, Stdio, WindowSize};
pub(crate) use maps::Maps;

use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use hull_sys::namespace::Kinds;
use rustix::process::Pid;

use crate::failure::{Doing, Failure};
use crate::plan::{Hook, IdMap, LaunchPlan, Namespace, Namespaces, Process, State, Time, User};
use crate::process::label::HostProc;
use crate::process::{limits, placement};
use crate::{hook, rdt};

/// How long the child may take to build its root: only mounts, and reads from the image.
const ASSEMBLE_MAX: Duration = Duration::from_secs(60);
/// How long executing may take: the kernel reads the program's first page.
pub(crate) const START_MAX: Duration = Duration::from_secs(30);
/// How long leftovers of a failed launch may keep the cgroup busy.
const REMOVE_MAX: Duration = Duration::from_secs(2);

/// A process in its namespaces and its cgroup, waiting. Its `/proc/PID/ns/net` can be configured.
#[derive(Debug)]
pub struct Spawned<'plan> {
    plan: &'plan LaunchPlan,
    newborn: Newborn,
    channel: Channel,
    cgroup: CgroupGuard<'plan>,
}

/// A process in its root with everything set up, waiting for the word to execute.
#[derive(Debug)]
pub struct Assembled<'plan> {
    /// The terminal's controlling side, when there is one.
    pub terminal: Option<OwnedFd>,
    /// What is not quite as was wished, in words for the user.
    pub warnings: Vec<String>,
    plan: &'plan LaunchPlan,
    newborn: Newborn,
    channel: Channel,
    cgroup: CgroupGuard<'plan>,
    has_gate: bool,
}

/// A running process. Dropping this does not end it.
#[derive(Debug)]
pub struct Running {
    /// Its number on the host. The caller is its parent and reaps it.
    pub pid: Pid,
    /// Refers to it even after the number is used again.
    pub pidfd: OwnedFd,
}

/// Makes the cgroup and a process in new namespaces with its id maps written. It waits.
///
/// The calling process must have one thread, and no child it did not ask for may be waited for with
/// `waitpid(-1)` while this runs.
pub fn spawn(plan: &LaunchPlan) -> Result<Spawned<'_>, Failure> {
    if plan.namespaces.mount == Namespace::Host {
        let why = "a guest without a mount namespace of its own would mount on the host";
        return Err(Failure::other(why));
    }
    let cgroup = CgroupGuard::make(plan)?;
    let entrance = plan.cgroup.entrance().doing("open cgroup")?;
    let (channel, theirs) = Channel::pair().doing("make socket pair")?;
    let joins = Joins::of(&plan.namespaces)?;
    let labelled = plan.process.label.is_some() || !plan.sysctls.is_empty();
    let host = HostProc::open_if(labelled, plan.process.preserved)?;
    let body = Body {
        entrance: &entrance,
        process: &plan.process,
        host: host.as_ref(),
        main: &|channel, begin| child::main(plan, channel, begin, host.as_ref()),
    };
    let newborn = fork::fork(&joins, new_kinds(&plan.namespaces), (&channel, theirs), &body)?;
    if let User::New { uids, gids } = &plan.namespaces.user {
        write_maps(newborn.pid(), "uid_map", uids)?;
        write_maps(newborn.pid(), "gid_map", gids)?;
    }
    if let Some(adjustment) = plan.oom_score_adj {
        adjust_oom_score(newborn.pid(), adjustment)?;
    }
    if let Some(rdt) = &plan.rdt {
        rdt::enter(rdt, &plan.id, newborn.pid())?;
    }
    let mut offsets = Vec::new();
    if matches!(plan.namespaces.time, Time::New { .. }) {
        offsets.push(time_offsets(newborn.pid())?);
    }
    begin(&channel, newborn.pid(), &offsets)?;
    Ok(Spawned { plan, newborn, channel, cgroup })
}

/// Tells a new process that it may go on, and what its number is.
pub(crate) fn begin(channel: &Channel, pid: Pid, given: &[OwnedFd]) -> Result<(), Failure> {
    let mut message = vec![ToChild::Begin as u8];
    message.extend(pid.as_raw_nonzero().get().to_le_bytes());
    let given: Vec<_> = given.iter().map(AsFd::as_fd).collect();
    channel.send(&message, &given).doing("talk to the new process")
}

impl<'plan> Spawned<'plan> {
    /// Its number on the host.
    pub fn pid(&self) -> Pid {
        self.newborn.pid()
    }

    /// Refers to it even after the number is used again.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.newborn.pidfd()
    }

    /// Builds the root, moves the process into it and does everything else that can fail, down to
    /// finding the program.
    pub fn assemble<'a>(self, given: impl Into<Given<'a>>) -> Result<Assembled<'plan>, Failure> {
        let Self { plan, newborn, channel, cgroup } = self;
        let Given { stdio, preserved, gate, before_entering } = given.into();
        let maps = Maps::of(newborn.pid(), &plan.namespaces.user)?;
        let mut made = tree::Trees::new(plan, newborn.pid(), &maps)?;
        made.build()?;
        let tree::Trees { mounts, warnings, .. } = made;
        if preserved.len() != plan.process.preserved as usize {
            return Err(Failure::other("the plan and the given descriptors disagree"));
        }
        let sent = send_descriptors(&channel, ToChild::Mounts, &mounts)
            .and_then(|()| send_descriptors(&channel, ToChild::Keep, &preserved))
            .and_then(|()| {
                let Some(gate) = &gate else { return Ok(()) };
                channel.send(&[ToChild::Gate as u8], &[gate.as_fd()]).doing("send the gate")
            })
            .and_then(|()| send_stdio(&channel, stdio, maps.root(), plan.process.terminal));
        drop((mounts, preserved));
        sent.map_err(|failure| channel.last_words().unwrap_or(failure))?;
        if plan.hooks.before_entering {
            let (answer, _) = channel.answer(ASSEMBLE_MAX, &newborn, "set up the guest")?;
            let FromChild::Mounted = answer else { return Err(answer.unexpected()) };
            if let Some(hooks) = before_entering {
                hooks(newborn.pid())?;
            }
            channel.send(&[ToChild::Enter as u8], &[]).doing("talk to the new process")?;
        }
        let patience = ASSEMBLE_MAX + hooks_patience(&plan.hooks.create_container);
        let process = (&plan.process, &plan.state);
        let terminal = ready(&channel, &newborn, patience, process, &plan.id)?;
        let has_gate = gate.is_some();
        Ok(Assembled { terminal, warnings, plan, newborn, channel, cgroup, has_gate })
    }
}

/// Waits until the process is set up and does for it what only the launcher can.
pub(crate) fn ready(
    channel: &Channel,
    newborn: &Newborn,
    patience: Duration,
    (process, state): (&Process, &State),
    id: &str,
) -> Result<Option<OwnedFd>, Failure> {
    let (answer, mut descriptors) = channel.answer(patience, newborn, "set up the process")?;
    let FromChild::Ready { listener } = answer else { return Err(answer.unexpected()) };
    if let (Some(number), Some(agent)) = (listener, &process.seccomp.listener) {
        agent::introduce(agent, number, newborn, (state, id))?;
    }
    limits::apply(newborn.pid(), &process.rlimits)?;
    placement::apply(newborn.pid(), process)?;
    Ok(descriptors.pop())
}

impl Assembled<'_> {
    /// Its number on the host.
    pub fn pid(&self) -> Pid {
        self.newborn.pid()
    }

    /// Lets the process execute; returns when it has.
    pub fn start(self) -> Result<Running, Failure> {
        let Self { plan, newborn, channel, cgroup, .. } = self;
        let patience = START_MAX + hooks_patience(&plan.hooks.start_container);
        let running = go(&channel, newborn, &plan.process.args, patience)?;
        cgroup.keep();
        Ok(running)
    }

    /// Leaves the process waiting at the gate it was given, for [`Gate::open`]. From now on it lives
    /// on without the caller.
    pub fn leave(self) -> Result<Running, Failure> {
        if !self.has_gate {
            return Err(Failure::other("a process without a gate cannot be left waiting"));
        }
        self.channel.send(&[ToChild::Leave as u8], &[]).doing("talk to the new process")?;
        let (answer, _) = self.channel.answer(START_MAX, &self.newborn, "leave the process")?;
        let FromChild::Listens = answer else { return Err(answer.unexpected()) };
        self.cgroup.keep();
        Ok(self.newborn.into_running())
    }
}

/// How long hooks may take at most.
fn hooks_patience(hooks: &[Hook]) -> Duration {
    hooks.iter().map(|hook| hook.timeout.unwrap_or(hook::TIMEOUT_DEFAULT)).sum()
}

/// Says the last word to a process that is set up and waits until it has executed.
pub(crate) fn go(
    channel: &Channel,
    newborn: Newborn,
    args: &[String],
    patience: Duration,
) -> Result<Running, Failure> {
    say_start(channel, args.first().map_or("", String::as_str), patience)?;
    Ok(newborn.into_running())
}

/// Says the last word and waits for the end of the conversation.
fn say_start(channel: &Channel, program: &str, patience: Duration) -> Result<(), Failure> {
    channel.send(&[ToChild::Start as u8], &[]).doing("talk to the new process")?;
    // Its side is close-on-exec: the end of the conversation is the success.
    match channel.receive(patience) {
        Ok(None) => Ok(()),
        Ok(Some((message, _))) => Err(FromChild::read(&message)?.unexpected()),
        Err(error) => Err(Failure::other(format!("wait for {program:?} to execute: {error}"))),
    }
}

pub(crate) fn send_stdio(
    channel: &Channel,
    stdio: Stdio,
    (uid, gid): (u32, u32),
    terminal: bool,
) -> Result<(), Failure> {
    match (stdio, terminal) {
        (Stdio::Streams(streams), false) => {
            for stream in &streams {
                terminal::give_pipe(stream.as_fd(), uid, gid)?;
            }
            let borrowed: Vec<_> = streams.iter().map(AsFd::as_fd).collect();
            channel.send(&[ToChild::Streams as u8], &borrowed).doing("send the streams")
        }
        (Stdio::Terminal(WindowSize { rows, columns }), true) => {
            let [r0, r1] = rows.to_le_bytes();
            let [c0, c1] = columns.to_le_bytes();
            let message = [ToChild::Terminal as u8, r0, r1, c0, c1];
            channel.send(&message, &[]).doing("send the terminal's size")
        }
        (Stdio::Streams(_), true) | (Stdio::Terminal(_), false) => {
            Err(Failure::other("the plan and the given streams disagree about a terminal"))
        }
    }
}

/// Sends any number of descriptors.
pub(crate) fn send_descriptors(
    channel: &Channel,
    word: ToChild,
    descriptors: &[OwnedFd],
) -> Result<(), Failure> {
    for chunk in descriptors.chunks(channel::DESCRIPTORS_MAX) {
        let borrowed: Vec<_> = chunk.iter().map(AsFd::as_fd).collect();
        channel.send(&[word as u8], &borrowed).doing("send descriptors to the new process")?;
    }
    Ok(())
}

/// Where the clocks of the time namespace that the process will make are set. Opened by the launcher:
/// the process itself may not, being closed to its own user.
fn time_offsets(pid: Pid) -> Result<OwnedFd, Failure> {
    let path = format!("/proc/{}/timens_offsets", pid.as_raw_nonzero());
    let file = fs::File::options().write(true).open(&path);
    match file {
        Ok(file) => Ok(file.into()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(Failure::other("not supported by this kernel: time namespaces"))
        }
        Err(error) => Err(error).doing(format!("open {path}")),
    }
}

/// The namespaces to be made together with the process.
///
/// The cgroup namespace is not among them: its root is where the process is when it is made, so on
/// v1 the process must first have moved. Nor is IPC: the owner of `/dev/mqueue` is who makes it, and
/// that must be the guest's root, which only exists once the id maps are written.
fn new_kinds(namespaces: &Namespaces) -> Kinds {
    let mut kinds = Kinds::NONE;
    let mut add = |new: bool, kind: Kinds| {
        if new {
            kinds = kinds.and(kind);
        }
    };
    add(matches!(namespaces.user, User::New { .. }), Kinds::USER);
    add(namespaces.mount == Namespace::New, Kinds::MOUNT);
    add(namespaces.pid == Namespace::New, Kinds::PID);
    add(namespaces.uts == Namespace::New, Kinds::UTS);
    add(namespaces.net == Namespace::New, Kinds::NET);
    kinds
}

fn write_maps(pid: Pid, file: &str, maps: &[IdMap]) -> Result<(), Failure> {
    let path = format!("/proc/{}/{file}", pid.as_raw_nonzero());
    let lines: Vec<String> =
        maps.iter().map(|map| format!("{} {} {}", map.inside, map.outside, map.count)).collect();
    let value = lines.join("\n");
    fs::write(&path, &value).doing(format!("write {value:?} to {path}"))
}

pub(crate) fn adjust_oom_score(pid: Pid, adjustment: i16) -> Result<(), Failure> {
    let path = format!("/proc/{}/oom_score_adj", pid.as_raw_nonzero());
    fs::write(&path, adjustment.to_string()).doing(format!("write {adjustment} to {path}"))
}

/// Removes the cgroup unless the launch succeeds.
#[derive(Debug)]
struct CgroupGuard<'plan>(Option<&'plan LaunchPlan>);

impl<'plan> CgroupGuard<'plan> {
    fn make(plan: &'plan LaunchPlan) -> Result<Self, Failure> {
        plan.cgroup.make().map_err(|error| Failure::other(error.to_string()))?;
        Ok(Self(Some(plan)))
    }

    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for CgroupGuard<'_> {
    fn drop(&mut self) {
        if let Some(plan) = self.0.take() {
            // The launch's own failure is the one to report; the engine sweeps what stays.
            plan.cgroup.remove(REMOVE_MAX).unwrap_or_default();
        }
    }
}
