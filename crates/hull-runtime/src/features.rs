//! `features`: what this runtime can do, by the specification's schema.

use hull_model::security::CAPABILITIES;
use serde_json::{Value, json};

use crate::plan;
use crate::state::OCI_VERSION;

/// The document, with a newline.
pub(crate) fn document() -> String {
    let text = serde_json::to_string_pretty(&features()).unwrap_or_default();
    text + "\n"
}

fn features() -> Value {
    let capabilities: Vec<String> = CAPABILITIES.iter().map(|name| format!("CAP_{name}")).collect();
    json!({
        "ociVersionMin": "1.0.0",
        "ociVersionMax": OCI_VERSION,
        "hooks": [
            "prestart", "createRuntime", "createContainer", "startContainer", "poststart",
            "poststop",
        ],
        "mountOptions": plan::mount_options(),
        "linux": {
            "namespaces": ["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"],
            "capabilities": capabilities,
            "cgroup": {"v1": true, "v2": true, "systemd": true, "systemdUser": false, "rdma": true},
            "seccomp": seccomp(),
            "apparmor": {"enabled": true},
            "selinux": {"enabled": true},
            "intelRdt": {"enabled": true},
            "mountExtensions": {"idmap": {"enabled": true}},
            "netDevices": {"enabled": false},
        },
        "annotations": {
            "io.hull.runtime.version": env!("CARGO_PKG_VERSION"),
        },
        "potentiallyUnsafeConfigAnnotations": [],
    })
}

fn seccomp() -> Value {
    let flags = [
        "SECCOMP_FILTER_FLAG_TSYNC",
        "SECCOMP_FILTER_FLAG_LOG",
        "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
        "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
    ];
    json!({
        "enabled": true,
        "actions": [
            "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS",
            "SCMP_ACT_KILL_THREAD", "SCMP_ACT_LOG", "SCMP_ACT_NOTIFY", "SCMP_ACT_TRACE",
            "SCMP_ACT_TRAP",
        ],
        "operators": [
            "SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_LE", "SCMP_CMP_LT",
            "SCMP_CMP_MASKED_EQ", "SCMP_CMP_NE",
        ],
        "archs": architectures(),
        "knownFlags": flags,
        "supportedFlags": flags,
    })
}

/// Those whose programs this machine can execute, which are those a filter can meet.
fn architectures() -> Vec<&'static str> {
    if cfg!(target_arch = "aarch64") {
        vec!["SCMP_ARCH_AARCH64"]
    } else {
        vec!["SCMP_ARCH_X86", "SCMP_ARCH_X86_64", "SCMP_ARCH_X32"]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mount_option_is_listed_once() {
        let features = features();
        let options: Vec<&str> =
            features["mountOptions"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        for known in ["ro", "rro", "rbind", "rprivate", "unbindable", "idmap", "tmpcopyup"] {
            assert!(options.contains(&known), "{known}");
        }
        assert!(options.is_sorted());
        assert!(options.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
