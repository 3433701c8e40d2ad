//! `GET /info`.

use std::collections::BTreeMap;

use hull_model::time::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::json::object;
use crate::version::ApiVersion;

/// What the daemon knows of itself and its host.
#[derive(Clone, Debug)]
pub struct InfoView<'a> {
    /// Names this engine for good.
    pub id: &'a str,
    /// The host's name.
    pub host_name: &'a str,
    /// hull's version.
    pub version: &'a str,
    /// Containers by state.
    pub containers: Counts,
    /// How many images there are.
    pub images: usize,
    /// Names and values about the storage.
    pub storage: &'a [(String, String)],
    /// Where everything is kept.
    pub data_root: &'a str,
    /// What the host can limit.
    pub limits: HostLimits,
    /// `cgroupfs` or `systemd`.
    pub cgroup_driver: &'a str,
    /// `1` or `2`.
    pub cgroup_version: &'a str,
    /// The kernel's release.
    pub kernel: &'a str,
    /// What the host calls itself: `Debian GNU/Linux 12 (bookworm)`.
    pub system: &'a str,
    /// Its version: `12`.
    pub system_version: &'a str,
    /// The kernel's name of the processor: `x86_64`.
    pub machine: &'a str,
    /// Processors.
    pub cpus: u32,
    /// Bytes of memory.
    pub memory: u64,
    /// Of the daemon, `key=value`.
    pub labels: &'a [String],
    /// `name=seccomp,profile=builtin` and the like.
    pub security_options: &'a [String],
    /// What the user should know.
    pub warnings: &'a [String],
    /// Where output goes by default: `json-file`.
    pub log_driver: &'a str,
    /// The registries of which the daemon's configuration says something.
    pub registries: Registries<'a>,
    /// Where files of the Container Device Interface are.
    pub cdi_directories: &'a [String],
    /// The devices found there.
    pub cdi_devices: &'a [String],
    /// The daemon's own state.
    pub daemon: DaemonView,
    /// The time.
    pub now: Timestamp,
}

/// Containers by state.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(missing_docs, reason = "the names say it all")]
pub struct Counts {
    pub running: usize,
    pub paused: usize,
    pub stopped: usize,
}

/// What the host can limit, and what it does with packets.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(missing_docs, reason = "the names are Docker's")]
pub struct HostLimits {
    pub memory: bool,
    pub swap: bool,
    pub cpu_quota: bool,
    pub cpu_shares: bool,
    pub cpuset: bool,
    pub pids: bool,
    pub oom_kill_disable: bool,
    pub ipv4_forwarding: bool,
}

/// Registries and their settings.
#[derive(Clone, Copy, Debug, Default)]
pub struct Registries<'a> {
    /// Asked before Docker's own.
    pub mirrors: &'a [String],
    /// Registries without a checked certificate, by name.
    pub insecure: &'a [String],
    /// The same by network.
    pub insecure_networks: &'a [String],
}

/// The daemon's own state.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct DaemonView {
    /// Whether it logs more than usual.
    pub debug: bool,
    /// Open descriptors.
    pub descriptors: usize,
    /// Tasks.
    pub tasks: usize,
    /// Clients that watch events.
    pub watchers: usize,
}

/// The registry that images without one come from (moby `registry.IndexServer`).
const INDEX: &str = "https://index.docker.io/v1/";

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Index<'a> {
    name: &'a str,
    mirrors: &'a [String],
    secure: bool,
    official: bool,
}

/// The answer about `view` to a client of `version`.
pub fn write(view: &InfoView<'_>, version: ApiVersion) -> Map<String, Value> {
    let mut info = merged([counts(view), host(view), limits(&view.limits), runtime()]);
    info.extend(object(&json!({
        "RegistryConfig": registries(&view.registries, version),
        "Debug": view.daemon.debug,
        "NFd": view.daemon.descriptors,
        "NGoroutines": view.daemon.tasks,
        "NEventsListener": view.daemon.watchers,
        "SecurityOptions": view.security_options,
        "Warnings": view.warnings,
    })));
    info.extend(cdi(view, version));
    info.extend(legacy(version));
    info
}

fn counts(view: &InfoView<'_>) -> Value {
    let Counts { running, paused, stopped } = view.containers;
    json!({
        "ID": view.id,
        "Containers": running + paused + stopped,
        "ContainersRunning": running,
        "ContainersPaused": paused,
        "ContainersStopped": stopped,
        "Images": view.images,
        "Driver": "overlay2",
        "DriverStatus": view.storage,
        "DockerRootDir": view.data_root,
        "Plugins": {
            "Volume": ["local"],
            "Network": ["bridge", "host", "null"],
            "Authorization": null,
            "Log": ["json-file", "none"],
        },
    })
}

