//! What the first process does, from its first moment to the guest's program.

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};

use hull_sys::mount::{self as mounts, Depth, attribute};
use hull_sys::namespace::{self, Kinds};

use super::devices::{CONSOLE, INIT};
use super::inside;
use super::resolve::find;
use super::terminal::{self, Terminal};
use super::{Channel, FromChild, ToChild, WindowSize};
use crate::failure::{Doing, Failure};
use crate::plan::{LaunchPlan, Mount, Namespace, Source, User};
use crate::process;
use crate::weakened::{Defence, stands};

/// Runs in the new namespaces once the id maps are written. Returns only to fail.
pub(crate) fn main(plan: &LaunchPlan, channel: &Channel) -> Result<(), Failure> {
    if plan.namespaces.user != User::Host {
        process::become_root()?;
    }
    let mut late = Kinds::NONE;
    for (from, kind) in
        [(&plan.namespaces.cgroup, Kinds::CGROUP), (&plan.namespaces.ipc, Kinds::IPC)]
    {
        if *from == Namespace::New {
            late = late.and(kind);
        }
    }
    namespace::leave(late).doing("make cgroup and IPC namespaces")?;
    if plan.namespaces.uts == Namespace::New {
        inside::set_names(plan.hostname.as_deref(), plan.domainname.as_deref())?;
    }
    inside::separate()?;
    // Made before the launcher's mounts arrive, while it is still making them.
    let mut made = plan.mounts.iter().map(make).collect::<Result<Vec<_>, _>>()?;

    let (mut given, streams) = receive(channel)?;
    let mut take = || given.pop_front().ok_or_else(|| Failure::other("a mount was not received"));
    let root = take()?;
    let dev = plan.mounts.iter().any(|mount| matches!(mount.source, Source::Devices { .. }));
    let dev = if dev { Some(take()?) } else { None };
    let init = if plan.init.is_some() { Some(take()?) } else { None };
    for (mount, slot) in plan.mounts.iter().zip(&mut made) {
        if matches!(mount.source, Source::Bind { .. }) {
            *slot = Some(take()?);
        }
    }
    inside::attach_root(&root)?;
    for (mount, slot) in plan.mounts.iter().zip(&made) {
        let tree = slot.as_ref().or(dev.as_ref());
        let tree = tree.ok_or_else(|| Failure::other("there is no /dev to mount"))?;
        inside::attach(&root, mount, tree)?;
        if let Source::CgroupV1 { hierarchies, links } = &mount.source {
            inside::fill_cgroups(tree, hierarchies, links, mount.attributes.set)?;
        }
    }
    if let (Some(init), Some(dev)) = (&init, &dev) {
        over(dev, INIT, init)?;
    }
    let streams = streams.open(plan, (&root, &made), dev.as_ref())?;
    if plan.process.make_cwd {
        inside::make_directory(&root, &plan.process.cwd)?;
    }
    harden(plan, &root, &made, dev.as_ref())?;
    inside::enter(&root)?;
    let controller = streams.take()?;
    drop((root, dev, init, made, given));

    let init = plan.init.as_ref().map(|_| format!("/dev/{INIT}"));
    let ready = process::prepare(&plan.process, &plan.id, init.as_deref())?;
    let controller: Vec<_> = controller.iter().map(AsFd::as_fd).collect();
    channel.say(&FromChild::Ready, &controller)?;
    process::await_start(channel)?;
    Err(ready.execute(channel))
}

/// What the process makes itself; `None` for what the launcher sends.
fn make(mount: &Mount) -> Result<Option<OwnedFd>, Failure> {
    match &mount.source {
        Source::New { filesystem, options } => {
            inside::instance(filesystem, options, mount.attributes.set).map(Some)
        }
        Source::CgroupV1 { .. } => {
            // Writable until its directories are made.
            let options = [("mode".to_owned(), "755".to_owned())];
            let attributes = mount.attributes.set & !attribute::READ_ONLY;
            inside::instance("tmpfs", &options, attributes).map(Some)
        }
        Source::Bind { .. } | Source::Devices { .. } | Source::Mounted { .. } => Ok(None),
    }
}

