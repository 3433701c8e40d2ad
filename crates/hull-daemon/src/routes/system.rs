//! The daemon itself: ping, version, info.

use std::time::SystemTime;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, PRAGMA};
use http::{HeaderName, HeaderValue, Response};
use hull_api::system::info::{self, Counts, DaemonView, HostLimits, InfoView, Registries};
use hull_api::system::version::{self, VersionView};
use hull_api::version::ApiVersion;
use hull_engine::HostFacts;
use hull_model::life::State;
use hull_model::log::LogConfig;
use hull_model::namespace::UsersDefault;
use hull_model::security::Seccomp;
use hull_model::time::Timestamp;
use tracing::level_filters::LevelFilter;

use super::host::architecture;
use super::table::System;
use super::{Answer, App, Call};
use crate::http::answer::{Outcome, json};
use crate::http::body::Body;

/// hull's version.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Carries out a request about the daemon.
pub(super) async fn answer(app: &App, route: System, call: Call) -> Answer {
    match route {
        System::Ping => Ok(ping()),
        System::Version => Ok(version(app)),
        System::Info => Ok(info(app, call.version)),
        System::Events => super::events::answer(app, &call),
        System::DiskUsage => super::disk::answer(app, &call).await,
    }
}

/// `OK`, and in headers what clients negotiate by. HEAD gets the same without the body.
fn ping() -> Outcome {
    let mut answer = Response::new(Body::Full(Bytes::from_static(b"OK")));
    let headers = answer.headers_mut();
    for (name, value) in [
        (CONTENT_TYPE, "text/plain; charset=utf-8"),
        (CACHE_CONTROL, "no-cache, no-store, must-revalidate"),
        (PRAGMA, "no-cache"),
        // 1: no BuildKit. Clients then know not to ask for it.
        (HeaderName::from_static("builder-version"), "1"),
        (HeaderName::from_static("swarm"), "inactive"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    Outcome::Answer(answer)
}

fn version(app: &App) -> Outcome {
    let host = app.host();
    json(&version::write(&VersionView {
        version: VERSION,
        commit: option_env!("HULL_COMMIT").unwrap_or(""),
        build_time: option_env!("HULL_BUILD_TIME").unwrap_or(""),
        compiler: concat!("rustc ", env!("CARGO_PKG_RUST_VERSION")),
        kernel: &host.kernel,
        architecture: architecture(&host.machine),
    }))
}

fn info(app: &App, version: ApiVersion) -> Outcome {
    let (engine, host, settings) = (app.engine(), app.host(), app.settings());
    let (facts, config) = (engine.host(), engine.config());
    let storage = [("Backing Filesystem".to_owned(), "idmapped overlay".to_owned())];
    let (networks, names): (Vec<_>, Vec<_>) =
        settings.insecure_registries.iter().cloned().partition(|name| name.contains('/'));
    let (cdi_devices, cdi_errors) = engine.vendor_devices();
    let text = |path: &std::path::PathBuf| path.to_string_lossy().into_owned();
    let cdi_directories: Vec<_> = config.cdi_directories.iter().map(text).collect();
    let mut warnings = warnings(app);
    warnings.extend(cdi_errors.iter().map(|error| format!("CDI: {error}")));
    let view = InfoView {
        id: &id(app),
        host_name: &host.name,
        version: VERSION,
        containers: counts(app),
        images: engine.images().list().len(),
        storage: &storage,
        data_root: &config.data_root.to_string_lossy(),
        limits: limits(facts),
        cgroup_driver: engine.config().cgroup_driver.name(),
        cgroup_version: facts.cgroup_version(),
        kernel: &host.kernel,
        system: &host.system,
        system_version: &host.system_version,
        machine: &host.machine,
        cpus: host.cpus,
        memory: host.memory,
        labels: &config.labels,
        security_options: &security(app),
        warnings: &warnings,
        cdi_directories: &cdi_directories,
        cdi_devices: &cdi_devices,
        log_driver: match config.log {
            LogConfig::JsonFile(_) => "json-file",
            LogConfig::Discard => "none",
        },
        registries: Registries {
            mirrors: &settings.mirrors,
            insecure: &names,
            insecure_networks: &networks,
        },
        daemon: DaemonView {
            debug: settings.level >= LevelFilter::DEBUG,
            descriptors: std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count),
            tasks: tokio::runtime::Handle::current().metrics().num_alive_tasks(),
            watchers: app.engine().events().watcher_count(),
        },
        now: Timestamp::from(SystemTime::now()),
    };
    json(&info::write(&view, version))
}

/// The engine's name for good, in the form of a UUID: that of its first network is as lasting.
fn id(app: &App) -> String {
    let [network, ..] = app.engine().networks().ids;
    let digits = |range: std::ops::Range<usize>| network.get(range).unwrap_or_default().to_owned();
    [digits(0..8), digits(8..12), digits(12..16), digits(16..20), digits(20..32)].join("-")
}

fn counts(app: &App) -> Counts {
    let mut counts = Counts::default();
    for guest in app.engine().guests() {
        match guest.record().state {
            State::Running => counts.running += 1,
            State::Paused => counts.paused += 1,
            State::Created | State::Starting | State::Exited(_) | State::Removing => {
                counts.stopped += 1;
            }
        }
    }
    counts
}

fn limits(facts: &HostFacts) -> HostLimits {
    let limits = &facts.limits;
    let forwarding = std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward");
    HostLimits {
        memory: limits.memory,
        swap: limits.swap,
        cpu_quota: limits.cpu_quota,
        cpu_shares: limits.cpu_shares,
        cpuset: limits.cpus.is_some(),
        pids: limits.pids,
        oom_kill_disable: limits.oom_kill_disable,
        ipv4_forwarding: forwarding.is_ok_and(|text| text.trim() == "1"),
    }
}

fn warnings(app: &App) -> Vec<String> {
    let facts = app.engine().host();
    let limits = &facts.limits;
    let lacks = [
        (limits.memory, "memory limit"),
        (limits.swap, "swap limit"),
        (limits.cpu_quota, "cpu cfs quota"),
        (limits.cpus.is_some(), "cpuset"),
        (limits.pids, "pids limit"),
    ];
    let warning = |(has, what): (bool, &str)| (!has).then(|| format!("WARNING: No {what} support"));
    let mut all: Vec<String> = lacks.into_iter().filter_map(warning).collect();
    all.extend(facts.unmappable.iter().map(|why| {
        format!("WARNING: No user namespaces: {why}; root in a container is root on this host")
    }));
    all
}

fn security(app: &App) -> Vec<String> {
    let facts = app.engine().host();
    let profile = match &app.engine().config().seccomp {
        Seccomp::Default | Seccomp::Builtin => "name=seccomp,profile=builtin",
        Seccomp::Unconfined => "name=seccomp,profile=unconfined",
        Seccomp::Profile(_) => "name=seccomp,profile=custom",
    };
    let options = [
        (facts.seccomp, profile),
        (app.engine().config().no_new_privileges, "name=no-new-privileges"),
        (
            facts.unmappable.is_none() && app.engine().config().users != UsersDefault::Host,
            "name=userns",
        ),
        (true, "name=cgroupns"),
    ];
    let has = |(has, text): (bool, &str)| has.then(|| text.to_owned());
    options.into_iter().filter_map(has).collect()
}
