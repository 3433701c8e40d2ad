//! `linux.resources`: limits, in OCI's words.

use std::collections::BTreeMap;

use serde::Deserialize;

/// All of it. What is absent is left alone.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Resources {
    pub(crate) devices: Option<Vec<DeviceRule>>,
    pub(crate) memory: Option<Memory>,
    pub(crate) cpu: Option<Cpu>,
    pub(crate) pids: Option<Pids>,
    #[serde(rename = "blockIO")]
    pub(crate) block_io: Option<BlockIo>,
    pub(crate) hugepage_limits: Option<Vec<HugePages>>,
    pub(crate) network: Option<Network>,
    pub(crate) rdma: Option<BTreeMap<String, Rdma>>,
    pub(crate) unified: Option<BTreeMap<String, String>>,
    /// What `runc update` takes beside the specification's.
    pub(crate) intel_rdt: Option<super::IntelRdt>,
}

/// Bytes; -1 is no limit, and swap counts memory too.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Memory {
    pub(crate) limit: Option<i64>,
    pub(crate) reservation: Option<i64>,
    pub(crate) swap: Option<i64>,
    pub(crate) kernel: Option<i64>,
    #[serde(rename = "kernelTCP")]
    pub(crate) kernel_tcp: Option<i64>,
    pub(crate) swappiness: Option<u64>,
    #[serde(rename = "disableOOMKiller")]
    pub(crate) disable_oom_killer: Option<bool>,
    pub(crate) use_hierarchy: Option<bool>,
    pub(crate) check_before_update: Option<bool>,
}

/// Times are microseconds.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Cpu {
    pub(crate) shares: Option<u64>,
    pub(crate) quota: Option<i64>,
    pub(crate) burst: Option<u64>,
    pub(crate) period: Option<u64>,
    pub(crate) realtime_runtime: Option<i64>,
    pub(crate) realtime_period: Option<u64>,
    pub(crate) cpus: Option<String>,
    pub(crate) mems: Option<String>,
    pub(crate) idle: Option<i64>,
}

/// -1 is no limit.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Pids {
    pub(crate) limit: Option<i64>,
}

/// Weights and ceilings of block devices.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct BlockIo {
    pub(crate) weight: Option<u16>,
    pub(crate) leaf_weight: Option<u16>,
    pub(crate) weight_device: Option<Vec<WeightDevice>>,
    pub(crate) throttle_read_bps_device: Option<Vec<ThrottleDevice>>,
    pub(crate) throttle_write_bps_device: Option<Vec<ThrottleDevice>>,
    #[serde(rename = "throttleReadIOPSDevice")]
    pub(crate) throttle_read_iops_device: Option<Vec<ThrottleDevice>>,
    #[serde(rename = "throttleWriteIOPSDevice")]
    pub(crate) throttle_write_iops_device: Option<Vec<ThrottleDevice>>,
}

/// One device's weights.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WeightDevice {
    pub(crate) major: u32,
    pub(crate) minor: u32,
    pub(crate) weight: Option<u16>,
    pub(crate) leaf_weight: Option<u16>,
}

/// One device's ceiling.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct ThrottleDevice {
    pub(crate) major: u32,
    pub(crate) minor: u32,
    pub(crate) rate: u64,
}

/// Bytes of pages of one size.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HugePages {
    pub(crate) page_size: String,
    pub(crate) limit: u64,
}

/// Marks on packets.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Network {
    #[serde(rename = "classID")]
    pub(crate) class_id: Option<u32>,
    pub(crate) priorities: Option<Vec<Priority>>,
}

/// One interface's.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Priority {
    pub(crate) name: String,
    pub(crate) priority: u32,
}

/// Resources of one RDMA device.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Rdma {
    pub(crate) hca_handles: Option<u32>,
    pub(crate) hca_objects: Option<u32>,
}

/// Who may use which device nodes.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct DeviceRule {
    pub(crate) allow: bool,
    pub(crate) r#type: Option<String>,
    pub(crate) major: Option<i64>,
    pub(crate) minor: Option<i64>,
    pub(crate) access: Option<String>,
}
