//! What a guest may use of the machine, all resources together.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::block::Block;
use crate::cpu::{Cpu, CpuSet};
use crate::memory::Memory;

/// All limits of one guest, as general as Docker's and the OCI's. The default limits nothing.
///
/// A field that is `None` (or empty) leaves the kernel's value alone; no limit that is wanted as such
/// is [`Max::Unlimited`]. The faces have checked what their users expect to be checked; what only the
/// kernel knows, it refuses when the limit is applied.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Limits {
    /// Memory and swap.
    pub memory: Memory,
    /// Processors.
    pub cpu: Cpu,
    /// Processes and threads together.
    pub pids: Option<Max>,
    /// Block devices.
    pub block: Block,
    /// Bytes of huge pages, by page size as the kernel's files name it (`2MB`, `1GB`).
    pub huge_pages: BTreeMap<String, Max>,
    /// RDMA resources, by device (`mlx5_1`).
    pub rdma: BTreeMap<String, Rdma>,
    /// Marks on packets (cgroup v1 only).
    pub marks: Marks,
    /// Files of cgroup v2 by name, and what to write; of several lines each is written alone.
    pub unified: BTreeMap<String, String>,
    /// `oom_score_adj` of the first process, -1,000 to 1,000.
    pub oom_score_adj: i16,
    /// Per-process limits, at most one for each resource.
    pub rlimits: Vec<Rlimit>,
}

/// The most there may be of something.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Max {
    /// This much.
    At(u64),
    /// As much as the host has.
    Unlimited,
}

impl Max {
    /// The number, if there is one.
    pub fn at(self) -> Option<u64> {
        match self {
            Self::At(number) => Some(number),
            Self::Unlimited => None,
        }
    }
}

/// What a guest may use of one RDMA device.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Rdma {
    /// Open handles.
    pub handles: Option<Max>,
    /// Objects behind them.
    pub objects: Option<Max>,
}

/// How packets of a guest are marked for the host's traffic control.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Marks {
    /// `net_cls.classid`.
    pub class: Option<u32>,
    /// `net_prio.ifpriomap`: priority by interface.
    pub priorities: BTreeMap<String, u32>,
}

/// Which limits this host can keep, so that a face knows what to warn of.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[expect(missing_docs, reason = "the names are those of the limits")]
pub struct Supported {
    pub memory: bool,
    pub swap: bool,
    pub reservation: bool,
    pub swappiness: bool,
    pub kernel_tcp: bool,
    pub oom_kill_disable: bool,
    pub pids: bool,
    pub cpu_shares: bool,
    pub cpu_quota: bool,
    pub cpu_realtime: bool,
    /// The processors there are; `None` without a controller for them.
    pub cpus: Option<CpuSet>,
    /// The memory nodes there are, likewise.
    pub mems: Option<CpuSet>,
    pub block_weight: bool,
    pub block_weight_device: bool,
    pub block_throttle: bool,
}

/// One limit of `setrlimit(2)`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Rlimit {
    /// What is limited.
    pub resource: Resource,
    /// What the process gets; `None` for no limit.
    pub soft: Option<u64>,
    /// What it may raise itself to; `None` for no limit.
    pub hard: Option<u64>,
}

/// The resources of `getrlimit(2)`, in the kernel's numbering.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[expect(missing_docs, reason = "getrlimit(2) documents each; the names are its names")]
#[repr(u8)]
pub enum Resource {
    Cpu = 0,
    Fsize = 1,
    Data = 2,
    Stack = 3,
    Core = 4,
    Rss = 5,
    Nproc = 6,
    Nofile = 7,
    Memlock = 8,
    As = 9,
    Locks = 10,
    Sigpending = 11,
    Msgqueue = 12,
    Nice = 13,
    Rtprio = 14,
    Rttime = 15,
}

impl Resource {
    const ALL: [(&str, Self); 16] = [
        ("cpu", Self::Cpu),
        ("fsize", Self::Fsize),
        ("data", Self::Data),
        ("stack", Self::Stack),
        ("core", Self::Core),
        ("rss", Self::Rss),
        ("nproc", Self::Nproc),
        ("nofile", Self::Nofile),
        ("memlock", Self::Memlock),
        ("as", Self::As),
        ("locks", Self::Locks),
        ("sigpending", Self::Sigpending),
        ("msgqueue", Self::Msgqueue),
        ("nice", Self::Nice),
        ("rtprio", Self::Rtprio),
        ("rttime", Self::Rttime),
    ];

    /// The resource called `name` (`nofile`, as `ulimit` and Docker write it).
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, resource)| *resource)
    }

    /// Its name in lower case.
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resource_names_and_numbers_agree() {
        for (name, resource) in Resource::ALL {
            assert_eq!(Resource::from_name(name), Some(resource));
            assert_eq!(resource.name(), name);
        }
        assert_eq!(Resource::from_name("NOFILE"), None);
    }
}
