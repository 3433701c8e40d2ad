//! What the launcher mounts for the guest, detached, in the order in which the guest takes it.

use std::fs::File;
use std::os::fd::OwnedFd;

use rustix::process::Pid;

use super::owners::Mapper;
use super::{Maps, devices, root};
use crate::failure::{Doing, Failure};
use crate::plan::{LaunchPlan, NodeKind, Source, User};

/// The mounts, as far as they are made.
#[derive(Debug)]
pub(super) struct Trees<'a> {
    /// First the root; then, where [`Wanted`] says so, `/dev`, the hidden nodes and the init program;
    /// then the bind mounts.
    pub(super) mounts: Vec<OwnedFd>,
    /// What is not quite as was wished.
    pub(super) warnings: Vec<String>,
    plan: &'a LaunchPlan,
    maps: &'a Maps,
    mapper: Mapper,
}

/// Which mounts a plan needs beside those it lists.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Wanted {
    /// Our own `/dev`.
    pub(super) dev: bool,
    /// A place for nodes that are bind-mounted from there.
    pub(super) nodes: bool,
}

impl Wanted {
    /// What `plan` needs.
    pub(super) fn by(plan: &LaunchPlan) -> Self {
        let dev = plan.mounts.iter().any(|mount| matches!(mount.source, Source::Devices { .. }));
        let elsewhere = plan.devices.iter().any(|device| !is_in_dev(&device.path, dev));
        // What hides files must be the null device, and without our own /dev nothing else vouches
        // for it (CVE-2025-31133).
        Self { dev, nodes: elsewhere || !dev && !plan.masked.is_empty() }
    }
}

/// Whether a node belongs into our own `/dev`.
pub(super) fn is_in_dev(path: &str, dev: bool) -> bool {
    dev && path.starts_with("/dev/")
}

impl<'a> Trees<'a> {
    /// For the guest of `plan` whose first process is `pid`.
    pub(super) fn new(plan: &'a LaunchPlan, pid: Pid, maps: &'a Maps) -> Result<Self, Failure> {
        let user = match plan.namespaces.user {
            User::Host => None,
            User::New { .. } | User::Join(_) => {
                let path = format!("/proc/{}/ns/user", pid.as_raw_nonzero());
                Some(OwnedFd::from(File::open(&path).doing(format!("open {path}"))?))
            }
        };
        let (mounts, warnings, mapper) = (Vec::new(), Vec::new(), Mapper::new(user));
        Ok(Self { mounts, warnings, plan, maps, mapper })
    }

    /// Makes all of them.
    pub(super) fn build(&mut self) -> Result<(), Failure> {
        let Self { plan, maps, .. } = *self;
        let root = root::build(&plan.root, &mut self.mapper, maps, &mut self.warnings)?;
        self.mounts.push(root);
        let wanted = Wanted::by(plan);
        if wanted.dev {
            self.mounts.push(devices::build(plan, maps)?);
        }
        if wanted.nodes {
            self.mounts.push(devices::hidden(plan, maps, wanted.dev)?);
        }
        if let Some(init) = &plan.init {
            self.mounts.push(root::bind_init(init)?);
        }
        for mount in &plan.mounts {
            let (tree, name) = match &mount.source {
                Source::Bind { path, recursive } => {
                    (root::clone(path, *recursive)?, path.display().to_string())
                }
                Source::Foreign { namespace, path } => {
                    (root::foreign(namespace, path)?, format!("{path} of another container"))
                }
                Source::New { .. }
                | Source::Devices { .. }
                | Source::CgroupV1 { .. }
                | Source::Mounted { .. } => continue,
            };
            // Owners first: a mount that is shared or read-only can still be mapped, but the clone of a
            // host's mount must leave its peers before anything else is done to it.
            root::propagate(&tree, &mount.propagation)
                .doing(format!("set the propagation of {name}"))?;
            self.warnings.extend(self.mapper.map(&tree, &mount.owners, &name)?);
            root::change(&tree, mount).doing(format!("set mount attributes of {name}"))?;
            self.mounts.push(tree);
        }
        Ok(())
    }
}

/// The name of the node of the device at `position` among the hidden ones.
pub(super) fn hidden_name(position: usize) -> String {
    format!("{position}")
}

/// The name of the null device among the hidden nodes.
pub(super) const HIDDEN_NULL: &str = "null";

/// What a node is, for `mknod(2)`.
pub(super) fn file_type(kind: NodeKind) -> rustix::fs::FileType {
    use rustix::fs::FileType;
    match kind {
        NodeKind::Character => FileType::CharacterDevice,
        NodeKind::Block => FileType::BlockDevice,
        NodeKind::Fifo => FileType::Fifo,
    }
}
