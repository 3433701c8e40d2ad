//! `linux`: namespaces, devices, limits and what else only this kernel has.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// All of it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Linux {
    pub(crate) devices: Option<Vec<Device>>,
    pub(crate) net_devices: Option<BTreeMap<String, NetDevice>>,
    pub(crate) uid_mappings: Option<Vec<IdMapping>>,
    pub(crate) gid_mappings: Option<Vec<IdMapping>>,
    pub(crate) namespaces: Option<Vec<Namespace>>,
    pub(crate) resources: Option<super::Resources>,
    pub(crate) cgroups_path: Option<String>,
    pub(crate) rootfs_propagation: Option<String>,
    /// Read by the compiler of filters.
    pub(crate) seccomp: Option<Box<RawValue>>,
    pub(crate) sysctl: Option<BTreeMap<String, String>>,
    pub(crate) masked_paths: Option<Vec<String>>,
    pub(crate) readonly_paths: Option<Vec<String>>,
    pub(crate) mount_label: Option<String>,
    pub(crate) intel_rdt: Option<IntelRdt>,
    pub(crate) memory_policy: Option<MemoryPolicy>,
    pub(crate) personality: Option<Personality>,
    pub(crate) time_offsets: Option<BTreeMap<Clock, TimeOffset>>,
}

/// Consecutive ids inside and outside.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct IdMapping {
    #[serde(rename = "containerID")]
    pub(crate) container: u32,
    #[serde(rename = "hostID")]
    pub(crate) host: u32,
    pub(crate) size: u32,
}

/// A namespace, new or to be joined.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Namespace {
    pub(crate) r#type: NamespaceKind,
    pub(crate) path: Option<PathBuf>,
}

/// Kinds of namespaces.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum NamespaceKind {
    Mount,
    Pid,
    Network,
    Uts,
    Ipc,
    User,
    Cgroup,
    Time,
}

/// A device node.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Device {
    pub(crate) r#type: String,
    pub(crate) path: String,
    pub(crate) major: Option<i64>,
    pub(crate) minor: Option<i64>,
    pub(crate) file_mode: Option<u32>,
    pub(crate) uid: Option<u32>,
    pub(crate) gid: Option<u32>,
}

/// A network device of the host that moves inside.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct NetDevice {
    pub(crate) name: Option<String>,
}

/// Cache and memory bandwidth of Intel's processors.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct IntelRdt {
    #[serde(rename = "closID")]
    pub(crate) clos_id: Option<String>,
    pub(crate) schemata: Option<Vec<String>>,
    pub(crate) l3_cache_schema: Option<String>,
    pub(crate) mem_bw_schema: Option<String>,
    pub(crate) enable_monitoring: bool,
    /// Before 1.3 two switches stood for the one above.
    #[serde(rename = "enableCMT")]
    pub(crate) enable_cmt: bool,
    #[serde(rename = "enableMBM")]
    pub(crate) enable_mbm: bool,
}

/// `set_mempolicy(2)`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct MemoryPolicy {
    pub(crate) mode: String,
    #[serde(default)]
    pub(crate) nodes: Option<String>,
    #[serde(default)]
    pub(crate) flags: Option<Vec<String>>,
}

/// `personality(2)`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Personality {
    pub(crate) domain: String,
    #[serde(default)]
    pub(crate) flags: Option<Vec<String>>,
}

/// Clocks that a time namespace can shift.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Clock {
    Monotonic,
    Boottime,
}

/// By how much.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct TimeOffset {
    pub(crate) secs: i64,
    pub(crate) nanosecs: u32,
}
