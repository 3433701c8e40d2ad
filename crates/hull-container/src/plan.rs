//! What a launch consists of, fully resolved: data that a dumb loop applies.
//!
//! Plans are made by [`launch`] and [`exec`] in the daemon (feature `plan`), travel as postcard to
//! the shim, and are applied there by [`crate::launch`] and [`crate::exec`]. They are as general as
//! the OCI runtime specification, so that a `config.json` can become one too.

#[cfg(feature = "plan")]
mod capabilities;
#[cfg(feature = "plan")]
mod cgroups;
#[cfg(feature = "plan")]
mod compose;
#[cfg(feature = "plan")]
mod device_program;
#[cfg(feature = "plan")]
mod mounts;

#[cfg(feature = "plan")]
pub use cgroups::limits;
#[cfg(feature = "plan")]
pub use compose::{ExecContext, LaunchContext, Partners, PlanError, cgroup_path, exec, launch};

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::cgroup::Cgroup;

/// Everything needed to start a guest's first process.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct LaunchPlan {
    /// Names the guest in messages and its session keyring.
    pub id: String,
    /// What it has for itself.
    pub namespaces: Namespaces,
    /// Where it is accounted and limited.
    pub cgroup: Cgroup,
    /// What `/` is.
    pub root: Root,
    /// What is mounted below, in order.
    pub mounts: Vec<Mount>,
    /// Device nodes for [`Source::Devices`].
    pub devices: Vec<Device>,
    /// Paths hidden, if they exist: directories become empty, files read as `/dev/null`.
    pub masked: Vec<String>,
    /// Paths that cannot be written, if they exist.
    pub read_only: Vec<String>,
    /// Files below `/proc/sys` by dotted name, and their values.
    pub sysctls: Vec<(String, String)>,
    /// For the new UTS namespace.
    pub hostname: Option<String>,
    /// NIS domain, likewise.
    pub domainname: Option<String>,
    /// Set for the first process and inherited; `None` leaves the shim's.
    pub oom_score_adj: Option<i16>,
    /// A static init program of the host to be process 1, which starts `process` as its child.
    pub init: Option<PathBuf>,
    /// What runs.
    pub process: Process,
}

/// A process added to a running guest.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct ExecPlan {
    /// The guest's id.
    pub id: String,
    /// The guest's cgroup, which the process joins.
    pub cgroup: Cgroup,
    /// Which of the first process's namespaces to join; those shared with the host are not listed.
    pub namespaces: Namespaces,
    /// Set for the process; `None` leaves the shim's.
    pub oom_score_adj: Option<i16>,
    /// What runs.
    pub process: Process,
}

/// Where each namespace comes from. The mount namespace is always new.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Namespaces {
    /// Users and capabilities.
    pub user: User,
    /// Processes.
    pub pid: Namespace,
    /// System V IPC, POSIX message queues.
    pub ipc: Namespace,
    /// Host name.
    pub uts: Namespace,
    /// Network.
    pub net: Namespace,
    /// View of the cgroup tree.
    pub cgroup: Namespace,
}

/// Where one namespace comes from.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub enum Namespace {
    /// The shim's, which is the host's.
    Host,
    /// Made for the guest.
    #[default]
    New,
    /// This file of `/proc/PID/ns`, or a bind mount of one.
    Join(PathBuf),
}

/// Where the user namespace comes from.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum User {
    /// The host's: root inside is root outside.
    Host,
    /// Made for the guest, with these maps.
    New {
        /// Users.
        uids: Vec<IdMap>,
        /// Groups.
        gids: Vec<IdMap>,
    },
    /// Another guest's; the maps are the ones it has.
    Join {
        /// Its file in `/proc/PID/ns`.
        path: PathBuf,
        /// The host's id of its root user.
        root_uid: u32,
        /// The host's id of its root group.
        root_gid: u32,
    },
}

/// Consecutive ids inside and outside.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct IdMap {
    /// First id inside.
    pub inside: u32,
    /// First id on the host.
    pub outside: u32,
    /// How many.
    pub count: u32,
}

impl User {
    /// The host's user and group id of root inside.
    pub fn root(&self) -> (u32, u32) {
        let outside = |maps: &[IdMap]| {
            maps.iter().find(|map| map.inside == 0 && map.count > 0).map_or(0, |map| map.outside)
        };
        match self {
            Self::Host => (0, 0),
            Self::New { uids, gids } => (outside(uids), outside(gids)),
            Self::Join { root_uid, root_gid, .. } => (*root_uid, *root_gid),
        }
    }
}

