//! `GET /containers/{id}/json`.

use std::collections::BTreeMap;

use hull_model::health::{Health, Outcome};
use hull_model::life::State;
use hull_model::mount::{Origin, Source};
use hull_model::record::{GuestRecord, MountPoint};
use hull_model::time::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::config::{self, Config};
use super::settings::NetworkSettings;
use super::view::{ContainerView, exit_code, health, is_running, pid, status};
use super::{as_sent, create};
use crate::version::ApiVersion;

/// Go's zero time, which Docker writes where a time is not known.
pub(crate) const NEVER: &str = "0001-01-01T00:00:00Z";

/// Everything about one container.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ContainerInspect {
    id: String,
    created: String,
    path: String,
    args: Vec<String>,
    state: StateBody,
    image: String,
    resolv_conf_path: String,
    hostname_path: String,
    hosts_path: String,
    log_path: String,
    name: String,
    restart_count: u32,
    driver: &'static str,
    platform: &'static str,
    mount_label: &'static str,
    process_label: &'static str,
    app_armor_profile: &'static str,
    #[serde(rename = "ExecIDs")]
    exec_ids: Option<Vec<String>>,
    host_config: serde_json::Map<String, Value>,
    graph_driver: GraphDriver,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_rw: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_root_fs: Option<u64>,
    mounts: Vec<MountBody>,
    config: Config,
    network_settings: NetworkSettings,
    hull: Hull,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct StateBody {
    status: &'static str,
    running: bool,
    paused: bool,
    restarting: bool,
    #[serde(rename = "OOMKilled")]
    oom_killed: bool,
    dead: bool,
    pid: u32,
    exit_code: u8,
    error: String,
    started_at: String,
    finished_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<HealthBody>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct HealthBody {
    status: &'static str,
    failing_streak: u32,
    log: Vec<OutcomeBody>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct OutcomeBody {
    start: String,
    end: String,
    exit_code: i32,
    output: String,
}

impl HealthBody {
    fn of(health: &Health) -> Self {
        let body = |outcome: &Outcome| OutcomeBody {
            start: outcome.start.to_string(),
            end: outcome.end.to_string(),
            exit_code: outcome.code,
            output: outcome.output.clone(),
        };
        Self {
            status: health.status.name(),
            failing_streak: health.failing_streak,
            log: health.log.iter().map(body).collect(),
        }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct GraphDriver {
    name: &'static str,
    data: BTreeMap<&'static str, String>,
}

/// One mount as it is.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct MountBody {
    r#type: &'static str,
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    source: String,
    destination: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    driver: &'static str,
    mode: &'static str,
    #[serde(rename = "RW")]
    rw: bool,
    propagation: &'static str,
}

/// What Docker has no field for.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Hull {
    /// `private`, or `host` with the reason in `Why`.
    user_namespace: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    why: &'static str,
    /// The host's id of the container's root, while it runs in its own user namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    first_host_id: Option<u32>,
}

/// The answer about `view` to a client of `version`.
pub fn inspect(view: &ContainerView<'_>, version: ApiVersion) -> ContainerInspect {
    let record = view.record;
    let short_id = record.id.short();
    let mut words = record.spec.process.args();
    let path = if words.is_empty() { String::new() } else { words.remove(0) };
    let execs: Vec<_> = view.execs.iter().map(ToString::to_string).collect();
    ContainerInspect {
        id: record.id.to_string(),
        created: record.created.to_string(),
        path,
        args: words,
        state: state(record),
        image: record.image.to_string(),
        resolv_conf_path: view.paths.resolv_conf.to_owned(),
        hostname_path: view.paths.hostname.to_owned(),
        hosts_path: view.paths.hosts.to_owned(),
        log_path: view.paths.log.to_owned(),
        name: format!("/{}", record.name),
        restart_count: record.restarts,
        driver: "overlay2",
        platform: "linux",
        mount_label: "",
        process_label: "",
        app_armor_profile: "",
        exec_ids: (!execs.is_empty()).then_some(execs),
        host_config: as_sent::restore(&create::write_host(&record.spec), &record.spec.as_sent),
        graph_driver: graph_driver(view),
        size_rw: view.size.map(|size| size.rw),
        size_root_fs: view.size.map(|size| size.root_fs),
        mounts: mounts(record),
        config: config::write(&record.spec, &short_id),
        network_settings: NetworkSettings::of(record, version),
        hull: Hull {
            user_namespace: if record.host_user.is_some() { "host" } else { "private" },
            why: record.host_user.map_or("", |why| why.reason()),
            first_host_id: record.id_range.map(|range| range.base),
        },
    }
}

fn state(record: &GuestRecord) -> StateBody {
    let time = |at: Option<Timestamp>| at.map_or_else(|| NEVER.to_owned(), |at| at.to_string());
    StateBody {
        status: status(record),
        running: is_running(record) || record.restarting,
        paused: matches!(record.state, State::Paused),
        restarting: record.restarting,
        oom_killed: match record.exit {
            Some(exit) if !is_running(record) => exit.oom_killed,
            Some(_) | None => record.out_of_memory,
        },
        dead: false,
        pid: pid(record),
        exit_code: exit_code(record),
        error: record.error.clone(),
        started_at: time(record.started),
        // What never ran has not finished, whatever became of its start.
        finished_at: time(record.exit.filter(|_| record.started.is_some()).map(|exit| exit.at)),
        health: health(record).map(HealthBody::of),
    }
}

/// Docker's names for the parts of an overlay.
fn graph_driver(view: &ContainerView<'_>) -> GraphDriver {
    let lower: Vec<&str> = view.layers.iter().rev().map(String::as_str).collect();
    let parts = [
        ("LowerDir", lower.join(":")),
        ("UpperDir", view.paths.upper.to_owned()),
        ("WorkDir", view.paths.work.to_owned()),
    ];
    let data = parts.into_iter().filter(|(_, path)| !path.is_empty()).collect();
    GraphDriver { name: "overlay2", data }
}

/// Mounts of the host's files and volumes, and memory asked for as a mount.
pub(super) fn mounts(record: &GuestRecord) -> Vec<MountBody> {
    let memory = record.spec.mounts.iter().filter(|mount| {
        matches!(mount.origin, Origin::Mounts | Origin::Guest)
            && matches!(mount.source, Source::Tmpfs { .. })
    });
    let memory = memory.map(|mount| MountBody {
        r#type: "tmpfs",
        name: String::new(),
        source: String::new(),
        destination: mount.target.as_str().to_owned(),
        driver: "",
        mode: "",
        rw: !mount.read_only,
        propagation: "",
    });
    record.mounts.iter().map(MountBody::of).chain(memory).collect()
}

impl MountBody {
    fn of(mount: &MountPoint) -> Self {
        let short = matches!(mount.origin, Origin::Binds) && mount.read_only;
        let volume = mount.volume.as_ref();
        Self {
            r#type: if volume.is_some() { "volume" } else { "bind" },
            name: volume.map(|name| name.as_str().to_owned()).unwrap_or_default(),
            source: mount.source.display().to_string(),
            destination: mount.target.as_str().to_owned(),
            driver: if volume.is_some() { "local" } else { "" },
            mode: if short { "ro" } else { "" },
            rw: !mount.read_only,
            propagation: if volume.is_some() { "" } else { mount.propagation.name() },
        }
    }

    /// The volume's name, or the path on the host.
    pub(super) fn source_or_name(&self) -> &str {
        if self.name.is_empty() { &self.source } else { &self.name }
    }

    /// Where it is inside.
    pub(super) fn destination(&self) -> &str {
        &self.destination
    }
}
