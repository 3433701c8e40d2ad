//! What separates a guest from its host, in sentences. Pure but for looking at file systems.

use std::fmt::Write as _;
use std::path::Path;

use hull_container::owners::{self, Owners};
use hull_container::plan::LaunchPlan;
use hull_model::explain::{Explanation, Topic};
use hull_model::guest::GuestSpec;
use hull_model::id_range::{IdRange, Segment};
use hull_model::log::LogConfig;
use hull_model::mount::Source;
use hull_model::namespace::{Ipc, Network, Share, Users};
use hull_model::security::{CAPABILITIES, DEFAULT_CAPABILITIES, Seccomp};

use crate::record::{GuestRecord, MountPoint};

/// What there is to look at beside the record.
pub(crate) struct Seen<'a> {
    /// What it was started with, or would be.
    pub(crate) plan: &'a LaunchPlan,
    /// Its log.
    pub(crate) log: &'a Path,
    /// The kernel's version.
    pub(crate) kernel: (u32, u32),
}

/// Everything about the guest of `record`.
pub(crate) fn explain(record: &GuestRecord, seen: &Seen<'_>) -> Explanation {
    let spec = &record.spec;
    Explanation {
        topics: vec![
            users(record),
            namespaces(spec),
            privileges(record, seen.plan),
            files(record, seen),
            limits(spec, seen.plan),
            network(record),
            output(spec, seen.log),
        ],
    }
}

fn users(record: &GuestRecord) -> Topic {
    let mut topic = Topic::new("user namespace");
    if let Some(reason) = record.host_user {
        topic.because("users", "the host's: root here is root on the host", reason.reason());
        return topic;
    }
    let Some(range) = record.id_range else {
        topic.say("users", "its own; the ids are chosen when it starts");
        return topic;
    };
    let shared = match &record.spec.namespaces.user {
        Users::Guest(other) => format!("--userns=container:{other}"),
        Users::Default | Users::Auto { .. } | Users::KeepId(_) | Users::Host => {
            match record.spec.namespaces.others().next() {
                Some(other) => format!("it shares namespaces of container {other}, and its users"),
                None => String::new(),
            }
        }
    };
    topic.because("users", segments(&range.users()), shared);
    if range.users() != range.groups() {
        topic.say("groups", segments(&range.groups()));
    }
    if let Some(kept) = range.kept {
        let value =
            format!("{}:{} here is {}:{} there", kept.uid, kept.gid, kept.host_uid, kept.host_gid);
        topic.because("kept", value, "--userns=keep-id");
    }
    if range.size < IdRange::SIZE {
        topic.say(
            "missing",
            format!("ids from {} on: nobody can be them, no file can have them", range.size),
        );
    }
    topic
}

fn segments(segments: &[Segment]) -> String {
    let run = |first: u32, count: u32| match count {
        1 => first.to_string(),
        count => format!("{first}-{}", first.saturating_add(count - 1)),
    };
    let one = |segment: &Segment| {
        let Segment { inside, outside, count } = *segment;
        let verb = if count == 1 { "is" } else { "are" };
        format!("{} here {verb} {} on the host", run(inside, count), run(outside, count))
    };
    segments.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn namespaces(spec: &GuestSpec) -> Topic {
    let mut topic = Topic::new("namespaces");
    let own = &spec.namespaces;
    let of = |other: &String| (format!("that of container {other}"), format!("container:{other}"));
    let host = || ("the host's".to_owned(), "host".to_owned());
    let private = || ("its own".to_owned(), String::new());
    let mut say = |name: &str, flag: &str, (value, mode): (String, String)| {
        let why = if mode.is_empty() { mode } else { format!("--{flag}={mode}") };
        topic.because(name, value, why);
    };
    say(
        "network",
        "network",
        match &own.network {
            Network::Host => host(),
            Network::Guest(other) => of(other),
            Network::Bridge | Network::None | Network::Named(_) => private(),
        },
    );
    say(
        "processes",
        "pid",
        match &own.pid {
            Share::Host => host(),
            Share::Guest(other) => of(other),
            Share::Private => private(),
        },
    );
    say(
        "ipc",
        "ipc",
        match &own.ipc {
            Ipc::Host => host(),
            Ipc::Guest(other) => of(other),
            Ipc::Shareable => {
                ("its own; other containers may join".to_owned(), "shareable".to_owned())
            }
            Ipc::Private | Ipc::None => private(),
        },
    );
    let flag = |is_host: bool| if is_host { host() } else { private() };
    say("host name", "uts", flag(own.host_uts));
    say("cgroup", "cgroupns", flag(own.host_cgroup));
    say("mounts", "", private());
    topic
}

fn privileges(record: &GuestRecord, plan: &LaunchPlan) -> Topic {
    let security = &record.spec.security;
    let mut topic = Topic::new("privileges");
    if security.privileged {
        topic.because(
            "privileged",
            "yes: all capabilities, all devices, no filter",
            "--privileged",
        );
    }
    let bounding = plan.process.capabilities.bounding;
    let names: Vec<&str> = CAPABILITIES
        .iter()
        .enumerate()
        .filter(|(number, _)| bounding & 1 << number != 0)
        .map(|(_, name)| *name)
        .collect();
    let value = match names.len() {
        0 => "none".to_owned(),
        count if security.privileged => format!("all {count}"),
        count => format!("{count}: {}", names.join(" ")),
    };
    let added: Vec<&str> =
        names.iter().copied().filter(|name| !DEFAULT_CAPABILITIES.contains(name)).collect();
    let why = match added.is_empty() || security.privileged {
        true => String::new(),
        false => format!("beyond the default: {}", added.join(" ")),
    };
    topic.because("capabilities", value, why);
    if record.host_user.is_none() && !names.is_empty() {
        topic.say("their reach", "only what belongs to its user namespace");
    }
    let program = plan.process.seccomp.program.len();
    match &security.seccomp {
        _ if program > 0 => {
            let profile = match &security.seccomp {
                Seccomp::Profile(_) => "a profile of the user's",
                Seccomp::Default | Seccomp::Builtin | Seccomp::Unconfined => {
                    "Docker's default profile"
                }
            };
            topic.say("system calls", format!("{profile}, {program} instructions"));
        }
        Seccomp::Unconfined => {
            topic.because("system calls", "all", "--security-opt seccomp=unconfined");
        }
        _ if security.privileged => topic.because("system calls", "all", "--privileged"),
        Seccomp::Default | Seccomp::Builtin | Seccomp::Profile(_) => {
            topic.because("system calls", "all", "neither the daemon nor this kernel filters");
        }
    }
    match plan.process.no_new_privileges {
        true => {
            topic.because("setuid programs", "have no effect", "--security-opt no-new-privileges");
        }
        false => topic.say("setuid programs", "work, within the capabilities above"),
    }
    let user = if record.spec.process.user.is_empty() { "root" } else { &record.spec.process.user };
    topic.say("runs as", user);
    topic
}

fn files(record: &GuestRecord, seen: &Seen<'_>) -> Topic {
    let spec = &record.spec;
    let mut topic = Topic::new("files");
    let root = if spec.root_read_only { "read-only" } else { "a layer of its own over the image" };
    topic.say("/", format!("{root}{}", mapped(record, None)));
    for mount in &record.mounts {
        let (value, why) = mounted(record, mount, seen.kernel);
        topic.because(mount.target.as_str(), value, why);
    }
    for mount in &spec.mounts {
        if let Source::Tmpfs { size, .. } = &mount.source {
            let size = size
                .map_or("half of the memory".to_owned(), |size| format!("{} bytes", size.get()));
            topic.say(mount.target.as_str(), format!("memory, at most {size}"));
        }
    }
    let list = |paths: &[String], none: &str| match paths.is_empty() {
        true => none.to_owned(),
        false => paths.join(" "),
    };
    topic.say("hidden", list(&seen.plan.masked, "nothing"));
    topic.say("protected", list(&seen.plan.read_only, "nothing"));
    let devices = match spec.security.privileged {
        true => "all of the host".to_owned(),
        false => {
            let paths: Vec<_> = seen.plan.devices.iter().map(|one| one.path.clone()).collect();
            paths.join(" ")
        }
    };
    topic.say("devices", devices);
    topic
}

/// How the owners on a file system appear inside; `None` for the guest's own layers, which are
/// mapped or it has no user namespace.
fn mapped(record: &GuestRecord, unmapped: Option<&str>) -> &'static str {
    match (record.host_user, unmapped) {
        (Some(_), _) => "",
        (None, Some(_)) => "; its files belong to nobody here",
        (None, None) => "; owners as on disk",
    }
}