/// The guest's root file system.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Root {
    /// Where it comes from.
    pub files: Rootfs,
    /// Whether it can be written (mounts below it are their own matter).
    pub read_only: bool,
}

/// Where a root file system comes from. All paths are the host's.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub enum Rootfs {
    /// Layers on top of each other.
    Overlay {
        /// Read-only layers, the uppermost first; at least one.
        lowers: Vec<PathBuf>,
        /// What the guest writes.
        upper: PathBuf,
        /// Overlayfs's own scratch directory, beside `upper` in the same directory.
        work: PathBuf,
    },
    /// A directory as it is.
    Path(PathBuf),
}

/// One mount below the root.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Mount {
    /// Absolute path inside; made if missing.
    pub target: String,
    /// What appears there.
    pub source: Source,
    /// [`hull_sys::mount::attribute`] bits.
    pub attributes: u64,
    /// Whether later mounts appear on the other side.
    pub propagation: Propagation,
}

/// What a mount shows.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Source {
    /// A file or directory of the host.
    Bind {
        /// Its path there.
        path: PathBuf,
        /// With what is mounted below it; `attributes` then apply to all of it.
        recursive: bool,
    },
    /// A new instance of a file system, made inside the guest's namespaces.
    New {
        /// Its type (`proc`, `tmpfs`, …).
        filesystem: String,
        /// Its options; an empty value is a flag.
        options: Vec<(String, String)>,
    },
    /// A small tmpfs with [`LaunchPlan::devices`] and Docker's symbolic links.
    Devices,
    /// A tmpfs with one directory for each cgroup v1 hierarchy.
    CgroupV1 {
        /// Directory name and mount options (`memory`, or `none` and `name=systemd`).
        hierarchies: Vec<(String, Vec<(String, String)>)>,
        /// Symbolic links (`cpu` to `cpu,cpuacct`).
        links: Vec<(String, String)>,
    },
}

/// Mount propagation, as in `mount_namespaces(7)`.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub enum Propagation {
    /// Neither way.
    #[default]
    Private,
    /// From the host to the guest.
    Slave,
    /// Both ways.
    Shared,
}

/// A node in the guest's `/dev`.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Device {
    /// Absolute path inside.
    pub path: String,
    /// Block, not character.
    pub block: bool,
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// Permission bits.
    pub mode: u32,
    /// Owner inside.
    pub uid: u32,
    /// Group inside.
    pub gid: u32,
}

/// A program and everything about it that exec keeps or takes.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Process {
    /// The words; the first is looked up in `PATH` inside unless it has a slash.
    pub args: Vec<String>,
    /// The exact environment, `KEY=VALUE`; only `HOME` is added when missing.
    pub env: Vec<String>,
    /// Where it starts, absolute.
    pub cwd: String,
    /// Make `cwd` if it is missing, owned by root, as Docker does for the first process.
    pub make_cwd: bool,
    /// `user`, `uid`, `user:group` or `uid:gid`, looked up inside; empty is root.
    pub user: String,
    /// Further groups, by name or number.
    pub groups: Vec<String>,
    /// What it may do, by capability number.
    pub capabilities: Capabilities,
    /// It cannot gain privileges by executing.
    pub no_new_privileges: bool,
    /// The system call filter; empty for none.
    pub seccomp: Seccomp,
    /// Limits of `setrlimit(2)`.
    pub rlimits: Vec<Rlimit>,
    /// File creation mask.
    pub umask: u32,
    /// Whether it gets a terminal.
    pub terminal: bool,
}

/// The five sets of `capabilities(7)`, as bits by number.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Capabilities {
    /// Never more than these, whatever is executed.
    pub bounding: u64,
    /// In force.
    pub effective: u64,
    /// Can be put in force.
    pub permitted: u64,
    /// Kept through exec where the file agrees.
    pub inheritable: u64,
    /// Kept through exec.
    pub ambient: u64,
}

/// A compiled system call filter.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Seccomp {
    /// Classic BPF: operation, jumps and operand of each instruction; empty for no filter.
    pub program: Vec<(u16, u8, u8, u32)>,
    /// `SECCOMP_FILTER_FLAG_*`.
    pub flags: u32,
}

/// One limit of `setrlimit(2)`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Rlimit {
    /// The kernel's number of the resource.
    pub resource: u8,
    /// `None` for no limit.
    pub soft: Option<u64>,
    /// `None` for no limit.
    pub hard: Option<u64>,
}
