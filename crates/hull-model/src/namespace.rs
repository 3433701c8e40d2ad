//! Which parts of the system a guest has for itself, and which it shares.

use serde::{Deserialize, Serialize};

use crate::id::GuestId;
use crate::id_range::{IdRange, Kept};
use crate::security::Security;

/// A guest's namespaces. The default is everything of its own.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Namespaces {
    /// Links, addresses, ports.
    pub network: Network,
    /// Processes.
    pub pid: Share,
    /// System V IPC and POSIX message queues, and `/dev/shm`.
    pub ipc: Ipc,
    /// Host name. `true` shares the host's.
    pub host_uts: bool,
    /// `true` shows the host's cgroup tree.
    pub host_cgroup: bool,
    /// Which ids of the host its users are.
    pub user: Users,
}

/// Which user namespace was asked for.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub enum Users {
    /// None: one of its own, unless the daemon's default or another option says otherwise.
    #[default]
    Default,
    /// One of its own with this many ids, whatever the daemon's default.
    Auto {
        /// At least 1.
        size: u32,
    },
    /// One of its own, in which one user is the host's.
    KeepId(Kept),
    /// The host's: root inside is root outside.
    Host,
    /// Another guest's, named as the user wrote it.
    Guest(String),
}

/// What guests get that ask for no user namespace: the daemon's setting.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum UsersDefault {
    /// One of their own, each another range.
    #[default]
    Own,
    /// The host's, as with Docker.
    Host,
    /// One of their own, all with this range (Docker's `userns-remap`).
    Shared(IdRange),
}

/// How a guest is connected.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub enum Network {
    /// The default bridge.
    #[default]
    Bridge,
    /// Only a loopback interface.
    None,
    /// The host's own network.
    Host,
    /// Another guest's network. The text is what the user wrote; the engine resolves it at start.
    Guest(String),
    /// A network made by a user.
    Named(String),
}

/// A namespace that can be shared with the host or another guest.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub enum Share {
    /// Its own.
    #[default]
    Private,
    /// The host's.
    Host,
    /// Another guest's, named as the user wrote it.
    Guest(String),
}

/// The IPC namespace and `/dev/shm`.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub enum Ipc {
    /// Its own, and nobody can join it.
    #[default]
    Private,
    /// Its own; others may join it.
    Shareable,
    /// Its own, without `/dev/shm`.
    None,
    /// The host's.
    Host,
    /// Another guest's, named as the user wrote it.
    Guest(String),
}

/// Why a guest runs in the host's user namespace although the default is one of its own.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum HostUser {
    /// `--userns=host`.
    Asked,
    /// `--privileged` promises power over the host.
    Privileged,
    /// `--network=host`: the network namespace belongs to the host's user namespace.
    Network,
    /// `--pid=host`.
    Pid,
    /// `--ipc=host`.
    Ipc,
    /// A device whose driver asks for power over the host.
    Device,
    /// It shares namespaces with a guest that is in the host's.
    Partner,
    /// The daemon's default was set to `host`.
    Daemon,
    /// Owners of files cannot be mapped where the data is.
    Unmappable,
}

impl HostUser {
    /// The reason as `inspect` and `explain` show it.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Asked => "--userns=host was asked for",
            Self::Privileged => "--privileged needs the host's user namespace",
            Self::Network => "--network=host needs the host's user namespace",
            Self::Pid => "--pid=host needs the host's user namespace",
            Self::Ipc => "--ipc=host needs the host's user namespace",
            Self::Device => "the driver of a --device needs the host's user namespace",
            Self::Partner => "it shares namespaces with a container in the host's user namespace",
            Self::Daemon => "the daemon runs with --userns-default=host",
            Self::Unmappable => {
                "this kernel cannot map the owners of files where the daemon's data is"
            }
        }
    }
}

/// Devices whose drivers ask for capabilities over the host (`CAP_SYS_RAWIO`, `CAP_SYSLOG`, a mount
/// by `CAP_SYS_ADMIN`), which nobody has in another user namespace; a directory ends in a slash.
const HOST_DEVICES: [&str; 8] = [
    "/dev/mem",
    "/dev/kmem",
    "/dev/port",
    "/dev/kmsg",
    "/dev/nvram",
    "/dev/loop-control",
    "/dev/cpu/",
    "/dev/mcelog",
];

