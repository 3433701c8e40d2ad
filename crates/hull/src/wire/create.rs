//! The body of `POST /containers/create`, field for field what the docker CLI 28 sends.
//!
//! Empty values are sent, not left out: servers tell `null` from `[]` and 0 from absent in places.

use std::collections::BTreeMap;

use serde::Serialize;

use super::network::NetworkingConfig;

/// A JSON object without members: Docker writes sets as maps to it.
#[derive(Debug, Default, Clone, Copy, Serialize)]
pub(crate) struct Empty {}

/// A map with sorted keys, so the same flags always give the same bytes.
pub(crate) type Map = BTreeMap<String, String>;

/// A set as Docker writes it.
pub(crate) type Set = BTreeMap<String, Empty>;

/// Everything one container is created from.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct CreateRequest {
    pub(crate) hostname: String,
    pub(crate) domainname: String,
    pub(crate) user: String,
    pub(crate) attach_stdin: bool,
    pub(crate) attach_stdout: bool,
    pub(crate) attach_stderr: bool,
    #[serde(skip_serializing_if = "Set::is_empty")]
    pub(crate) exposed_ports: Set,
    pub(crate) tty: bool,
    pub(crate) open_stdin: bool,
    pub(crate) stdin_once: bool,
    pub(crate) env: Option<Vec<String>>,
    pub(crate) cmd: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) healthcheck: Option<Healthcheck>,
    pub(crate) image: String,
    pub(crate) volumes: Set,
    pub(crate) working_dir: String,
    pub(crate) entrypoint: Option<Vec<String>>,
    pub(crate) on_build: Option<Vec<String>>,
    pub(crate) labels: Map,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) stop_signal: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stop_timeout: Option<i64>,
    pub(crate) host_config: HostConfig,
    pub(crate) networking_config: NetworkingConfig,
}

/// The part of a container that concerns this host.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct HostConfig {
    pub(crate) binds: Option<Vec<String>>,
    #[serde(rename = "ContainerIDFile")]
    pub(crate) container_id_file: String,
    pub(crate) log_config: LogConfig,
    pub(crate) network_mode: String,
    pub(crate) port_bindings: BTreeMap<String, Vec<PortBinding>>,
    pub(crate) restart_policy: RestartPolicy,
    pub(crate) auto_remove: bool,
    pub(crate) volume_driver: String,
    pub(crate) volumes_from: Option<Vec<String>>,
    pub(crate) console_size: [u16; 2],
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub(crate) annotations: Map,
    pub(crate) cap_add: Option<Vec<String>>,
    pub(crate) cap_drop: Option<Vec<String>>,
    pub(crate) cgroupns_mode: String,
    pub(crate) dns: Vec<String>,
    pub(crate) dns_options: Vec<String>,
    pub(crate) dns_search: Vec<String>,
    pub(crate) extra_hosts: Option<Vec<String>>,
    pub(crate) group_add: Option<Vec<String>>,
    pub(crate) ipc_mode: String,
    pub(crate) cgroup: String,
    pub(crate) links: Option<Vec<String>>,
    pub(crate) oom_score_adj: i64,
    pub(crate) pid_mode: String,
    pub(crate) privileged: bool,
    pub(crate) publish_all_ports: bool,
    pub(crate) readonly_rootfs: bool,
    pub(crate) security_opt: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub(crate) storage_opt: Map,
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub(crate) tmpfs: Map,
    #[serde(rename = "UTSMode")]
    pub(crate) uts_mode: String,
    pub(crate) userns_mode: String,
    pub(crate) shm_size: i64,
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub(crate) sysctls: Map,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) runtime: String,
    pub(crate) isolation: String,
    #[serde(flatten)]
    pub(crate) resources: Resources,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) mounts: Vec<Mount>,
    pub(crate) masked_paths: Option<Vec<String>>,
    pub(crate) readonly_paths: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) init: Option<bool>,
}

