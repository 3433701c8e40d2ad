//! What the first process does, from its first moment to the guest's program.

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};

use hull_sys::mount::{self as mounts, Depth, attribute};
use hull_sys::namespace::{self, Kinds};
use rustix::fs::{Mode, OFlags, openat};

use super::devices::{CONSOLE, INIT};
use super::resolve::find;
use super::terminal::{self, Terminal};
use super::tree::{self, Wanted};
use super::{Begin, Channel, FromChild, ToChild, WindowSize, inside, root};
use crate::failure::{Doing, Failure};
use crate::plan::{LaunchPlan, Mount, Namespace, Offset, Rootfs, Source, Time, User};
use crate::process::label::HostProc;
use crate::process::{self, Outlook, label, preserved};
use crate::weakened::{Defence, stands};
use crate::{hook, state};

/// Runs in the new namespaces once the id maps are written. Returns only to fail.
pub(crate) fn main(
    plan: &LaunchPlan,
    channel: &Channel,
    begin: Begin,
    host: Option<&HostProc>,
) -> Result<(), Failure> {
    let mut places = preserved::reserve(channel, plan.process.preserved)?;
    let pid = begin.pid;
    separate(plan, begin)?;
    // Made before the launcher's mounts arrive, while it is still making them.
    let label = label::of_mounts(plan.mount_label.as_deref())?;
    let make = |mount| make(mount, label.as_ref());
    let made = plan.mounts.iter().map(make).collect::<Result<Vec<_>, _>>()?;
    let mut given = receive(channel)?;
    let trees = Trees::sort(plan, made, &mut given.mounts)?;
    let at = match &plan.root.files {
        Rootfs::Path(path) if hooks_look(plan) => Some(path.as_path()),
        Rootfs::Path(_) | Rootfs::Overlay { .. } => None,
    };
    inside::attach_root(&trees.root, at)?;
    trees.attach(plan)?;
    let streams = given.asked.open(plan, &trees)?;
    if plan.process.make_cwd {
        inside::make_directory(&trees.root, &plan.process.cwd)?;
    }
    harden(plan, &trees, host)?;
    if plan.hooks.before_entering {
        channel.say(&FromChild::Mounted, &[])?;
        match channel.hear()?.0.first() {
            Some(word) if *word == ToChild::Enter as u8 => {}
            _ => return Err(Failure::other("the launcher says something unexpected")),
        }
    }
    if !plan.hooks.create_container.is_empty() {
        let state = state::document(&plan.state, &plan.id, "creating", pid);
        hook::run_all(&plan.hooks.create_container, &state)?;
    }
    inside::enter(&trees.root, &plan.namespaces.mount)?;
    seal(plan, &trees.root)?;
    let controller = streams.take()?;
    drop(trees);
    preserved::place(&mut places, &given.kept)?;
    drop(given.kept);

    let init = plan.init.as_ref().map(|_| format!("/dev/{INIT}"));
    let ready = process::prepare(&plan.process, &plan.id, init.as_deref(), host)?;
    let hooks = plan.hooks.start_container.as_slice();
    let state = if hooks.is_empty() {
        String::new()
    } else {
        state::document(&plan.state, &plan.id, "created", pid)
    };
    Err(ready.go(channel, controller, &Outlook { gate: given.gate, hooks, state }))
}

/// Everything about namespaces that could not be had at birth.
fn separate(plan: &LaunchPlan, begin: Begin) -> Result<(), Failure> {
    let namespaces = &plan.namespaces;
    if namespaces.user != User::Host {
        process::become_root()?;
    }
    let mut late = Kinds::NONE;
    for (from, kind) in [(&namespaces.cgroup, Kinds::CGROUP), (&namespaces.ipc, Kinds::IPC)] {
        if *from == Namespace::New {
            late = late.and(kind);
        }
    }
    namespace::leave(late).doing("make cgroup and IPC namespaces")?;
    if let Time::New { monotonic, boottime } = &namespaces.time {
        shift_clocks(begin.offsets, *monotonic, *boottime)?;
    }
    if namespaces.uts == Namespace::New {
        inside::set_names(plan.hostname.as_deref(), plan.domainname.as_deref())?;
    }
    if namespaces.mount == Namespace::New {
        inside::separate()?;
    }
    Ok(())
}

/// Makes a time namespace and enters it. Its clocks can be set only while nobody is in it.
fn shift_clocks(
    offsets: Option<OwnedFd>,
    monotonic: Offset,
    boottime: Offset,
) -> Result<(), Failure> {
    let offsets = offsets.ok_or_else(|| Failure::other("set clocks: their file did not come"))?;
    namespace::leave(Kinds::TIME).doing("make a time namespace")?;
    for (name, offset) in [("monotonic", monotonic), ("boottime", boottime)] {
        if offset != Offset::default() {
            let line = format!("{name} {} {}\n", offset.seconds, offset.nanoseconds);
            rustix::io::write(&offsets, line.as_bytes())
                .doing(format!("set the {name} clock off by {offset:?}"))?;
        }
    }
    // Else only what is forked from here would be in it.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let own = rustix::fs::open("/proc/self/ns/time_for_children", flags, Mode::empty())
        .doing("open the time namespace")?;
    namespace::join(own.as_fd(), Kinds::TIME).doing("enter the time namespace")
}

