//! `spec`: a configuration to start from.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

use crate::arguments::Options;
use crate::failure::{Doing, Failure};

/// Writes it into the bundle, where there must be none.
pub(crate) fn write(options: &Options) -> Result<u8, Failure> {
    let bundle = Path::new(options.value("bundle").filter(|b| !b.is_empty()).unwrap_or("."));
    let path = bundle.join("config.json");
    let text = serde_json::to_string_pretty(&document(options.is("rootless")))
        .doing("encode the configuration")?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&path)
        .doing_at("make", &path)
        .map_err(|failure| failure.during("an existing config.json is kept"))?;
    file.write_all((text + "\n").as_bytes()).doing_at("write", &path)?;
    Ok(0)
}

pub(crate) fn document(rootless: bool) -> Value {
    let mut document = json!({
        "ociVersion": "1.2.1",
        "process": process(),
        "root": {"path": "rootfs", "readonly": true},
        "hostname": "hull",
        "mounts": mounts(),
        "linux": {
            "resources": {"devices": [{"allow": false, "access": "rwm"}]},
            "namespaces": [
                {"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"},
                {"type": "mount"}, {"type": "cgroup"},
            ],
            "maskedPaths": [
                "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys",
                "/proc/latency_stats", "/proc/sched_debug", "/proc/scsi", "/proc/timer_list",
                "/proc/timer_stats", "/sys/devices/virtual/powercap", "/sys/firmware",
            ],
            "readonlyPaths": [
                "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger",
            ],
        },
    });
    if rootless {
        without_privileges(&mut document);
    }
    document
}

fn process() -> Value {
    let capabilities = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];
    json!({
        "terminal": true,
        "user": {"uid": 0, "gid": 0},
        "args": ["sh"],
        "env": [
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "TERM=xterm",
        ],
        "cwd": "/",
        "capabilities": {
            "bounding": capabilities, "effective": capabilities, "permitted": capabilities,
        },
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 1024, "hard": 1024}],
        "noNewPrivileges": true,
    })
}

fn mounts() -> Value {
    let mount = |destination: &str, kind: &str, options: &[&str]| json!({"destination": destination, "type": kind, "source": kind, "options": options});
    json!([
        {"destination": "/proc", "type": "proc", "source": "proc"},
        mount("/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount(
            "/dev/pts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        mount("/dev/shm", "tmpfs", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
        mount("/dev/mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        mount("/sys", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
        mount("/sys/fs/cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", "ro"]),
    ])
}

/// A user namespace of one id and nothing that needs another: the caller's network, no limits, no
/// group for terminals.
fn without_privileges(document: &mut Value) {
    let map = |host: u32| json!([{"containerID": 0, "hostID": host, "size": 1}]);
    let linux = &mut document["linux"];
    linux["uidMappings"] = map(rustix::process::geteuid().as_raw());
    linux["gidMappings"] = map(rustix::process::getegid().as_raw());
    linux["resources"] = json!({});
    if let Some(namespaces) = linux["namespaces"].as_array_mut() {
        namespaces.retain(|namespace| namespace["type"] != "network");
        namespaces.push(json!({"type": "user"}));
    }
    if let Some(mounts) = document["mounts"].as_array_mut() {
        mounts.retain(|mount| mount["destination"] != "/sys/fs/cgroup");
        for mount in mounts {
            if mount["destination"] == "/dev/pts" {
                let options = mount["options"].as_array_mut();
                options.into_iter().for_each(|options| options.retain(|o| o != "gid=5"));
            }
            // Without a network namespace of its own it cannot have a sysfs of its own.
            if mount["destination"] == "/sys" {
                *mount = json!({
                    "destination": "/sys", "type": "none", "source": "/sys",
                    "options": ["rbind", "nosuid", "noexec", "nodev", "ro"],
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_understood() {
        for rootless in [false, true] {
            let config = crate::config::parse(&document(rootless).to_string()).unwrap();
            assert!(config.process.unwrap().terminal);
            assert_eq!(config.linux.unwrap().uid_mappings.is_some(), rootless);
        }
    }
}
