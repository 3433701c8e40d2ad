//! The daemon's settings in the engine's terms.

use hull_engine::{Bridge, CgroupDriver, Config, RegistryConfig};
use hull_model::limits::Rlimit;

use crate::config::Settings;
use crate::identities::Identities;

/// Where guests' cgroups are by default, as `/docker` with Docker.
const CGROUP_PARENT: &str = "hull";
/// The same with systemd's driver, as with Docker.
const SLICE: &str = "system.slice";
/// The registry that mirrors are of (Docker's `registry-mirrors`).
const MIRRORED: &str = "docker.io";

/// The configuration of an engine.
///
/// `descriptors` is for guests that do not limit their open files; a configured default goes first.
pub(crate) fn config(
    settings: &Settings,
    identities: Identities,
    descriptors: Option<Rlimit>,
) -> Config {
    let mut rlimits = settings.ulimits.clone();
    if let Some(limit) = descriptors
        && rlimits.iter().all(|known| known.resource != limit.resource)
    {
        rlimits.push(limit);
    }
    Config {
        data_root: settings.data_root.clone(),
        exec_root: settings.exec_root.clone(),
        id_pool: identities.pool,
        ids_taken: identities.taken,
        users: identities.users,
        bridge: Bridge {
            disabled: settings.bridge_disabled,
            address: settings.bridge_address,
            mtu: settings.mtu,
        },
        cgroup_driver: settings.cgroup_driver,
        cgroup_parent: settings.cgroup_parent.clone().unwrap_or_else(|| {
            let default = match settings.cgroup_driver {
                CgroupDriver::Cgroupfs => CGROUP_PARENT,
                CgroupDriver::Systemd => SLICE,
            };
            default.to_owned()
        }),
        log: settings.log,
        init: settings.init,
        no_new_privileges: settings.no_new_privileges,
        seccomp: settings.seccomp.clone(),
        dns: settings.dns.clone(),
        rlimits,
        cdi_directories: settings.cdi_directories.clone(),
        labels: settings.labels.clone(),
        shutdown_timeout: settings.shutdown_timeout,
        registries: registries(settings),
    }
}

fn registries(settings: &Settings) -> RegistryConfig {
    let mut config = RegistryConfig::default();
    config.proxies.http = variable("HTTP_PROXY");
    config.proxies.https = variable("HTTPS_PROXY");
    config.proxies.none = variable("NO_PROXY");
    for name in &settings.insecure_registries {
        match name.parse() {
            Ok(network) => config.insecure_networks.push(network),
            Err(_is_a_name) => {
                config.registries.entry(name.clone()).or_default().insecure = true;
            }
        }
    }
    if !settings.mirrors.is_empty() {
        let registry = config.registries.entry(MIRRORED.to_owned()).or_default();
        registry.mirrors.clone_from(&settings.mirrors);
    }
    config
}

/// A variable of the environment, in lower case first as curl has it; empty if there is none.
fn variable(name: &str) -> String {
    let either = std::env::var(name.to_lowercase()).or_else(|_unset| std::env::var(name));
    either.unwrap_or_default()
}