/// Settings, hidden and protected paths, the read-only root: in this order, for each later one
/// would prevent the earlier.
fn harden(
    plan: &LaunchPlan,
    root: &OwnedFd,
    made: &[Option<OwnedFd>],
    dev: Option<&OwnedFd>,
) -> Result<(), Failure> {
    if !plan.sysctls.is_empty() {
        let is_proc = |mount: &Mount| matches!(&mount.source, Source::New { filesystem, .. } if filesystem == "proc");
        let at = plan.mounts.iter().position(is_proc);
        let proc = at.and_then(|at| made[at].as_ref());
        let proc = proc.ok_or_else(|| Failure::other("set sysctls: there is no /proc"))?;
        for (name, value) in &plan.sysctls {
            inside::sysctl(proc, name, value)?;
        }
    }
    for path in &plan.read_only {
        inside::protect(root, path)?;
    }
    if !plan.masked.is_empty() {
        let dev = dev.ok_or_else(|| Failure::other("mask paths: there is no /dev"))?;
        let null = inside::null_of(root, dev)?;
        for path in &plan.masked {
            inside::mask(root, path, &null)?;
        }
    }
    if plan.root.read_only {
        mounts::set_attributes(root.as_fd(), Depth::One, attribute::READ_ONLY, 0)
            .doing("make the root read-only")?;
    }
    Ok(())
}

/// What the launcher says the streams shall be.
enum Asked {
    Streams(Vec<OwnedFd>),
    Terminal(WindowSize),
}

/// The streams, open.
enum Opened {
    Streams(Vec<OwnedFd>),
    Terminal(Terminal),
}

/// Collects mounts until the word about the streams comes.
fn receive(channel: &Channel) -> Result<(VecDeque<OwnedFd>, Asked), Failure> {
    let mut mounts = VecDeque::new();
    loop {
        let (message, descriptors) = channel.hear()?;
        match message.as_slice() {
            [word] if *word == ToChild::Mounts as u8 => mounts.extend(descriptors),
            [word] if *word == ToChild::Streams as u8 => {
                return Ok((mounts, Asked::Streams(descriptors)));
            }
            &[word, r0, r1, c0, c1] if word == ToChild::Terminal as u8 => {
                let rows = u16::from_le_bytes([r0, r1]);
                let columns = u16::from_le_bytes([c0, c1]);
                return Ok((mounts, Asked::Terminal(WindowSize { rows, columns })));
            }
            _ => return Err(Failure::other("the launcher says something unexpected")),
        }
    }
}

impl Asked {
    /// Makes the terminal, on the guest's own devpts, and shows it as `/dev/console`.
    fn open(
        self,
        plan: &LaunchPlan,
        (root, made): (&OwnedFd, &[Option<OwnedFd>]),
        dev: Option<&OwnedFd>,
    ) -> Result<Opened, Failure> {
        let size = match self {
            Self::Streams(streams) => return Ok(Opened::Streams(streams)),
            Self::Terminal(size) => size,
        };
        let is_devpts = |mount: &Mount| matches!(&mount.source, Source::New { filesystem, .. } if filesystem == "devpts");
        let at = plan.mounts.iter().position(is_devpts);
        let devpts = at.and_then(|at| made[at].as_ref());
        let devpts = devpts.ok_or_else(|| Failure::other("make a terminal: there is no devpts"))?;
        let terminal = terminal::open(devpts.as_fd(), size)?;
        if let Some(dev) = dev {
            let called = if stands(Defence::Console) { None } else { find(root, "/dev/pts/0")? };
            let shown = called.as_ref().unwrap_or(&terminal.process);
            let console = inside::copy(shown, Depth::One).doing("show /dev/console")?;
            over(dev, CONSOLE, &console)?;
        }
        Ok(Opened::Terminal(terminal))
    }
}

impl Opened {
    /// Makes them the process's own, in a session of its own. Gives a terminal's other side.
    fn take(self) -> Result<Option<OwnedFd>, Failure> {
        match self {
            Self::Streams(streams) => process::streams::take(&streams).map(|()| None),
            Self::Terminal(Terminal { controller, process }) => {
                process::streams::take_terminal(&process)?;
                Ok(Some(controller))
            }
        }
    }
}

/// Attaches `tree` over the entry `name` of our own `/dev`.
fn over(dev: &OwnedFd, name: &str, tree: &OwnedFd) -> Result<(), Failure> {
    use rustix::fs::{Mode, OFlags, openat};
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let place = openat(dev, name, flags, Mode::empty()).doing(format!("open /dev/{name}"))?;
    inside::put(tree, &place).doing(format!("mount at /dev/{name}"))
}