impl Namespaces {
    /// Why these settings rule out a user namespace of the guest's own, if they do. Who asks for one
    /// by name gets it.
    pub fn host_user_reason(&self, security: &Security) -> Option<HostUser> {
        match self {
            Self { user: Users::Host, .. } => Some(HostUser::Asked),
            Self { user: Users::Auto { .. } | Users::KeepId(_) | Users::Guest(_), .. } => None,
            _ if security.privileged => Some(HostUser::Privileged),
            Self { network: Network::Host, .. } => Some(HostUser::Network),
            Self { pid: Share::Host, .. } => Some(HostUser::Pid),
            Self { ipc: Ipc::Host, .. } => Some(HostUser::Ipc),
            _ if security.devices.iter().any(|device| needs_host(&device.host)) => {
                Some(HostUser::Device)
            }
            _ => None,
        }
    }

    /// The option that cannot be together with the user namespace asked for: who has no power over
    /// the host cannot mount `/sys` of its network or `/proc` of its processes.
    pub fn user_conflict(&self) -> Option<&'static str> {
        match self {
            Self { user: Users::Default | Users::Host, .. } => None,
            Self { network: Network::Host, .. } => Some("--network=host"),
            Self { pid: Share::Host, .. } => Some("--pid=host"),
            Self { ipc: Ipc::Host, .. } => Some("--ipc=host"),
            _ => None,
        }
    }

    /// The other guests, as the user named them, that must run for this one to start.
    pub fn others(&self) -> impl Iterator<Item = &str> {
        let network = match &self.network {
            Network::Guest(other) => Some(other),
            Network::Bridge | Network::None | Network::Host | Network::Named(_) => None,
        };
        let pid = match &self.pid {
            Share::Guest(other) => Some(other),
            Share::Private | Share::Host => None,
        };
        let ipc = match &self.ipc {
            Ipc::Guest(other) => Some(other),
            Ipc::Private | Ipc::Shareable | Ipc::None | Ipc::Host => None,
        };
        let user = match &self.user {
            Users::Guest(other) => Some(other),
            Users::Default | Users::Auto { .. } | Users::KeepId(_) | Users::Host => None,
        };
        [network, pid, ipc, user].into_iter().flatten().map(String::as_str)
    }
}

/// A namespace-sharing partner found: its id and its first process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Partner {
    /// Which guest.
    pub id: GuestId,
    /// Its first process, on the host.
    pub pid: u32,
}

fn needs_host(device: &str) -> bool {
    HOST_DEVICES.iter().any(|known| {
        device == known.trim_end_matches('/') || known.ends_with('/') && device.starts_with(known)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::security::Device;

    fn reason(set: impl FnOnce(&mut Namespaces, &mut Security)) -> Option<HostUser> {
        let (mut namespaces, mut security) = (Namespaces::default(), Security::default());
        set(&mut namespaces, &mut security);
        namespaces.host_user_reason(&security)
    }

    #[test]
    fn what_needs_the_host_switches_the_user_namespace_off() {
        let device = |path: &str| Device {
            host: path.to_owned(),
            guest: path.to_owned(),
            access: "rwm".to_owned(),
        };
        assert_eq!(reason(|_, _| {}), None);
        assert_eq!(reason(|n, _| n.user = Users::Host), Some(HostUser::Asked));
        assert_eq!(reason(|_, s| s.privileged = true), Some(HostUser::Privileged));
        assert_eq!(reason(|n, _| n.network = Network::Host), Some(HostUser::Network));
        assert_eq!(reason(|n, _| n.pid = Share::Host), Some(HostUser::Pid));
        assert_eq!(reason(|n, _| n.ipc = Ipc::Host), Some(HostUser::Ipc));
        for path in ["/dev/mem", "/dev/cpu", "/dev/cpu/0/msr"] {
            assert_eq!(reason(|_, s| s.devices = vec![device(path)]), Some(HostUser::Device));
        }
        for path in ["/dev/fuse", "/dev/net/tun", "/dev/kvm", "/dev/memx", "/dev/cpu_dma_latency"] {
            assert_eq!(reason(|_, s| s.devices = vec![device(path)]), None, "{path}");
        }
    }

    #[test]
    fn who_asks_for_a_user_namespace_gets_it_or_is_told_what_forbids_it() {
        let own = |n: &mut Namespaces| n.user = Users::Auto { size: 65_536 };
        let privileged = |n: &mut Namespaces, s: &mut Security| {
            own(n);
            s.privileged = true;
        };
        assert_eq!(reason(privileged), None);
        let mut namespaces = Namespaces { network: Network::Host, ..Namespaces::default() };
        assert_eq!(namespaces.user_conflict(), None);
        own(&mut namespaces);
        assert_eq!(namespaces.user_conflict(), Some("--network=host"));
        namespaces.user = Users::Guest("other".to_owned());
        assert!(namespaces.user_conflict().is_some());
        assert_eq!(namespaces.others().collect::<Vec<_>>(), ["other"]);
    }
}
