//! Objects with something in every field, and what this crate says of them.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use hull_api::container::create::{self, Context};
use hull_api::container::inspect::inspect;
use hull_api::container::list::summary;
use hull_api::container::view::{ContainerView, Paths, Size};
use hull_api::image::view::ImageView;
use hull_api::image::{answers, history, inspect as image_inspect, list as image_list};
use hull_api::query::Query;
use hull_api::system::{df, events as event, info as information, version as versions};
use hull_api::version::ApiVersion;
use hull_api::{exec, network as networks, volume as volumes};
use hull_model::event::{Occurrence, Subject};
use hull_model::exit::Exit;
use hull_model::health::{Health, Outcome, Status};
use hull_model::id::{ExecId, GuestId};
use hull_model::image::{Digest, ImageConfig};
use hull_model::life::State;
use hull_model::limits::Supported;
use hull_model::log::LogConfig;
use hull_model::mount::{Origin, Propagation, Target};
use hull_model::name::Name;
use hull_model::record::{Endpoint, GuestRecord, MountPoint};
use hull_model::reference::Reference;
use hull_model::time::Timestamp;
use serde::Serialize;
use serde_json::Value;

const NOW: Timestamp = Timestamp::from_nanos(1_700_000_000_123_456_789);

/// A body with a value in every field that hull takes.
pub(crate) const CREATE: &str = include_str!("create.json");

pub(crate) fn json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap()
}

pub(crate) fn context() -> Context {
    let supported = Supported {
        memory: true,
        swap: true,
        reservation: true,
        swappiness: true,
        kernel_tcp: true,
        oom_kill_disable: true,
        pids: true,
        cpu_shares: true,
        cpu_quota: true,
        cpu_realtime: true,
        cpus: "0-7".parse().ok(),
        mems: "0".parse().ok(),
        block_weight: true,
        block_weight_device: true,
        block_throttle: true,
    };
    let log = LogConfig::default();
    Context { version: ApiVersion::MAX, cpus: 8, supported, log, caller: None }
}

pub(crate) fn record(body: &str) -> GuestRecord {
    let created = create::read(body.as_bytes(), &context()).unwrap();
    GuestRecord {
        id: GuestId::from_random([7; 32]),
        name: Name::new("web").unwrap(),
        created: NOW,
        spec: created.spec,
        image: Digest::from_sha256([1; 32]),
        state: State::Created,
        pid: None,
        started: None,
        exit: None,
        out_of_memory: false,
        error: String::new(),
        stopped_by_user: false,
        restarts: 0,
        restarting: false,
        id_range: None,
        host_user: None,
        endpoint: None,
        mounts: Vec::new(),
        health: None,
    }
}

fn running() -> GuestRecord {
    let mount = |volume: Option<&str>, target| MountPoint {
        volume: volume.map(|name| Name::new(name).unwrap()),
        anonymous: false,
        source: "/srv".into(),
        target: Target::new(target).unwrap(),
        read_only: volume.is_none(),
        propagation: Propagation::Rprivate,
        origin: Origin::Binds,
    };
    GuestRecord {
        state: State::Running,
        pid: Some(4_711),
        started: Some(NOW),
        endpoint: Some(endpoint()),
        mounts: vec![mount(None, "/a"), mount(Some("data"), "/b")],
        health: Some(Health {
            status: Status::Unhealthy,
            failing_streak: 3,
            log: vec![Outcome { start: NOW, end: NOW, code: -1, output: "no".to_owned() }],
        }),
        ..record(CREATE)
    }
}

fn endpoint() -> Endpoint {
    Endpoint {
        network: "bridge".to_owned(),
        network_id: "a".repeat(64),
        id: "b".repeat(64),
        address: Ipv4Addr::new(172, 17, 0, 2),
        prefix: 16,
        gateway: Ipv4Addr::new(172, 17, 0, 1),
        mac: [2, 66, 172, 17, 0, 2],
    }
}

