//! A spec, what is known about the host and what the engine decided, put together to a plan.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use hull_model::guest::GuestSpec;
use hull_model::id::GuestId;
use hull_model::id_range::{IdRange, Segment};
use hull_model::name::Name;
use hull_model::namespace::{Ipc, Network, Partner, Share, Users};
use hull_model::process::ExecSpec;
use hull_model::security::Seccomp as Wanted;

use super::{
    Capabilities, Device, ExecPlan, IdMap, Identity, LaunchPlan, Namespace, Namespaces, NodeKind,
    Process, Rlimit, Root, Rootfs, Seccomp, Time, User, capabilities, cgroups, device_rules,
    mounts,
};
use crate::host::{GrantedDevice, HostFacts};
use crate::seccomp::{self, ProfileError};
use crate::systemd;

/// What a launch depends on beside the spec.
#[derive(Clone, Debug)]
pub struct LaunchContext<'a> {
    /// The guest.
    pub id: GuestId,
    /// The host.
    pub host: &'a HostFacts,
    /// The host ids of a user namespace; `None` for the host's. With partners that have one, theirs.
    pub ids: Option<IdRange>,
    /// Its root.
    pub root: Rootfs,
    /// Files that the engine keeps for it on the host (`hosts`, `resolv.conf`, …) and their targets.
    pub files: &'a [(PathBuf, String)],
    /// Where named volumes are.
    pub volumes: &'a BTreeMap<Name, PathBuf>,
    /// What [`crate::host::devices`] gave for its devices, or [`crate::host::all_devices`] for a
    /// privileged guest.
    pub devices: &'a [GrantedDevice],
    /// The init program on the host, if it is to have one.
    pub init: Option<PathBuf>,
    /// The daemon's parent for cgroups, where the spec names none (`/hull`).
    pub cgroup_parent: &'a str,
    /// Compiled filters.
    pub seccomp: &'a seccomp::Cache,
    /// Guests it shares namespaces with.
    pub partners: Partners,
}

/// The guests whose namespaces are shared, found by the engine; all must run.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Partners {
    /// For [`Network::Guest`].
    pub network: Option<Partner>,
    /// For [`Share::Guest`] of `pid`.
    pub pid: Option<Partner>,
    /// For [`Ipc::Guest`].
    pub ipc: Option<Partner>,
    /// For [`Users::Guest`].
    pub user: Option<Partner>,
}

/// What an exec depends on beside the specs.
#[derive(Clone, Debug)]
pub struct ExecContext<'a> {
    /// The guest.
    pub id: GuestId,
    /// The host.
    pub host: &'a HostFacts,
    /// As at its launch.
    pub ids: Option<IdRange>,
    /// As at its launch.
    pub cgroup_parent: &'a str,
    /// Compiled filters.
    pub seccomp: &'a seccomp::Cache,
}

