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
mod device_rules;
#[cfg(feature = "plan")]
mod mounts;

#[cfg(feature = "plan")]
pub(crate) use cgroups::cpu_weight;
#[cfg(feature = "plan")]
pub use cgroups::{LimitError, cgroup, guest as limited, limits};
#[cfg(feature = "plan")]
pub use compose::{ExecContext, LaunchContext, Partners, PlanError, cgroup_path, exec, launch};
#[cfg(feature = "plan")]
pub use device_rules::all as device_rules;

mod files;
mod namespaces;
mod process;

pub use files::{
    Attributes, CgroupView, Device, Links, Mount, NodeKind, Owners, Propagation, Reach, Refusal,
    Root, Rootfs, Source,
};
pub use namespaces::{IdMap, Namespace, Namespaces, Offset, Time, User};
pub use process::{
    Affinity, Capabilities, Identity, IoPriority, Label, Listener, MemoryPolicy, Process, Rlimit,
    Scheduler, Seccomp,
};

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::cgroup::Cgroup;

/// Everything needed to start a guest's first process.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
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
    /// Device nodes. Those below `/dev` are in [`Source::Devices`] if the guest has that; all others
    /// are made elsewhere and bind-mounted, which works in every user namespace and on every root.
    pub devices: Vec<Device>,
    /// Symbolic links to make below the root where nothing is yet: path and target. [`Source::Devices`]
    /// has the usual ones of `/dev` without being told.
    pub links: Vec<(String, String)>,
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
    /// SELinux's label for the files of new file systems, OCI's `mountLabel`.
    pub mount_label: Option<String>,
    /// Share of caches and memory bandwidth.
    pub rdt: Option<Rdt>,
    /// Programs run on the way.
    pub hooks: Hooks,
    /// What hooks and the seccomp agent are told.
    pub state: State,
    /// A static init program of the host to be process 1, which starts `process` as its child.
    pub init: Option<PathBuf>,
    /// What runs.
    pub process: Process,
}

/// A process added to a running guest.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct ExecPlan {
    /// The guest's id.
    pub id: String,
    /// The guest's cgroup, which the process joins.
    pub cgroup: Cgroup,
    /// Which of the first process's namespaces to join: all but those that are the host's. The mount
    /// namespace is always joined.
    pub namespaces: Namespaces,
    /// Set for the process; `None` leaves the shim's.
    pub oom_score_adj: Option<i16>,
    /// What the seccomp agent is told.
    pub state: State,
    /// What runs.
    pub process: Process,
}

/// What a container's state document says beside its process, OCI's `state`.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct State {
    /// The specification's version that the bundle asks for.
    pub version: String,
    /// The bundle's directory.
    pub bundle: PathBuf,
    /// The configuration's annotations.
    pub annotations: Vec<(String, String)>,
}

/// Programs run inside while the guest is made. Those of the runtime's own namespace are run by the
/// caller ([`crate::hook::run`]): before mounting or, with [`Hooks::before_entering`], after.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Hooks {
    /// Whether the caller is to be asked between mounting and entering the root, where OCI's
    /// `prestart` and `createRuntime` belong.
    pub before_entering: bool,
    /// OCI's `createContainer`: in the guest's namespaces, everything mounted, the host's root still
    /// in sight.
    pub create_container: Vec<Hook>,
    /// OCI's `startContainer`: inside, when the guest is started, before its process.
    pub start_container: Vec<Hook>,
}

/// One program to run, with the container's state on its standard input.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Hook {
    /// The program, absolute.
    pub path: PathBuf,
    /// All its words, the program's name first; empty for just that.
    pub args: Vec<String>,
    /// Its exact environment, `KEY=VALUE`.
    pub env: Vec<String>,
    /// When it is killed and has failed.
    pub timeout: Option<Duration>,
}

/// Intel's Resource Director Technology, through `/sys/fs/resctrl`.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Rdt {
    /// Which class of service, a directory there; made if it is missing and `schemata` say what it is.
    pub class: String,
    /// Lines for its `schemata`.
    pub schemata: Vec<String>,
    /// Whether the guest gets a monitoring group of its own, called as the guest.
    pub monitoring: bool,
}