fn host(view: &InfoView<'_>) -> Value {
    json!({
        "SystemTime": view.now.to_string(),
        "LoggingDriver": view.log_driver,
        "CgroupDriver": view.cgroup_driver,
        "CgroupVersion": view.cgroup_version,
        "KernelVersion": view.kernel,
        "OperatingSystem": view.system,
        "OSVersion": view.system_version,
        "OSType": "linux",
        "Architecture": view.machine,
        "NCPU": view.cpus,
        "MemTotal": view.memory,
        "Name": view.host_name,
        "Labels": view.labels,
        "ExperimentalBuild": false,
        "ServerVersion": view.version,
        "HttpProxy": "",
        "HttpsProxy": "",
        "NoProxy": "",
        "GenericResources": null,
        "IndexServerAddress": INDEX,
    })
}

fn limits(limits: &HostLimits) -> Value {
    json!({
        "MemoryLimit": limits.memory,
        "SwapLimit": limits.swap,
        "CpuCfsPeriod": limits.cpu_quota,
        "CpuCfsQuota": limits.cpu_quota,
        "CPUShares": limits.cpu_shares,
        "CPUSet": limits.cpuset,
        "PidsLimit": limits.pids,
        "OomKillDisable": limits.oom_kill_disable,
        "IPv4Forwarding": limits.ipv4_forwarding,
    })
}

/// hull is its own runtime and its own init; it has no containerd.
fn runtime() -> Value {
    json!({
        "Runtimes": { "hull": { "path": "hull" }, "runc": { "path": "hull" } },
        "DefaultRuntime": "hull",
        "Swarm": {
            "NodeID": "", "NodeAddr": "", "LocalNodeState": "inactive", "ControlAvailable": false,
            "Error": "", "RemoteManagers": null,
        },
        "LiveRestoreEnabled": true,
        "Isolation": "",
        "InitBinary": "hull-init",
        "ContainerdCommit": { "ID": "" },
        "RuncCommit": { "ID": "" },
        "InitCommit": { "ID": "" },
        "ProductLicense": "",
        "DefaultAddressPools": null,
    })
}

fn cdi(view: &InfoView<'_>, version: ApiVersion) -> Map<String, Value> {
    let mut fields = Map::new();
    fields.insert("CDISpecDirs".to_owned(), json!(view.cdi_directories));
    if version.is_at_least(50) && !view.cdi_devices.is_empty() {
        let device = |id: &String| json!({ "Source": "cdi", "ID": id });
        let devices: Vec<_> = view.cdi_devices.iter().map(device).collect();
        fields.insert("DiscoveredDevices".to_owned(), json!(devices));
    }
    fields
}

fn registries(registries: &Registries<'_>, version: ApiVersion) -> Value {
    let docker =
        Index { name: "docker.io", mirrors: registries.mirrors, secure: true, official: true };
    let others = registries
        .insecure
        .iter()
        .map(|name| (name.as_str(), Index { name, mirrors: &[], secure: false, official: false }));
    let indexes: BTreeMap<&str, Index<'_>> =
        std::iter::once(("docker.io", docker)).chain(others).collect();
    let mut config = json!({
        "InsecureRegistryCIDRs": registries.insecure_networks,
        "IndexConfigs": indexes,
        "Mirrors": registries.mirrors,
    });
    if !version.is_at_least(49) {
        config["AllowNondistributableArtifactsCIDRs"] = json!([]);
        config["AllowNondistributableArtifactsHostnames"] = json!([]);
    }
    config
}

/// Fields that went, with what they said of hosts that lack the feature.
fn legacy(version: ApiVersion) -> Map<String, Value> {
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| {
        fields.insert(name.to_owned(), value);
    };
    if !version.is_at_least(50) {
        put("BridgeNfIptables", json!(false));
        put("BridgeNfIp6tables", json!(false));
    }
    if version.is_at_least(49) {
        put("FirewallBackend", json!({ "Driver": "nftables" }));
    }
    if version.has_legacy_fields() {
        put("KernelMemoryTCP", json!(false));
    }
    if !version.is_at_least(42) {
        put("KernelMemory", json!(false));
        put("ClusterStore", json!(""));
        put("ClusterAdvertise", json!(""));
    }
    if !version.is_at_least(40) {
        put("SystemStatus", Value::Null);
    }
    fields
}

fn merged(parts: impl IntoIterator<Item = Value>) -> Map<String, Value> {
    parts.into_iter().flat_map(|part| object(&part)).collect()
}
