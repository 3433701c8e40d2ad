//! Fields of `HostConfig` that hull does not act on: refused unless they ask for nothing.

use serde::Serialize;

use super::host_config::{HostConfig, Map};
use crate::json::is_default;
use crate::refusal::{Refusal, Result, quote};

/// Refuses every field that asks for something hull does not do, naming it and its value.
///
/// Fields accepted with any value because they have no effect on Linux, in Docker as in hull:
/// `ContainerIDFile` (the client's own file) and `Mounts[].Consistency` (macOS).
pub(super) fn check(host: &HostConfig) -> Result<()> {
    absent("PortBindings", &host.port_bindings.clone().unwrap_or_default())?;
    absent("PublishAllPorts", &host.publish_all_ports)?;
    absent("Links", &host.links.clone().unwrap_or_default())?;
    storage(host.storage_opt.as_ref())?;
    absent("Cgroup", &host.cgroup)?;
    absent("DiskQuota", &host.disk_quota)?;
    absent("CpuCount", &host.cpu_count)?;
    one_of("VolumeDriver", &host.volume_driver, &["", "local"])?;
    isolation(&host.isolation)?;
    runtime(&host.runtime)
}

/// Refuses `value` unless it is the one that asks for nothing.
pub(super) fn absent<T: Default + PartialEq + Serialize>(field: &str, value: &T) -> Result<()> {
    if is_default(value) {
        return Ok(());
    }
    let shown = serde_json::to_string(value).unwrap_or_default();
    Err(Refusal::unsupported(&format!("HostConfig.{field}"), shown))
}

fn one_of(field: &str, value: &str, known: &[&str]) -> Result<()> {
    match known.contains(&value) {
        true => Ok(()),
        false => Err(Refusal::unsupported(&format!("HostConfig.{field}"), value)),
    }
}

/// The text is moby's (`daemon/graphdriver/overlay2`), for hosts that cannot; so far none can.
fn storage(options: Option<&Map>) -> Result<()> {
    match options.and_then(|options| options.keys().next()) {
        None => Ok(()),
        Some(key) if key == "size" => Err(Refusal::invalid(
            "--storage-opt is supported only for overlay over xfs with 'pquota' mount option, which \
             hull does not use yet",
        )),
        Some(key) => Err(Refusal::invalid(format_args!("Unknown option {}", quote(key)))),
    }
}

fn isolation(value: &str) -> Result<()> {
    match value {
        "" | "default" => Ok(()),
        "vm" => Err(Refusal::unsupported("HostConfig.Isolation", value)),
        other => Err(Refusal::invalid(format_args!("invalid isolation '{other}' on linux"))),
    }
}

/// hull is its own runtime; it answers to the names that mean "the usual one".
fn runtime(value: &str) -> Result<()> {
    match value {
        "" | "hull" | "runc" | "io.containerd.runc.v2" => Ok(()),
        other => Err(Refusal::invalid(format_args!("unknown or invalid runtime name: {other}"))),
    }
}
