//! Starting a guest's first process, in three steps that cannot be confused:
//! [`spawn`] → [`Spawned::assemble`] → [`Assembled::start`].
//!
//! Each step that fails, and each value dropped before it runs, kills the process, reaps it and
//! removes the cgroup.

mod channel;
mod child;
mod devices;
pub(crate) mod fork;
mod inside;
mod maps;
mod overlay;
mod resolve;
mod root;
pub(crate) mod terminal;

pub(crate) use channel::{Channel, FromChild, ToChild};
pub(crate) use fork::{Joins, Newborn};
pub(crate) use maps::Maps;

use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use hull_sys::namespace::Kinds;
use rustix::process::Pid;

use crate::failure::{Doing, Failure};
use crate::plan::{IdMap, LaunchPlan, Namespace, Namespaces, Source, User};
use crate::process::limits;

/// How long the child may take to build its root: only mounts, and reads from the image.
const ASSEMBLE_MAX: Duration = Duration::from_secs(60);
/// How long executing may take: the kernel reads the program's first page.
const START_MAX: Duration = Duration::from_secs(30);
/// How long leftovers of a failed launch may keep the cgroup busy.
const REMOVE_MAX: Duration = Duration::from_secs(2);

/// What the process's standard streams are.
#[derive(Debug)]
pub enum Stdio {
    /// These three: input, output, errors.
    Streams([OwnedFd; 3]),
    /// A new terminal, made inside the guest. Needs `process.terminal` in the plan.
    Terminal(WindowSize),
}

/// The size of a terminal in characters; zeros mean unknown.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct WindowSize {
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub columns: u16,
}

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
    plan: &'plan LaunchPlan,
    newborn: Newborn,
    channel: Channel,
    cgroup: CgroupGuard<'plan>,
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
    let cgroup = CgroupGuard::make(plan)?;
    let entrance = plan.cgroup.entrance().doing("open cgroup")?;
    let (channel, theirs) = Channel::pair().doing("make socket pair")?;
    let joins = Joins::of(&plan.namespaces)?;
    let kinds = new_kinds(&plan.namespaces);
    let newborn = fork::fork(&joins, kinds, &entrance, (&channel, theirs), &|channel| {
        child::main(plan, channel)
    })?;
    if let User::New { uids, gids } = &plan.namespaces.user {
        write_maps(newborn.pid(), "uid_map", uids)?;
        write_maps(newborn.pid(), "gid_map", gids)?;
    }
    if let Some(adjustment) = plan.oom_score_adj {
        adjust_oom_score(newborn.pid(), adjustment)?;
    }
    channel.send(&[ToChild::Begin as u8], &[]).doing("talk to the new process")?;
    Ok(Spawned { plan, newborn, channel, cgroup })
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
    pub fn assemble(self, stdio: Stdio) -> Result<Assembled<'plan>, Failure> {
        let Self { plan, newborn, channel, cgroup } = self;
        let user_namespace = match plan.namespaces.user {
            User::Host => None,
            User::New { .. } | User::Join(_) => {
                let path = format!("/proc/{}/ns/user", newborn.pid().as_raw_nonzero());
                Some(OwnedFd::from(fs::File::open(&path).doing(format!("open {path}"))?))
            }
        };
        let maps = Maps::of(newborn.pid(), &plan.namespaces.user)?;
        let mut mounts = vec![root::build(&plan.root, user_namespace.as_ref(), &maps)?];
        let has_devices =
            plan.mounts.iter().any(|mount| matches!(mount.source, Source::Devices { .. }));
        if has_devices {
            mounts.push(devices::build(plan, &maps)?);
        }
        if let Some(init) = &plan.init {
            mounts.push(root::bind_init(init)?);
        }
        for mount in &plan.mounts {
            if let Source::Bind { path, recursive } = &mount.source {
                mounts.push(root::bind(path, *recursive, mount, user_namespace.as_ref())?);
            }
        }
        send_mounts(&channel, &mounts)?;
        drop(mounts);
        send_stdio(&channel, stdio, maps.root(), plan.process.terminal)?;
        let (answer, mut descriptors) =
            channel.answer(ASSEMBLE_MAX, &newborn, "set up the guest")?;
        match answer {
            FromChild::Ready => {}
            FromChild::Failed(failure) => return Err(failure),
            FromChild::Forked(_) => return Err(Failure::other("the new process answers nonsense")),
        }
        limits::apply(newborn.pid(), &plan.process.rlimits)?;
        Ok(Assembled { terminal: descriptors.pop(), plan, newborn, channel, cgroup })
    }
}

impl Assembled<'_> {
    /// Its number on the host.
    pub fn pid(&self) -> Pid {
        self.newborn.pid()
    }

    /// Lets the process execute; returns when it has.
    pub fn start(self) -> Result<Running, Failure> {
        let Self { plan, newborn, channel, cgroup, terminal: _ } = self;
        let running = go(&channel, newborn, &plan.process.args)?;
        cgroup.keep();
        Ok(running)
    }
}

/// Says the last word to a process that is set up and waits until it has executed.
pub(crate) fn go(channel: &Channel, newborn: Newborn, args: &[String]) -> Result<Running, Failure> {
    channel.send(&[ToChild::Start as u8], &[]).doing("talk to the new process")?;
    // Its side is close-on-exec: the end of the conversation is the success.
    match channel.receive(START_MAX) {
        Ok(None) => {}
        Ok(Some((message, _))) => match FromChild::read(&message)? {
            FromChild::Failed(failure) => return Err(failure),
            FromChild::Ready | FromChild::Forked(_) => {
                return Err(Failure::other("the new process answers nonsense"));
            }
        },
        Err(error) => {
            let program = args.first().map_or("", String::as_str);
            return Err(Failure::other(format!("wait for {program:?} to execute: {error}")));
        }
    }
    Ok(newborn.into_running())
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

fn send_mounts(channel: &Channel, mounts: &[OwnedFd]) -> Result<(), Failure> {
    for chunk in mounts.chunks(channel::DESCRIPTORS_MAX) {
        let borrowed: Vec<_> = chunk.iter().map(AsFd::as_fd).collect();
        channel
            .send(&[ToChild::Mounts as u8], &borrowed)
            .doing("send mounts to the new process")?;
    }
    Ok(())
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