fn exited() -> GuestRecord {
    let exit = Exit { code: 137, oom_killed: true, at: NOW };
    GuestRecord { state: State::Exited(exit), exit: Some(exit), ..record(r#"{"Image":"debian"}"#) }
}

pub(crate) fn inspected(record: &GuestRecord, version: ApiVersion) -> Value {
    let execs = [ExecId::from_random([3; 32])];
    let layers = ["/l/1".to_owned(), "/l/2".to_owned()];
    let paths = Paths { hosts: "/h", log: "/log", upper: "/u", work: "/w", ..Paths::default() };
    let size = Some(Size { rw: 5, root_fs: 10 });
    json(&inspect(&ContainerView { record, execs: &execs, paths, size, layers: &layers }, version))
}

pub(crate) fn inspects(version: ApiVersion) -> Vec<Value> {
    [running(), exited(), record(CREATE)].iter().map(|it| inspected(it, version)).collect()
}

fn summaries(version: ApiVersion) -> Vec<hull_api::container::list::ContainerSummary> {
    let line = |record: &GuestRecord| {
        let size = Some(Size { rw: 5, root_fs: 10 });
        let view = ContainerView { record, execs: &[], paths: Paths::default(), size, layers: &[] };
        summary(&view, version, NOW)
    };
    [running(), exited()].iter().map(line).collect()
}

pub(crate) fn list(version: ApiVersion) -> Value {
    json(&summaries(version))
}

pub(crate) fn execs() -> Vec<Value> {
    let body = br#"{"Cmd":["ls","-l"],"Tty":true,"User":"root"}"#;
    let spec = exec::read(body, ApiVersion::MAX).unwrap();
    let (id, guest) = (ExecId::from_random([3; 32]), GuestId::from_random([7; 32]));
    let state = |running, exit_code| exec::State { running, exit_code, pid: 5 };
    [state(true, None), state(false, Some(0))]
        .map(|state| json(&exec::inspect(id, guest, &spec, state)))
        // The definitions say that a code is a number, and Docker says null until there is one.
        .map(|mut value| {
            if value["ExitCode"].is_null() {
                value["ExitCode"] = 0.into();
            }
            value
        })
        .to_vec()
}

pub(crate) fn exec_created() -> Value {
    json(&exec::created(ExecId::from_random([3; 32])))
}

const IMAGE: &str = r#"{"architecture":"arm64","os":"linux","variant":"v8","author":"me",
    "created":"2023-11-14T22:13:20Z","config":{"User":"u","Env":["A=1"],"Cmd":["sh"],
    "Entrypoint":["e"],"Volumes":{"/v":{}},"ExposedPorts":{"80/tcp":{}},"WorkingDir":"/w",
    "Labels":{"a":"b"},"StopSignal":"SIGINT","OnBuild":["RUN x"],"Shell":["sh"],
    "Healthcheck":{"Test":["CMD","x"],"Interval":5}},
    "rootfs":{"type":"layers","diff_ids":[]},"history":[{"comment":"c"}]}"#;

fn with_images<T>(made: impl Fn(&ImageView<'_>) -> T) -> Vec<T> {
    let full: ImageConfig = serde_json::from_str(IMAGE).unwrap();
    let bare = ImageConfig::default();
    let tags = [Reference::parse("debian:12").unwrap()];
    let digests = [Reference::parse(&format!("debian@sha256:{}", "0".repeat(64))).unwrap()];
    let layers = ["/l/1".to_owned(), "/l/2".to_owned()];
    let view = ImageView {
        id: Digest::from_sha256([1; 32]),
        config: &full,
        tags: &tags,
        digests: &digests,
        size: 5,
        shared: Some(3),
        containers: Some(1),
        added: NOW,
        layers: &layers,
    };
    let nameless = ImageView {
        config: &bare,
        tags: &[],
        digests: &[],
        shared: None,
        containers: None,
        layers: &[],
        ..view
    };
    vec![made(&view), made(&nameless)]
}

pub(crate) fn image_lists(version: ApiVersion) -> Vec<Value> {
    vec![json(&with_images(|view| image_list::summary(view, version)))]
}

pub(crate) fn image_inspects(version: ApiVersion) -> Vec<Value> {
    with_images(|view| json(&image_inspect::inspect(view, version)))
}

pub(crate) fn history() -> Value {
    let tags = [Reference::parse("debian:12").unwrap()];
    let last = history::StepView {
        id: Some(Digest::from_sha256([1; 32])),
        created: Some("2023-11-14T22:13:20Z"),
        created_by: "CMD",
        comment: "",
        size: 0,
        tags: &tags,
    };
    let first = history::StepView { id: None, created: None, tags: &[], size: 7, ..last };
    json(&[history::write(&last), history::write(&first)])
}

fn items() -> Vec<answers::DeleteItem> {
    let name = Reference::parse("debian:12").unwrap();
    let id = Digest::from_sha256([1; 32]);
    vec![answers::DeleteItem::untagged(&name), answers::DeleteItem::deleted(id)]
}

pub(crate) fn deleted() -> Value {
    json(&items())
}

pub(crate) fn images_pruned() -> Value {
    json(&answers::pruned(items(), 5))
}

fn a_volume() -> volumes::Volume {
    let (name, labels) = (Name::new("data").unwrap(), BTreeMap::new());
    volumes::write(&volumes::VolumeView {
        name: &name,
        created: NOW,
        labels: &labels,
        anonymous: true,
        path: "/v/data/_data",
        usage: Some(volumes::Usage { size: 5, ref_count: 1 }),
    })
}

pub(crate) fn volume() -> Value {
    json(&a_volume())
}

pub(crate) fn volume_list() -> Value {
    json(&volumes::list(vec![a_volume()]))
}

pub(crate) fn volumes_pruned() -> Value {
    json(&volumes::pruned(vec!["data".to_owned()], 5))
}

fn with_network<T>(made: impl Fn(&networks::NetworkView<'_>) -> T) -> T {
    let (id, endpoint) = ("a".repeat(64), endpoint());
    made(&networks::NetworkView {
        name: "bridge",
        id: &id,
        created: NOW,
        bridge: Some(networks::BridgeView {
            link: "hull0",
            subnet: "172.17.0.0/16".to_owned(),
            gateway: "172.17.0.1".to_owned(),
            mtu: 1_500,
        }),
        members: vec![(GuestId::from_random([7; 32]), "web", &endpoint)],
    })
}

pub(crate) fn network(version: ApiVersion) -> Value {
    with_network(|view| json(&networks::inspect(view, version)))
}

pub(crate) fn network_list(version: ApiVersion) -> Value {
    with_network(|view| json(&[networks::summary(view, version)]))
}

pub(crate) fn version() -> Value {
    json(&versions::write(&versions::VersionView {
        version: "0.1.0",
        commit: "abc",
        build_time: "2023-11-14T22:13:20Z",
        compiler: "rustc 1.95.0",
        kernel: "6.18.0",
        architecture: "amd64",
    }))
}

pub(crate) fn info(version: ApiVersion) -> Value {
    let (texts, pairs) =
        (["a=b".to_owned()], [("Backing Filesystem".to_owned(), "ext4".to_owned())]);
    let view = information::InfoView {
        id: "x",
        host_name: "h",
        version: "0.1.0",
        containers: information::Counts { running: 1, paused: 1, stopped: 1 },
        images: 2,
        storage: &pairs,
        data_root: "/var/lib/hull",
        limits: information::HostLimits::default(),
        cgroup_driver: "cgroupfs",
        cgroup_version: "2",
        kernel: "6.18.0",
        system: "Debian",
        system_version: "12",
        machine: "x86_64",
        cpus: 8,
        memory: 1 << 30,
        labels: &texts,
        security_options: &texts,
        warnings: &texts,
        log_driver: "json-file",
        registries: information::Registries {
            mirrors: &texts,
            insecure: &texts,
            insecure_networks: &texts,
        },
        cdi_directories: &texts,
        cdi_devices: &texts,
        daemon: information::DaemonView::default(),
        now: NOW,
    };
    json(&information::write(&view, version))
}

pub(crate) fn events(version: ApiVersion) -> Vec<Value> {
    let event = |subject, action: &str| Occurrence {
        at: NOW,
        subject,
        action: action.to_owned(),
        id: "abc".to_owned(),
        attributes: [("image".to_owned(), "debian".to_owned())].into(),
    };
    [event(Subject::Container, "start"), event(Subject::Volume, "create")]
        .iter()
        .map(|occurrence| json(&event::write(occurrence, version)))
        .collect()
}

pub(crate) fn disk_usage(version: ApiVersion) -> Vec<Value> {
    fn part<T>(items: Vec<T>) -> Option<df::Part<T>> {
        Some(df::Part { items, active: 1, size: 5, reclaimable: 2 })
    }
    let usage = df::DiskUsage {
        images: part(with_images(|view| image_list::summary(view, version))),
        containers: part(summaries(version)),
        volumes: part(vec![a_volume()]),
    };
    ["verbose=1", "type=image", ""]
        .map(|text| df::DiskQuery::parse(&Query::parse(Some(text))).unwrap())
        .map(|query| json(&df::write(&usage, query, version)))
        .to_vec()
}