/// Whether hooks may look for the root where the host has it.
fn hooks_look(plan: &LaunchPlan) -> bool {
    plan.hooks.before_entering || !plan.hooks.create_container.is_empty()
}

/// All mounts, those of the plan in its order.
struct Trees {
    root: OwnedFd,
    dev: Option<OwnedFd>,
    nodes: Option<OwnedFd>,
    init: Option<OwnedFd>,
    /// `None` for what is mounted already, and for `/dev`.
    mounts: Vec<Option<OwnedFd>>,
}

impl Trees {
    /// Puts what was `made` here and what was `given` in the order of [`tree::Trees`] together.
    fn sort(
        plan: &LaunchPlan,
        mut made: Vec<Option<OwnedFd>>,
        given: &mut VecDeque<OwnedFd>,
    ) -> Result<Self, Failure> {
        let wanted = Wanted::by(plan);
        let mut take =
            || given.pop_front().ok_or_else(|| Failure::other("a mount was not received"));
        let root = take()?;
        let dev = if wanted.dev { Some(take()?) } else { None };
        let nodes = if wanted.nodes { Some(take()?) } else { None };
        let init = if plan.init.is_some() { Some(take()?) } else { None };
        for (mount, slot) in plan.mounts.iter().zip(&mut made) {
            if matches!(mount.source, Source::Bind { .. } | Source::Foreign { .. }) {
                *slot = Some(take()?);
            }
        }
        Ok(Self { root, dev, nodes, init, mounts: made })
    }

    /// Attaches all, and what belongs into them.
    fn attach(&self, plan: &LaunchPlan) -> Result<(), Failure> {
        for (mount, slot) in plan.mounts.iter().zip(&self.mounts) {
            if let Source::Mounted { options } = &mount.source {
                inside::remount(&self.root, mount, options)?;
                continue;
            }
            let tree = slot.as_ref().or(self.dev.as_ref());
            let tree = tree.ok_or_else(|| Failure::other("there is no /dev to mount"))?;
            inside::attach(&self.root, mount, tree)?;
            finish(mount, tree)?;
        }
        if let (Some(init), Some(dev)) = (&self.init, &self.dev) {
            over(dev, INIT, init)?;
        }
        for (path, target) in &plan.links {
            inside::link(&self.root, path, target)?;
        }
        let Some(nodes) = &self.nodes else { return Ok(()) };
        for (at, device) in plan.devices.iter().enumerate() {
            if tree::is_in_dev(&device.path, self.dev.is_some()) {
                continue;
            }
            let node = copy_of(nodes, &tree::hidden_name(at))?;
            inside::show_node(&self.root, &device.path, &node)?;
        }
        Ok(())
    }

    /// The null device that hides files.
    fn null(&self) -> Result<OwnedFd, Failure> {
        match (&self.dev, &self.nodes) {
            (Some(dev), _) => inside::null_of(&self.root, (dev, "null")),
            (None, Some(nodes)) => inside::null_of(&self.root, (nodes, tree::HIDDEN_NULL)),
            (None, None) => Err(Failure::other("mask paths: there is no null device")),
        }
    }
}

/// What is done to a mount once it is in its place.
fn finish(mount: &Mount, tree: &OwnedFd) -> Result<(), Failure> {
    let doing = || format!("set mount attributes of {}", mount.target);
    match &mount.source {
        Source::CgroupV1 { hierarchies, links } => {
            inside::fill_cgroups(tree, hierarchies, links, mount.attributes.set)
        }
        // Filled before it became read-only.
        Source::New { .. } if mount.copy_up => root::change(tree, mount).doing(doing()),
        Source::New { .. } if !mount.propagation.is_empty() => {
            root::propagate(tree, &mount.propagation).doing(doing())
        }
        Source::New { .. }
        | Source::Devices { .. }
        | Source::Bind { .. }
        | Source::Foreign { .. }
        | Source::Mounted { .. } => Ok(()),
    }
}

/// A detached copy of the entry `name` of the mount `tree`.
fn copy_of(tree: &OwnedFd, name: &str) -> Result<OwnedFd, Failure> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let node = openat(tree, name, flags, Mode::empty()).doing("open a device node")?;
    inside::copy(&node, Depth::One).doing("show a device node")
}

