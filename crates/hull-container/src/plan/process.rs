//! A program and everything about it that exec keeps or takes.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A program and everything about it that exec keeps or takes.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Process {
    /// The words; the first is looked up in `PATH` inside unless it has a slash.
    pub args: Vec<String>,
    /// The exact environment, `KEY=VALUE`; only `HOME` is added when missing.
    pub env: Vec<String>,
    /// Where it starts, absolute.
    pub cwd: String,
    /// Make `cwd` if it is missing, owned by root, as Docker does for the first process.
    pub make_cwd: bool,
    /// Who it is.
    pub identity: Identity,
    /// What it may do, by capability number.
    pub capabilities: Capabilities,
    /// It cannot gain privileges by executing.
    pub no_new_privileges: bool,
    /// The system call filter; empty for none.
    pub seccomp: Seccomp,
    /// The label of a Linux security module it executes with.
    pub label: Option<Label>,
    /// Limits of `setrlimit(2)`.
    pub rlimits: Vec<Rlimit>,
    /// File creation mask.
    pub umask: u32,
    /// Whether it gets a terminal.
    pub terminal: bool,
    /// `personality(2)`.
    pub personality: Option<u32>,
    /// `sched_setattr(2)`.
    pub scheduler: Option<Scheduler>,
    /// `ioprio_set(2)`.
    pub io_priority: Option<IoPriority>,
    /// On which processors it runs.
    pub affinity: Affinity,
    /// `set_mempolicy(2)`.
    pub memory_policy: Option<MemoryPolicy>,
    /// How many descriptors of the caller's it has beside its streams, from 3 on.
    pub preserved: u32,
    /// Whether it stays in the launcher's session keyring instead of getting one of the guest's.
    pub keeps_keyring: bool,
    /// Whether it may live on when the process that started it is gone; else it is killed.
    pub outlives_launcher: bool,
}

/// Who a process is.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Identity {
    /// As the guest's own `/etc/passwd` and `/etc/group` say.
    Named {
        /// `user`, `uid`, `user:group` or `uid:gid`; empty is root.
        user: String,
        /// Further groups, by name or number.
        groups: Vec<String>,
    },
    /// These numbers, inside, and no others.
    Numbers {
        /// User.
        uid: u32,
        /// Group.
        gid: u32,
        /// Further groups.
        groups: Vec<u32>,
    },
}

impl Default for Identity {
    fn default() -> Self {
        Self::Named { user: String::new(), groups: Vec::new() }
    }
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
    /// `SECCOMP_FILTER_FLAG_*`, without `NEW_LISTENER`.
    pub flags: u32,
    /// Who decides about calls with `SCMP_ACT_NOTIFY`.
    pub listener: Option<Listener>,
}

/// The agent that decides about system calls.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Listener {
    /// Its socket on the host, which gets the notification descriptor and the state of the process.
    pub path: PathBuf,
    /// Opaque words for it.
    pub metadata: String,
}

/// The label of a Linux security module.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Label {
    /// A profile's name.
    AppArmor(String),
    /// A context.
    SeLinux(String),
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

/// `struct sched_attr` of `sched_setattr(2)`.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Scheduler {
    /// `SCHED_*`.
    pub policy: u32,
    /// `SCHED_FLAG_*`.
    pub flags: u64,
    /// For `SCHED_OTHER` and `SCHED_BATCH`.
    pub nice: i32,
    /// For `SCHED_FIFO` and `SCHED_RR`.
    pub priority: u32,
    /// For `SCHED_DEADLINE`, nanoseconds.
    pub runtime: u64,
    /// For `SCHED_DEADLINE`, nanoseconds.
    pub deadline: u64,
    /// For `SCHED_DEADLINE`, nanoseconds.
    pub period: u64,
}

/// A priority for disks, `ioprio_set(2)`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct IoPriority {
    /// 1 real time, 2 best effort, 3 idle.
    pub class: u8,
    /// 0, the highest, to 7.
    pub priority: u8,
}

/// Processors by number; an empty list changes nothing.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Affinity {
    /// Until it has entered its cgroup.
    pub initial: Vec<u32>,
    /// From then on.
    pub last: Vec<u32>,
}

/// Which nodes memory comes from, `set_mempolicy(2)`.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct MemoryPolicy {
    /// `MPOL_*`, with `MPOL_F_*`.
    pub mode: u32,
    /// Nodes by number.
    pub nodes: Vec<u32>,
}