fn mounted(record: &GuestRecord, mount: &MountPoint, kernel: (u32, u32)) -> (String, String) {
    let fixed = match owners::of(&mount.source, kernel) {
        Ok(Owners::Fixed(name)) => Some(name),
        Ok(Owners::Mappable | Owners::Unknown) | Err(_) => None,
    };
    let mut value = match &mount.volume {
        Some(name) => format!("volume {}", name.as_str()),
        None => format!("the host's {}", mount.source.display()),
    };
    if mount.read_only {
        value.push_str(", read-only");
    }
    value.push_str(mapped(record, fixed));
    let why = match fixed {
        Some(name) if record.host_user.is_none() => format!("{name} cannot map owners"),
        _ => String::new(),
    };
    (value, why)
}

fn limits(spec: &GuestSpec, plan: &LaunchPlan) -> Topic {
    let mut topic = Topic::new("limits");
    let mut paths: Vec<String> =
        plan.cgroup.directories.iter().map(|one| one.path.display().to_string()).collect();
    paths.sort();
    paths.dedup();
    topic.say("cgroup", format!("/{}", paths.join(" /")));
    for directory in &plan.cgroup.directories {
        for write in directory.writes.iter().filter(|write| !write.file.starts_with("devices.")) {
            topic.say(write.file.as_str(), write.value.as_str());
        }
    }
    let shown = |limit: Option<u64>| limit.map_or("no limit".to_owned(), |limit| limit.to_string());
    for limit in &spec.limits.rlimits {
        let value = format!("{}, up to {}", shown(limit.soft), shown(limit.hard));
        topic.because(format!("ulimit {}", limit.resource.name()), value, "each process");
    }
    topic
}

fn network(record: &GuestRecord) -> Topic {
    let mut topic = Topic::new("network");
    match &record.spec.namespaces.network {
        Network::None => topic.say("connected to", "nothing"),
        Network::Host => topic.say("connected to", "everything the host is"),
        Network::Guest(other) => topic.say("connected to", format!("what container {other} is")),
        Network::Bridge => topic.say("connected to", "bridge"),
        Network::Named(name) => topic.say("connected to", name.as_str()),
    }
    if let Some(endpoint) = &record.endpoint {
        topic.say("address", format!("{}/{}", endpoint.address, endpoint.prefix));
    }
    topic
}

fn output(spec: &GuestSpec, log: &Path) -> Topic {
    let mut topic = Topic::new("output");
    match spec.log {
        LogConfig::Discard => topic.because("log", "not kept", "--log-driver=none"),
        LogConfig::JsonFile(rotation) => {
            let mut value = log.display().to_string();
            if let Some(size) = rotation.size_max {
                write!(value, ", {} x {} bytes at most", rotation.files, size.get())
                    .unwrap_or_default();
            }
            topic.say("log", value);
        }
    }
    topic
}