/// Limits and devices.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Resources {
    pub(crate) cpu_shares: i64,
    pub(crate) memory: i64,
    pub(crate) nano_cpus: i64,
    pub(crate) cgroup_parent: String,
    pub(crate) blkio_weight: u16,
    pub(crate) blkio_weight_device: Vec<WeightDevice>,
    pub(crate) blkio_device_read_bps: Vec<ThrottleDevice>,
    pub(crate) blkio_device_write_bps: Vec<ThrottleDevice>,
    #[serde(rename = "BlkioDeviceReadIOps")]
    pub(crate) blkio_device_read_iops: Vec<ThrottleDevice>,
    #[serde(rename = "BlkioDeviceWriteIOps")]
    pub(crate) blkio_device_write_iops: Vec<ThrottleDevice>,
    pub(crate) cpu_period: i64,
    pub(crate) cpu_quota: i64,
    pub(crate) cpu_realtime_period: i64,
    pub(crate) cpu_realtime_runtime: i64,
    pub(crate) cpuset_cpus: String,
    pub(crate) cpuset_mems: String,
    pub(crate) devices: Vec<Device>,
    pub(crate) device_cgroup_rules: Option<Vec<String>>,
    pub(crate) device_requests: Option<Vec<DeviceRequest>>,
    pub(crate) memory_reservation: i64,
    pub(crate) memory_swap: i64,
    pub(crate) memory_swappiness: i64,
    pub(crate) oom_kill_disable: bool,
    pub(crate) pids_limit: i64,
    pub(crate) ulimits: Vec<Ulimit>,
    pub(crate) cpu_count: i64,
    pub(crate) cpu_percent: i64,
    #[serde(rename = "IOMaximumIOps")]
    pub(crate) io_maximum_iops: u64,
    #[serde(rename = "IOMaximumBandwidth")]
    pub(crate) io_maximum_bandwidth: u64,
}

/// `--log-driver` and `--log-opt`.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct LogConfig {
    pub(crate) r#type: String,
    pub(crate) config: Map,
}

/// Where one port of a container is reachable on the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct PortBinding {
    pub(crate) host_ip: String,
    pub(crate) host_port: String,
}

/// `--restart`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct RestartPolicy {
    pub(crate) name: String,
    pub(crate) maximum_retry_count: i64,
}

/// The `--health-*` flags; times in nanoseconds.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Healthcheck {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) test: Vec<String>,
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) interval: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) timeout: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) start_period: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) start_interval: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) retries: i64,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde's skip_serializing_if passes a reference"
)]
fn is_zero(value: &i64) -> bool {
    *value == 0
}

/// `--blkio-weight-device`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct WeightDevice {
    pub(crate) path: String,
    pub(crate) weight: u16,
}

/// `--device-{read,write}-{bps,iops}`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ThrottleDevice {
    pub(crate) path: String,
    pub(crate) rate: u64,
}

/// `--device`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Device {
    pub(crate) path_on_host: String,
    pub(crate) path_in_container: String,
    pub(crate) cgroup_permissions: String,
}

/// `--gpus`, or a CDI name given to `--device`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct DeviceRequest {
    #[serde(rename = "Driver")]
    pub(crate) driver: String,
    #[serde(rename = "Count")]
    pub(crate) count: i64,
    #[serde(rename = "DeviceIDs")]
    pub(crate) device_ids: Option<Vec<String>>,
    #[serde(rename = "Capabilities")]
    pub(crate) capabilities: Option<Vec<Vec<String>>>,
    #[serde(rename = "Options")]
    pub(crate) options: Option<Map>,
}

/// `--ulimit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Ulimit {
    pub(crate) name: String,
    pub(crate) hard: i64,
    pub(crate) soft: i64,
}

/// `--mount`.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Mount {
    pub(crate) r#type: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) source: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) target: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) read_only: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) consistency: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bind_options: Option<BindOptions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) volume_options: Option<VolumeOptions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) image_options: Option<ImageOptions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tmpfs_options: Option<TmpfsOptions>,
}

/// The `bind-*` keys of `--mount`.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct BindOptions {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) propagation: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) non_recursive: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) create_mountpoint: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) read_only_non_recursive: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) read_only_force_recursive: bool,
}

/// The `volume-*` keys of `--mount`.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct VolumeOptions {
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) no_copy: bool,
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub(crate) labels: Map,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) subpath: String,
    pub(crate) driver_config: DriverConfig,
}

/// The driver of a volume made on the way.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DriverConfig {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) name: String,
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub(crate) options: Map,
}

/// The `image-*` keys of `--mount`.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ImageOptions {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) subpath: String,
}

/// The `tmpfs-*` keys of `--mount`.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct TmpfsOptions {
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) size_bytes: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mode: Option<u32>,
}
