//! What an engine is told when it is opened.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use hull_model::guest::Dns;
use hull_model::id_range::{IdPool, Span};
use hull_model::limits::Rlimit;
use hull_model::log::LogConfig;
use hull_model::namespace::UsersDefault;

/// All settings of an engine.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where everything that lasts is kept; made with mode 0700.
    pub data_root: PathBuf,
    /// Where what lasts until the host restarts is kept; made with mode 0700.
    pub exec_root: PathBuf,
    /// Host ids for user namespaces.
    pub id_pool: IdPool,
    /// Host ids that are somebody else's, and never handed out.
    pub ids_taken: Vec<Span>,
    /// What guests get that ask for no user namespace.
    pub users: UsersDefault,
    /// The default network.
    pub bridge: Bridge,
    /// Who makes the guests' cgroups.
    pub cgroup_driver: CgroupDriver,
    /// Below which cgroup the guests' cgroups are made, from the root of each hierarchy; a slice where
    /// systemd makes them.
    pub cgroup_parent: String,
    /// For guests that do not say where their output goes.
    pub log: LogConfig,
    /// For guests that do not say whether they want an init.
    pub init: bool,
    /// For guests that do not say whether programs may give them privileges.
    pub no_new_privileges: bool,
    /// The system call filter of guests that name none.
    pub seccomp: hull_model::security::Seccomp,
    /// For guests that set no name servers.
    pub dns: Dns,
    /// For guests that do not limit a resource themselves.
    pub rlimits: Vec<Rlimit>,
    /// Where files of the Container Device Interface are; of two that define a device, the one in
    /// the later directory goes first.
    pub cdi_directories: Vec<PathBuf>,
    /// Free `key=value` pairs shown in `info`.
    pub labels: Vec<String>,
    /// How long guests may take to end when all are stopped.
    pub shutdown_timeout: Duration,
    /// How to reach registries.
    pub registries: hull_registry::Config,
}

/// Who makes the guests' cgroups.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum CgroupDriver {
    /// We do.
    #[default]
    Cgroupfs,
    /// systemd does, as transient scopes.
    Systemd,
}

impl CgroupDriver {
    /// As Docker names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cgroupfs => "cgroupfs",
            Self::Systemd => "systemd",
        }
    }
}

/// The default bridge network.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Bridge {
    /// Not made at all (`"bridge": "none"` of Docker's daemon.json).
    pub disabled: bool,
    /// The bridge's address and the length of its prefix; `None` picks a free one.
    pub address: Option<(Ipv4Addr, u8)>,
    /// Its MTU; `None` for the host's default route's.
    pub mtu: Option<u32>,
}
