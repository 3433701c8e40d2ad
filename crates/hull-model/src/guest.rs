//! What a user asked a guest to be.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::bytes::Bytes;
use crate::image::Healthcheck;
use crate::limits::Limits;
use crate::log::LogConfig;
use crate::mount::Mount;
use crate::namespace::Namespaces;
use crate::process::{Process, Streams};
use crate::restart::RestartPolicy;
use crate::security::Security;
use crate::signal::Signal;

/// A guest, complete: everything that is decided before it is made.
///
/// As a user asked for it, until `merge` has filled in what the image says; then as it will run.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct GuestSpec {
    /// The image, as the user named it.
    pub image: String,
    /// Host name inside; empty for the guest's short id.
    pub hostname: String,
    /// NIS domain name inside.
    pub domainname: String,
    /// What runs.
    pub process: Process,
    /// How it is connected to the outside.
    pub streams: Streams,
    /// What is mounted beside the root, in the order given.
    pub mounts: Vec<Mount>,
    /// Whether the root can be written.
    pub root_read_only: bool,
    /// What it has for itself.
    pub namespaces: Namespaces,
    /// What it may use.
    pub limits: Limits,
    /// What it may do.
    pub security: Security,
    /// A small init as process 1 that forwards signals and reaps; `None` for the daemon's default.
    pub init: Option<bool>,
    /// When it is started again.
    pub restart: RestartPolicy,
    /// Whether it is removed when it ends.
    pub auto_remove: bool,
    /// How it is asked to end; `None` for the image's signal, or SIGTERM.
    pub stop_signal: Option<Signal>,
    /// How long it may take to end before it is killed; `None` for the default, 10 s.
    pub stop_timeout: Option<StopTimeout>,
    /// Where its output goes.
    pub log: LogConfig,
    /// Free key-value pairs that filters look at.
    pub labels: BTreeMap<String, String>,
    /// Free key-value pairs for the runtime.
    pub annotations: BTreeMap<String, String>,
    /// Name resolution.
    pub dns: Dns,
    /// `name:address` lines for `/etc/hosts`.
    pub extra_hosts: Vec<String>,
    /// Size of `/dev/shm`; `None` for 64 MiB.
    pub shm_size: Option<Bytes>,
    /// Ports it says it listens on, `80/tcp`. Information only.
    pub exposed_ports: Vec<String>,
    /// How to test that it works.
    pub healthcheck: Option<Healthcheck>,
    /// Runs the health check's shell form; empty for the image's, or `/bin/sh -c`.
    pub shell: Vec<String>,
    /// Guests whose mounts it gets as well.
    pub volumes_from: Vec<VolumesFrom>,
    /// Parent of its cgroup; empty for the daemon's.
    pub cgroup_parent: String,
    /// What a face was told in other words than these fields keep (`--cpus` for a quota, `-v a:b:z`
    /// for a mount), by the face's own names, so that it can show them again. Opaque to everybody
    /// else, and nothing is ever decided by it.
    pub as_sent: BTreeMap<String, String>,
}

/// How long a guest may take to end.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum StopTimeout {
    /// Then it is killed.
    After(Duration),
    /// It is never killed.
    Never,
}

impl StopTimeout {
    /// Docker's default.
    pub const DEFAULT: Self = Self::After(Duration::from_secs(10));
}

/// Another guest whose volumes and bind mounts a guest gets, where they are in the other.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct VolumesFrom {
    /// The other one, as the user named it.
    pub guest: String,
    /// Whether what the other may write is read-only here.
    pub read_only: bool,
}

/// Name resolution of a guest; empty parts are the host's.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Dns {
    /// Addresses of name servers.
    pub servers: Vec<std::net::IpAddr>,
    /// Domains tried for short names.
    pub search: Vec<String>,
    /// `options` of `resolv.conf(5)`.
    pub options: Vec<String>,
}
