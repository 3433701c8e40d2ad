//! `process`: a program and everything about it.

use serde::Deserialize;

/// What runs.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Process {
    pub(crate) terminal: bool,
    pub(crate) console_size: Option<ConsoleSize>,
    pub(crate) user: User,
    pub(crate) args: Option<Vec<String>>,
    pub(crate) env: Option<Vec<String>>,
    pub(crate) cwd: String,
    pub(crate) capabilities: Option<Capabilities>,
    pub(crate) rlimits: Option<Vec<Rlimit>>,
    pub(crate) no_new_privileges: bool,
    pub(crate) apparmor_profile: Option<String>,
    pub(crate) oom_score_adj: Option<i16>,
    pub(crate) scheduler: Option<Scheduler>,
    pub(crate) selinux_label: Option<String>,
    pub(crate) io_priority: Option<IoPriority>,
    #[serde(rename = "execCPUAffinity")]
    pub(crate) exec_cpu_affinity: Option<CpuAffinity>,
}

/// In characters.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct ConsoleSize {
    pub(crate) height: u16,
    pub(crate) width: u16,
}

/// By numbers: names inside mean nothing to a runtime.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct User {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) umask: Option<u32>,
    pub(crate) additional_gids: Option<Vec<u32>>,
}

/// Five sets of names.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Capabilities {
    pub(crate) bounding: Option<Vec<String>>,
    pub(crate) effective: Option<Vec<String>>,
    pub(crate) inheritable: Option<Vec<String>>,
    pub(crate) permitted: Option<Vec<String>>,
    pub(crate) ambient: Option<Vec<String>>,
}

/// One limit of `setrlimit(2)`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Rlimit {
    pub(crate) r#type: String,
    pub(crate) soft: u64,
    pub(crate) hard: u64,
}

/// `sched_setattr(2)`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Scheduler {
    pub(crate) policy: String,
    #[serde(default)]
    pub(crate) nice: Option<i32>,
    #[serde(default)]
    pub(crate) priority: Option<i32>,
    #[serde(default)]
    pub(crate) flags: Option<Vec<String>>,
    #[serde(default)]
    pub(crate) runtime: Option<u64>,
    #[serde(default)]
    pub(crate) deadline: Option<u64>,
    #[serde(default)]
    pub(crate) period: Option<u64>,
}

/// `ioprio_set(2)`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct IoPriority {
    pub(crate) class: String,
    #[serde(default)]
    pub(crate) priority: i32,
}

/// Lists of processors, as in `0-3,5`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct CpuAffinity {
    pub(crate) initial: Option<String>,
    pub(crate) r#final: Option<String>,
}
