//! What a guest's processes may do.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// A guest's privileges. The default is Docker's.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Security {
    /// All capabilities, all devices, no seccomp filter, writable `/sys`.
    pub privileged: bool,
    /// Capabilities beyond the default ones, without `CAP_`, upper case; `ALL` for every one.
    pub cap_add: BTreeSet<String>,
    /// Capabilities taken away, likewise.
    pub cap_drop: BTreeSet<String>,
    /// No process can gain privileges by executing a program; `None` for the daemon's default.
    pub no_new_privileges: Option<bool>,
    /// Which system calls are allowed.
    pub seccomp: Seccomp,
    /// Paths hidden; `None` for Docker's default list.
    pub masked_paths: Option<Vec<String>>,
    /// Paths that cannot be written; `None` for Docker's default list.
    pub read_only_paths: Option<Vec<String>>,
    /// Whether its own part of the cgroup tree can be written; only with cgroup v2.
    pub writable_cgroups: bool,
    /// Kernel settings of the guest's own namespaces.
    pub sysctls: std::collections::BTreeMap<String, String>,
    /// Devices of the host.
    pub devices: Vec<Device>,
    /// What may be done with device nodes beyond Docker's list and `devices`, in order.
    pub device_rules: Vec<DeviceRule>,
    /// Devices that are found by what they can do, or by their vendor's name for them.
    pub device_requests: Vec<DeviceRequest>,
}

/// The filter on system calls.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub enum Seccomp {
    /// The daemon's default, which is Docker's default profile unless another was configured.
    #[default]
    Default,
    /// Docker's default profile, whatever the daemon's is.
    Builtin,
    /// None at all.
    Unconfined,
    /// A profile in Docker's JSON format.
    Profile(String),
}

/// A device node of the host, made available inside.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Device {
    /// Its path on the host.
    pub host: String,
    /// Its path inside, absolute.
    pub guest: String,
    /// Any of `r`, `w`, `m`.
    pub access: String,
}

/// One rule about device nodes. Of those that match, the last one decides.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct DeviceRule {
    /// Allows rather than denies.
    pub allow: bool,
    /// Which kind of node.
    pub kind: DeviceKind,
    /// `None` for any.
    pub major: Option<u32>,
    /// `None` for any.
    pub minor: Option<u32>,
    /// Any of `r`, `w`, `m`.
    pub access: String,
}

/// Kinds of device nodes.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub enum DeviceKind {
    /// Both, whatever the numbers and the access.
    All,
    /// Block devices.
    Block,
    /// Character devices.
    Character,
}

/// Devices that a driver is to find.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct DeviceRequest {
    /// Which driver: `cdi`, `nvidia`; empty is whichever can.
    pub driver: String,
    /// How many.
    pub count: DeviceCount,
    /// Which, by the driver's names for them.
    pub ids: Vec<String>,
    /// Sets of words, one of which a device must have whole.
    pub capabilities: Vec<Vec<String>>,
    /// For the driver.
    pub options: std::collections::BTreeMap<String, String>,
}

/// How many devices.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum DeviceCount {
    /// As many as there are.
    All,
    /// So many.
    Exactly(u16),
}

impl Default for DeviceCount {
    fn default() -> Self {
        Self::Exactly(0)
    }
}

/// The capabilities of a Docker container by default, without `CAP_`.
///
/// Source: moby `oci/caps/defaults.go`.
pub const DEFAULT_CAPABILITIES: [&str; 14] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];

/// Every capability of Linux, by number (`linux/capability.h` of 6.18).
pub const CAPABILITIES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// Those that the kernel asks for in the host's user namespace only (`capable()` in its source): in
/// another one they can be had and do nothing.
pub const HOST_CAPABILITIES: [&str; 18] = [
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "BLOCK_SUSPEND",
    "BPF",
    "IPC_LOCK",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "PERFMON",
    "SYSLOG",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "WAKE_ALARM",
];

/// `name` without `CAP_` and in upper case, if it is a capability or `ALL`.
pub fn capability(name: &str) -> Option<String> {
    let upper = name.to_ascii_uppercase();
    let bare = upper.strip_prefix("CAP_").unwrap_or(&upper);
    (bare == "ALL" || CAPABILITIES.contains(&bare)).then(|| bare.to_owned())
}

impl Security {
    /// The capabilities that result, without `CAP_`.
    ///
    /// Docker's rule (moby `oci/caps/utils.go`): `ALL` in either list is the base, then the single
    /// names are added and dropped.
    pub fn capabilities(&self) -> BTreeSet<&str> {
        let all = || CAPABILITIES.into_iter().collect();
        if self.privileged {
            return all();
        }
        let mut caps: BTreeSet<&str> = if self.cap_add.contains("ALL") {
            all()
        } else if self.cap_drop.contains("ALL") {
            BTreeSet::new()
        } else {
            DEFAULT_CAPABILITIES.into_iter().collect()
        };
        for name in self.cap_drop.iter().filter(|name| *name != "ALL") {
            caps.remove(name.as_str());
        }
        caps.extend(self.cap_add.iter().filter(|name| *name != "ALL").map(String::as_str));
        caps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caps(add: &[&str], drop: &[&str]) -> usize {
        let set = |names: &[&str]| names.iter().map(|n| capability(n).unwrap()).collect();
        Security { cap_add: set(add), cap_drop: set(drop), ..Security::default() }
            .capabilities()
            .len()
    }

    #[test]
    fn capabilities_add_up_as_in_docker() {
        assert_eq!(caps(&[], &[]), 14);
        assert_eq!(caps(&["cap_net_admin"], &["MKNOD", "chown"]), 13);
        assert_eq!(caps(&[], &["ALL"]), 0);
        assert_eq!(caps(&["NET_RAW"], &["ALL"]), 1);
        assert_eq!(caps(&["ALL"], &["SYS_ADMIN"]), 40);
        assert_eq!(capability("NO_SUCH"), None);
    }
}
