//! What a guest may use of the machine, all resources together.

use serde::{Deserialize, Serialize};

use crate::cpu::Cpu;
use crate::memory::Memory;

/// All limits of one guest. The default limits nothing.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Limits {
    /// Memory and swap; `None` for no limit.
    pub memory: Option<Memory>,
    /// Processors.
    pub cpu: Cpu,
    /// Processes and threads together; `None` for no limit.
    pub pids: Option<Pids>,
    /// Whether the kernel may kill inside the guest when its memory is used up (cgroup v1 only).
    pub oom_kill_disabled: bool,
    /// `oom_score_adj` of the first process, -1,000 to 1,000.
    pub oom_score_adj: i16,
    /// Per-process limits, at most one for each resource.
    pub rlimits: Vec<Rlimit>,
}

/// How many processes and threads may exist at once. At least one.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Pids(std::num::NonZeroU64);

impl Pids {
    /// `None` for 0, which no guest could start with.
    pub fn new(pids: u64) -> Option<Self> {
        std::num::NonZeroU64::new(pids).map(Self)
    }

    /// The plain number.
    pub fn get(self) -> u64 {
        self.0.get()
    }
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