/// No plan can be made.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message says what its fields are")]
pub enum PlanError {
    /// Neither image nor user says what to run.
    #[error("no command specified")]
    NoCommand,
    /// The filter cannot be made.
    #[error(transparent)]
    Seccomp(#[from] ProfileError),
    /// A limit cannot be kept.
    #[error(transparent)]
    Limits(#[from] cgroups::LimitError),
    /// It could lead anywhere.
    #[error("device {path:?} must be an absolute path without '..' inside the guest")]
    Device { path: String },
    /// The engine did not say where it is.
    #[error("mount at {target}: volume {name:?} is not known")]
    NoVolume { target: String, name: Option<Name> },
    /// Not an option of tmpfs.
    #[error("invalid tmpfs option {option:?} for {target}")]
    TmpfsOption { target: String, option: String },
    /// It would leave the hierarchy.
    #[error("invalid cgroup parent {0:?}: it must be a plain path")]
    CgroupParent(String),
    /// The engine did not say who it is.
    #[error("the guest whose {0} namespace is to be shared does not run")]
    NoPartner(&'static str),
    /// The init program lies below `/dev`.
    #[error("an init cannot be used together with a mount on /dev")]
    InitHidden,
    /// Relative to what, nobody could say.
    #[error("the working directory '{0}' is invalid, it needs to be an absolute path")]
    Directory(String),
}

/// The launch of the guest that `spec` (with the image's part filled in) describes.
pub fn launch(spec: &GuestSpec, cx: &LaunchContext<'_>) -> Result<LaunchPlan, PlanError> {
    let hostname = hostname(spec, cx.id);
    let namespaces = namespaces(spec, cx)?;
    let own_network = namespaces.net == Namespace::New;
    let path = cgroup_path(spec, cx.cgroup_parent, cx.id)?;
    let privileged = spec.security.privileged;
    let rules = device_rules::all(cx.devices, &spec.security.device_rules);
    let filtered = if privileged { None } else { Some(rules.as_slice()) };
    if cx.init.is_some() && spec.mounts.iter().any(|mount| mount.target.as_str() == "/dev") {
        return Err(PlanError::InitHidden);
    }
    let args = spec.process.args();
    if args.is_empty() {
        return Err(PlanError::NoCommand);
    }
    let capabilities = capabilities::of(&spec.security, cx.host.last_capability);
    let process = Process {
        args,
        env: environment(spec, &hostname, spec.streams.tty, &[]),
        cwd: directory(spec.process.cwd.as_deref(), None)?,
        make_cwd: true,
        identity: identity(spec, &spec.process.user),
        capabilities,
        no_new_privileges: spec.security.no_new_privileges.unwrap_or_default(),
        seccomp: filter(spec, capabilities, privileged, (cx.host, cx.seccomp))?,
        rlimits: rlimits(spec),
        umask: 0o022,
        terminal: spec.streams.tty,
        ..Process::default()
    };
    Ok(LaunchPlan {
        id: cx.id.to_string(),
        cgroup: cgroups::guest(&spec.limits, filtered, &path, cx.host)?,
        root: Root { files: cx.root.clone(), read_only: spec.root_read_only, ..Root::default() },
        mounts: mounts(spec, cx, &path)?,
        devices: devices(cx.devices)?,
        masked: mounts::masked(spec, cx.host),
        read_only: mounts::read_only(spec),
        sysctls: sysctls(spec, own_network, cx.ids),
        hostname: Some(hostname),
        domainname: Some(spec.domainname.clone()).filter(|name| !name.is_empty()),
        oom_score_adj: Some(spec.limits.oom_score_adj),
        init: cx.init.clone(),
        namespaces,
        process,
        ..LaunchPlan::default()
    })
}

/// A process added to the guest that `spec` describes.
pub fn exec(
    spec: &GuestSpec,
    exec: &ExecSpec,
    cx: &ExecContext<'_>,
) -> Result<ExecPlan, PlanError> {
    if exec.args.is_empty() {
        return Err(PlanError::NoCommand);
    }
    let privileged = spec.security.privileged || exec.privileged;
    let last = cx.host.last_capability;
    let capabilities = if exec.privileged {
        capabilities::same(capabilities::all(last))
    } else {
        capabilities::of(&spec.security, last)
    };
    let user = if exec.user.is_empty() { &spec.process.user } else { &exec.user };
    let process = Process {
        args: exec.args.clone(),
        env: environment(spec, &hostname(spec, cx.id), exec.streams.tty, &exec.env),
        cwd: directory(exec.cwd.as_deref(), spec.process.cwd.as_deref())?,
        make_cwd: false,
        identity: identity(spec, user),
        capabilities,
        no_new_privileges: spec.security.no_new_privileges.unwrap_or_default(),
        seccomp: filter(spec, capabilities, privileged, (cx.host, cx.seccomp))?,
        rlimits: rlimits(spec),
        umask: 0o022,
        terminal: exec.streams.tty,
        ..Process::default()
    };
    let path = cgroup_path(spec, cx.cgroup_parent, cx.id)?;
    Ok(ExecPlan {
        id: cx.id.to_string(),
        cgroup: cgroups::cgroup(&path, cx.host),
        namespaces: joined(spec, cx.ids),
        oom_score_adj: Some(spec.limits.oom_score_adj),
        process,
        ..ExecPlan::default()
    })
}

fn identity(spec: &GuestSpec, user: &str) -> Identity {
    Identity::Named { user: user.to_owned(), groups: spec.process.groups.clone() }
}

fn mounts(
    spec: &GuestSpec,
    cx: &LaunchContext<'_>,
    cgroup: &Path,
) -> Result<Vec<super::Mount>, PlanError> {
    let all = mounts::all(spec, cx.files, cx.volumes, (cx.host, cx.partners.ipc))?;
    match spec.namespaces.host_cgroup && cx.ids.is_some() {
        true => Ok(mounts::without_cgroup_namespace(all, cgroup, cx.host)),
        false => Ok(all),
    }
}

fn hostname(spec: &GuestSpec, id: GuestId) -> String {
    if spec.hostname.is_empty() { id.short() } else { spec.hostname.clone() }
}

fn directory(own: Option<&str>, guests: Option<&str>) -> Result<String, PlanError> {
    let given = |text: &&str| !text.is_empty();
    let cwd = own.filter(given).or(guests.filter(given)).unwrap_or("/");
    if cwd.starts_with('/') {
        Ok(cwd.to_owned())
    } else {
        Err(PlanError::Directory(cwd.to_owned()))
    }
}

fn namespaces(spec: &GuestSpec, cx: &LaunchContext<'_>) -> Result<Namespaces, PlanError> {
    let partners = cx.partners;
    let join = |partner: Option<Partner>, kind: &'static str| {
        let partner = partner.ok_or(PlanError::NoPartner(kind))?;
        Ok::<_, PlanError>(Namespace::Join(format!("/proc/{}/ns/{kind}", partner.pid).into()))
    };
    let net = match spec.namespaces.network {
        Network::Host => Namespace::Host,
        Network::Guest(_) => join(partners.network, "net")?,
        Network::Bridge | Network::None | Network::Named(_) => Namespace::New,
    };
    let pid = match spec.namespaces.pid {
        Share::Host => Namespace::Host,
        Share::Guest(_) => join(partners.pid, "pid")?,
        Share::Private => Namespace::New,
    };
    let ipc = match spec.namespaces.ipc {
        Ipc::Host => Namespace::Host,
        Ipc::Guest(_) => join(partners.ipc, "ipc")?,
        Ipc::Private | Ipc::Shareable | Ipc::None => Namespace::New,
    };
    let own = |shared: bool| if shared { Namespace::Host } else { Namespace::New };
    let joins = |one: &Namespace| matches!(one, Namespace::Join(_));
    // Whoever shares a namespace must have the user namespace that owns it: without its
    // capabilities it could neither mount /proc of it nor configure its network.
    let partner = [(&net, partners.network), (&pid, partners.pid), (&ipc, partners.ipc)]
        .into_iter()
        .find_map(|(one, partner)| partner.filter(|_| joins(one)));
    let partner = match spec.namespaces.user {
        Users::Guest(_) => Some(partners.user.ok_or(PlanError::NoPartner("user"))?),
        Users::Default | Users::Auto { .. } | Users::KeepId(_) | Users::Host => partner,
    };
    let user = match (cx.ids, partner) {
        (None, _) => User::Host,
        (Some(_theirs), Some(partner)) => {
            User::Join(format!("/proc/{}/ns/user", partner.pid).into())
        }
        (Some(range), None) => made(range),
    };
    let (uts, cgroup) = (own(spec.namespaces.host_uts), own(spec.namespaces.host_cgroup));
    let (mount, time) = (Namespace::New, Time::Host);
    Ok(Namespaces { user, mount, pid, ipc, uts, net, cgroup, time })
}

/// A user namespace of the guest's own.
fn made(range: IdRange) -> User {
    let map = |Segment { inside, outside, count }| IdMap { inside, outside, count };
    let uids = range.users().into_iter().map(map).collect();
    User::New { uids, gids: range.groups().into_iter().map(map).collect() }
}

/// Which namespaces of the first process an exec has to join: all but the host's.
fn joined(spec: &GuestSpec, ids: Option<IdRange>) -> Namespaces {
    let own = |shared: bool| if shared { Namespace::Host } else { Namespace::New };
    let shared = &spec.namespaces;
    Namespaces {
        user: ids.map_or(User::Host, made),
        pid: own(shared.pid == Share::Host),
        ipc: own(shared.ipc == Ipc::Host),
        uts: own(shared.host_uts),
        net: own(shared.network == Network::Host),
        cgroup: own(shared.host_cgroup),
        ..Namespaces::default()
    }
}

/// Where the guest's cgroup is, relative to each hierarchy's mount. `default` is the parent for
/// guests that name none.
///
/// A parent that is a slice is systemd's: the guest is a scope in it, which somebody asks systemd for
/// ([`crate::systemd::start`]) before the launch.
pub fn cgroup_path(spec: &GuestSpec, default: &str, id: GuestId) -> Result<PathBuf, PlanError> {
    let parent = if spec.cgroup_parent.is_empty() { default } else { &spec.cgroup_parent };
    if parent.ends_with(".slice") {
        return Ok(systemd::slice_path(parent)?.join(systemd::scope_name(&id.to_string())));
    }
    let relative = Path::new(parent.trim_start_matches('/'));
    if !relative.components().all(|part| matches!(part, Component::Normal(_))) {
        return Err(PlanError::CgroupParent(parent.to_owned()));
    }
    Ok(relative.join(id.to_string()))
}

/// Docker's environment: `PATH`, `HOSTNAME` and `TERM`, then the guest's, then the exec's own;
/// a later word replaces an earlier one, and a name without `=` takes it away.
fn environment(
    spec: &GuestSpec,
    hostname: &str,
    terminal: bool,
    further: &[String],
) -> Vec<String> {
    /// moby `oci/defaults.go`.
    const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let mut env = vec![PATH.to_owned(), format!("HOSTNAME={hostname}")];
    if terminal {
        env.push("TERM=xterm".to_owned());
    }
    for entry in spec.process.env.iter().chain(further) {
        let name = entry.split_once('=').map_or(entry.as_str(), |(name, _)| name);
        let at = env.iter().position(|old| old.split_once('=').is_some_and(|(old, _)| old == name));
        match (at, entry.contains('=')) {
            (Some(at), true) => env[at].clone_from(entry),
            (Some(at), false) => drop(env.remove(at)),
            (None, true) => env.push(entry.clone()),
            (None, false) => {}
        }
    }
    env
}

fn filter(
    spec: &GuestSpec,
    capabilities: Capabilities,
    privileged: bool,
    (host, cache): (&HostFacts, &seccomp::Cache),
) -> Result<Seccomp, PlanError> {
    let text = match &spec.security.seccomp {
        Wanted::Unconfined => return Ok(Seccomp::default()),
        _ if privileged || !host.seccomp => return Ok(Seccomp::default()),
        Wanted::Default | Wanted::Builtin => seccomp::DEFAULT,
        Wanted::Profile(text) => text,
    };
    let host = seccomp::Host { kernel: host.kernel };
    Ok(cache.compile(text, capabilities.bounding, &host)?.as_ref().clone())
}

fn rlimits(spec: &GuestSpec) -> Vec<Rlimit> {
    let one = |limit: &hull_model::limits::Rlimit| Rlimit {
        resource: limit.resource as u8,
        soft: limit.soft,
        hard: limit.hard,
    };
    spec.limits.rlimits.iter().map(one).collect()
}

/// Docker's nodes, then those granted.
fn devices(granted: &[GrantedDevice]) -> Result<Vec<Device>, PlanError> {
    let usual = [
        ("null", 1, 3),
        ("zero", 1, 5),
        ("full", 1, 7),
        ("random", 1, 8),
        ("urandom", 1, 9),
        ("tty", 5, 0),
    ];
    let node = |(name, major, minor)| Device {
        path: format!("/dev/{name}"),
        kind: NodeKind::Character,
        major,
        minor,
        mode: 0o666,
        uid: 0,
        gid: 0,
    };
    let mut all: Vec<Device> = usual.into_iter().map(node).collect();
    for GrantedDevice { node, .. } in granted {
        let below = node.path.strip_prefix('/').map(Path::new);
        let plain =
            |path: &Path| path.components().all(|part| matches!(part, Component::Normal(_)));
        if !below.is_some_and(|path| plain(path) && !path.as_os_str().is_empty()) {
            return Err(PlanError::Device { path: node.path.clone() });
        }
        all.push(node.clone());
    }
    Ok(all)
}

/// Docker's defaults for a network namespace of its own (moby `daemon/oci_linux.go`), then the
/// user's: any port may be bound, anybody may ping.
fn sysctls(spec: &GuestSpec, own_network: bool, ids: Option<IdRange>) -> Vec<(String, String)> {
    let mut all = BTreeMap::new();
    if own_network {
        // The kernel wants groups that exist.
        let last = ids.map_or(0x7fff_ffff, |range| range.size.saturating_sub(1));
        let groups = format!("0 {last}");
        all.insert("net.ipv4.ip_unprivileged_port_start".to_owned(), "0".to_owned());
        all.insert("net.ipv4.ping_group_range".to_owned(), groups);
    }
    all.extend(spec.security.sysctls.clone());
    all.into_iter().collect()
}

#[cfg(test)]
mod tests;
