//! The body of `POST /containers/create`, and the part of `inspect` that shows it again.

use hull_model::guest::GuestSpec;
use hull_model::image::Platform;
use hull_model::limits::Supported;
use hull_model::log::LogConfig;
use hull_model::name::Name;
use hull_model::namespace::{Network, Users};
use serde::{Deserialize, Serialize};

use super::config::{self, Config};
use super::host_config::HostConfig;
pub use super::namespaces::Caller;
use super::network::NetworkingConfig;
use super::{as_sent, life, limits, mounts, namespaces, network, security, unsupported};
use crate::json::decode;
use crate::refusal::{Refusal, Result, quote};
use crate::version::ApiVersion;

/// What of the host and the daemon a request is read against.
#[derive(Clone, Debug)]
pub struct Context {
    /// The version the client speaks.
    pub version: ApiVersion,
    /// Processors of the host.
    pub cpus: u32,
    /// Which limits the host can keep.
    pub supported: Supported,
    /// Where output goes when a client does not say it.
    pub log: LogConfig,
    /// Who asks, if that is known.
    pub caller: Option<Caller>,
}

/// A container asked for: valid, and not yet joined with what its image says.
#[derive(Clone, Debug, PartialEq)]
pub struct Created {
    /// What it is to be.
    pub spec: GuestSpec,
    /// What the client is told beside the id.
    pub warnings: Vec<String>,
}

/// The answer to a create.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateResponse {
    /// The new container's id.
    pub id: String,
    /// What the client should know.
    pub warnings: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Parts {
    host_config: HostConfig,
    networking_config: NetworkingConfig,
}

/// Reads the body of a create.
pub fn read(body: &[u8], context: &Context) -> Result<Created> {
    // Two passes over the same text: one struct for each part, both streaming.
    let config: Config = decode(body, "CreateRequest")?;
    let Parts { host_config: mut host, networking_config } = decode(body, "CreateRequest")?;
    if config.image.is_empty() {
        return Err(Refusal::invalid(match config == Config::default() {
            true => "config cannot be empty in order to create a container",
            false => "no image specified",
        }));
    }
    let mut spec = GuestSpec::default();
    let mut warnings = Vec::new();
    limits::adjust(&mut host, &context.supported, context.cpus, &mut warnings)?;
    // No limit is what there is; only an update has to say so.
    host.pids_limit = host.pids_limit.filter(|pids| *pids > 0);
    read_host(&host, context, &mut spec, &mut warnings)?;
    if config.network_disabled {
        let network = &mut spec.namespaces.network;
        if !matches!(network, Network::Bridge | Network::None) {
            let mode = namespaces::network_mode(network);
            return Err(Refusal::invalid(format_args!(
                "conflicting options: NetworkDisabled and the network mode {}",
                quote(&mode)
            )));
        }
        *network = Network::None;
    }
    network::check_conflicts(&config, &host, &spec.namespaces.network)?;
    unsupported::check(&host)?;
    network::check_endpoints(&networking_config, &spec.namespaces.network, context.version)?;
    config::read(&config, &host, &mut spec)?;
    if let Users::KeepId(kept) = &spec.namespaces.user
        && spec.process.user.is_empty()
    {
        // As in Podman: whom it keeps is who it runs as.
        spec.process.user = format!("{}:{}", kept.uid, kept.gid);
    }
    spec.mounts = mounts::read(&host, &config.volumes.clone().unwrap_or_default())?;
    spec.volumes_from = mounts::read_from(host.volumes_from.as_deref().unwrap_or_default())?;
    spec.as_sent = as_sent::kept(&host, &write_host(&spec));
    Ok(Created { spec, warnings })
}

