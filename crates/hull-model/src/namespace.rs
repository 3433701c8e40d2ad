//! Which parts of the system a guest has for itself, and which it shares.

use serde::{Deserialize, Serialize};

use crate::id::GuestId;

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
    /// `true` asks for the host's user namespace: root inside is root outside.
    pub host_user: bool,
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
    /// It shares namespaces with a guest that is in the host's.
    Partner,
    /// The daemon's default was set to `host`.
    Daemon,
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
            Self::Partner => "it shares namespaces with a container in the host's user namespace",
            Self::Daemon => "the daemon runs with --userns-default=host",
        }
    }
}

impl Namespaces {
    /// Why these settings rule out a user namespace of the guest's own, if they do.
    pub fn host_user_reason(&self, privileged: bool) -> Option<HostUser> {
        match self {
            Self { host_user: true, .. } => Some(HostUser::Asked),
            _ if privileged => Some(HostUser::Privileged),
            Self { network: Network::Host, .. } => Some(HostUser::Network),
            Self { pid: Share::Host, .. } => Some(HostUser::Pid),
            Self { ipc: Ipc::Host, .. } => Some(HostUser::Ipc),
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
        [network, pid, ipc].into_iter().flatten().map(String::as_str)
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