/// What the process makes itself; `None` for what the launcher sends.
fn make(mount: &Mount, label: Option<&(String, String)>) -> Result<Option<OwnedFd>, Failure> {
    let attributes = mount.attributes.set | mount.recursive.set;
    match &mount.source {
        Source::New { filesystem, options } => {
            // Writable until it is filled.
            let late = if mount.copy_up { attribute::READ_ONLY } else { 0 };
            // The kernel's own know their labels themselves.
            let label =
                label.filter(|_| matches!(filesystem.as_str(), "tmpfs" | "mqueue" | "devpts"));
            let options: Vec<_> = options.iter().chain(label).cloned().collect();
            inside::instance(filesystem, &options, attributes & !late).map(Some)
        }
        Source::CgroupV1 { .. } => {
            // Writable until its directories are made.
            let options = [("mode".to_owned(), "755".to_owned())];
            inside::instance("tmpfs", &options, attributes & !attribute::READ_ONLY).map(Some)
        }
        Source::Bind { .. }
        | Source::Foreign { .. }
        | Source::Devices { .. }
        | Source::Mounted { .. } => Ok(None),
    }
}

/// Settings, protected and hidden paths: in this order, for each later one would prevent the earlier.
fn harden(plan: &LaunchPlan, trees: &Trees, host: Option<&HostProc>) -> Result<(), Failure> {
    for (name, value) in &plan.sysctls {
        let host = host.ok_or_else(|| Failure::other("set sysctls: /proc was not opened"))?;
        inside::sysctl(host, name, value)?;
    }
    for path in &plan.read_only {
        inside::protect(&trees.root, path)?;
    }
    if !plan.masked.is_empty() {
        let null = trees.null()?;
        for path in &plan.masked {
            inside::mask(&trees.root, path, &null)?;
        }
    }
    let devices = |mount: &&Mount| matches!(mount.source, Source::Devices { .. });
    if let (Some(dev), Some(mount)) = (&trees.dev, plan.mounts.iter().find(devices)) {
        let read_only = (mount.attributes.set | mount.recursive.set) & attribute::READ_ONLY;
        if read_only != 0 {
            mounts::set_attributes(dev.as_fd(), Depth::One, read_only, 0)
                .doing("make /dev read-only")?;
        }
    }
    Ok(())
}

/// The root's own last settings, after which nothing can be made in it. A shared root could not have
/// been entered.
fn seal(plan: &LaunchPlan, root: &OwnedFd) -> Result<(), Failure> {
    if !plan.root.propagation.is_empty() {
        root::propagate(root, &plan.root.propagation).doing("set the propagation of the root")?;
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

/// What the launcher sends before the process is on its own.
struct Received {
    mounts: VecDeque<OwnedFd>,
    kept: Vec<OwnedFd>,
    gate: Option<OwnedFd>,
    asked: Asked,
}

/// Collects everything until the word about the streams comes.
fn receive(channel: &Channel) -> Result<Received, Failure> {
    let (mut mounts, mut kept, mut gate) = (VecDeque::new(), Vec::new(), None);
    loop {
        let (message, mut descriptors) = channel.hear()?;
        let asked = match message.as_slice() {
            [word] if *word == ToChild::Mounts as u8 => {
                mounts.extend(descriptors);
                continue;
            }
            [word] if *word == ToChild::Keep as u8 => {
                kept.extend(descriptors);
                continue;
            }
            [word] if *word == ToChild::Gate as u8 => {
                gate = descriptors.pop();
                continue;
            }
            [word] if *word == ToChild::Streams as u8 => Asked::Streams(descriptors),
            &[word, r0, r1, c0, c1] if word == ToChild::Terminal as u8 => {
                let rows = u16::from_le_bytes([r0, r1]);
                let columns = u16::from_le_bytes([c0, c1]);
                Asked::Terminal(WindowSize { rows, columns })
            }
            _ => return Err(Failure::other("the launcher says something unexpected")),
        };
        return Ok(Received { mounts, kept, gate, asked });
    }
}

impl Asked {
    /// Makes the terminal, on the guest's own devpts, and shows it as `/dev/console`.
    fn open(self, plan: &LaunchPlan, trees: &Trees) -> Result<Opened, Failure> {
        let size = match self {
            Self::Streams(streams) => return Ok(Opened::Streams(streams)),
            Self::Terminal(size) => size,
        };
        let is_devpts = |mount: &Mount| matches!(&mount.source, Source::New { filesystem, .. } if filesystem == "devpts");
        let at = plan.mounts.iter().position(is_devpts);
        let devpts = at.and_then(|at| trees.mounts[at].as_ref());
        let devpts = devpts.ok_or_else(|| Failure::other("make a terminal: there is no devpts"))?;
        let terminal = terminal::open(devpts.as_fd(), size)?;
        let called = if stands(Defence::Console) { None } else { find(&trees.root, "/dev/pts/0")? };
        let shown = called.as_ref().unwrap_or(&terminal.process);
        let console = inside::copy(shown, Depth::One).doing("show /dev/console")?;
        match &trees.dev {
            Some(dev) => over(dev, CONSOLE, &console)?,
            None => inside::show_console(&trees.root, &console)?,
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
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let place = openat(dev, name, flags, Mode::empty()).doing(format!("open /dev/{name}"))?;
    inside::put(tree, &place).doing(format!("mount at /dev/{name}"))
}