/// Puts what `host` asks for into `spec`, apart from mounts and process.
fn read_host(
    host: &HostConfig,
    context: &Context,
    spec: &mut GuestSpec,
    warnings: &mut Vec<String>,
) -> Result<()> {
    spec.namespaces = namespaces::read(host, context.caller)?;
    spec.limits = limits::read(host)?;
    spec.security = security::read(host, &spec.namespaces, warnings)?;
    spec.root_read_only = host.readonly_rootfs;
    spec.init = host.init;
    spec.restart = life::read_restart(host)?;
    spec.auto_remove = host.auto_remove;
    spec.log = life::read_log(&host.log_config, context.log)?;
    spec.annotations = host.annotations.clone().unwrap_or_default();
    if spec.annotations.contains_key("") {
        return Err(Refusal::invalid(
            "invalid Annotations: the empty string is not permitted as an annotation key",
        ));
    }
    spec.dns = network::read_dns(host)?;
    spec.extra_hosts = network::read_hosts(host.extra_hosts.as_deref().unwrap_or_default())?;
    spec.shm_size = life::read_shm(host.shm_size)?;
    spec.cgroup_parent = read_cgroup_parent(&host.cgroup_parent)?;
    Ok(())
}

/// Writes the `HostConfig` of `spec`, in the model's words.
pub(super) fn write_host(spec: &GuestSpec) -> HostConfig {
    let mut host = HostConfig::default();
    namespaces::write(&spec.namespaces, &mut host);
    limits::write(&spec.limits, &mut host);
    security::write(&spec.security, &mut host);
    mounts::write(&spec.mounts, &mut host);
    host.volumes_from = mounts::write_from(&spec.volumes_from);
    network::write_dns(&spec.dns, &mut host);
    let some = |list: &Vec<String>| (!list.is_empty()).then(|| list.clone());
    host.extra_hosts = some(&spec.extra_hosts);
    host.group_add = some(&spec.process.groups);
    host.readonly_rootfs = spec.root_read_only;
    host.init = spec.init;
    host.restart_policy = life::write_restart(spec.restart);
    host.auto_remove = spec.auto_remove;
    host.log_config = life::write_log(spec.log);
    host.annotations = Some(spec.annotations.clone()).filter(|map| !map.is_empty());
    host.shm_size = life::write_shm(spec.shm_size);
    host.cgroup_parent.clone_from(&spec.cgroup_parent);
    host.console_size = spec.streams.window.map_or([0, 0], |w| [w.rows, w.columns]);
    "hull".clone_into(&mut host.runtime);
    host.port_bindings = Some(Default::default());
    host
}

/// A path below the cgroup root; no part of it may lead upwards.
fn read_cgroup_parent(path: &str) -> Result<String> {
    let plain = |part: &str| part != ".." && part != "." && !part.contains(char::is_control);
    match path.split('/').all(plain) && path.len() <= 4_095 {
        true => Ok(path.to_owned()),
        false => Err(Refusal::invalid(format_args!("invalid cgroup parent: {:?}", quote(path)))),
    }
}

/// The `name` of a create or rename, with or without the slash in front.
pub fn read_name(text: &str) -> Result<Name> {
    let bare = text.strip_prefix('/').unwrap_or(text);
    Name::new(bare).map_err(|_bad_name| {
        Refusal::invalid(format_args!(
            "Invalid container name ({}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
            quote(text)
        ))
    })
}

/// The `platform` of a create or pull: `os[/architecture[/variant]]`; empty is any.
pub fn read_platform(text: &str) -> Result<Option<Platform>> {
    let bad = || {
        Refusal::invalid(format_args!(
            "{:?} is an invalid OS, architecture or variant: expected os/architecture[/variant]",
            quote(text)
        ))
    };
    if text.is_empty() {
        return Ok(None);
    }
    let parts: Vec<String> = text.split('/').map(str::to_ascii_lowercase).collect();
    let word = |part: &String| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
    };
    if !parts.iter().all(word) {
        return Err(bad());
    }
    let architecture = |name: &str| match name {
        "x86_64" | "x86-64" => "amd64".to_owned(),
        "aarch64" => "arm64".to_owned(),
        other => other.to_owned(),
    };
    match &parts[..] {
        [os, name] if os == "linux" => Ok(Some(Platform {
            os: os.clone(),
            architecture: architecture(name),
            variant: String::new(),
        })),
        [os, name, variant] if os == "linux" => Ok(Some(Platform {
            os: os.clone(),
            architecture: architecture(name),
            variant: variant.clone(),
        })),
        [os] if os == "linux" => Ok(Some(Platform { os: os.clone(), ..Platform::default() })),
        [_] | [_, _] | [_, _, _] => Err(Refusal::invalid(format_args!(
            "invalid platform {:?}: hull runs linux images only",
            quote(text)
        ))),
        _ => Err(bad()),
    }
}
