//! Every directive once: its flag, its key in the file, its help.
//!
//! The keys are Docker's, for the features hull has. A key of Docker's that hull ignores would
//! promise what is not done, so such keys are unknown.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::values;

/// Directives as they were given; nothing is set that was not.
#[derive(Clone, Debug, Default, clap::Args, Deserialize, Serialize)]
#[serde(default, rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Directives {
    /// Address to listen on: unix://PATH, tcp://HOST:PORT (needs --tlsverify), fd:// (repeatable)
    #[arg(short = 'H', long = "host", value_name = "ADDRESS")]
    pub hosts: Vec<String>,

    /// Where images, volumes and guests are kept [default: /var/lib/hull]
    #[arg(long, visible_alias = "graph", value_name = "DIR")]
    pub data_root: Option<PathBuf>,

    /// Where sockets and what lasts until reboot is kept [default: /run/hull]
    #[arg(long, value_name = "DIR")]
    pub exec_root: Option<PathBuf>,

    /// File to write the daemon's process id to
    #[arg(short = 'p', long, value_name = "FILE")]
    pub pidfile: Option<PathBuf>,

    /// Group that may use the unix socket [default: docker, if it exists]
    #[arg(short = 'G', long, value_name = "GROUP")]
    pub group: Option<String>,

    /// Log all there is to say
    #[arg(short = 'D', long, num_args = 0, default_missing_value = "true")]
    pub debug: Option<bool>,

    /// How much to log: debug, info, warn, error, fatal [default: info]
    #[arg(short = 'l', long, value_name = "LEVEL")]
    pub log_level: Option<String>,

    /// Guests keep running while the daemon does not; always so
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub live_restore: Option<bool>,

    /// Seconds that guests may take to end when all are stopped [default: 15]
    #[arg(long, value_name = "SECONDS")]
    pub shutdown_timeout: Option<i64>,

    /// Require TLS with verified client certificates on tcp:// addresses
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub tlsverify: Option<bool>,

    /// Encrypt tcp:// addresses; needs --tlsverify too
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub tls: Option<bool>,

    /// Authority that signs the certificates of clients
    #[arg(long, value_name = "FILE")]
    pub tlscacert: Option<PathBuf>,

    /// The daemon's certificate
    #[arg(long, value_name = "FILE")]
    pub tlscert: Option<PathBuf>,

    /// Its key
    #[arg(long, value_name = "FILE")]
    pub tlskey: Option<PathBuf>,

    /// User namespace of guests that ask for none: auto or host [default: auto]
    #[arg(long, value_name = "WHICH")]
    pub userns_default: Option<String>,

    /// Host ids for user namespaces: COUNT ranges of 65536 from BASE [default: of "hull" in
    /// /etc/subuid, else 1879048192:4096]
    #[arg(long, value_name = "BASE:COUNT")]
    pub userns_pool: Option<String>,

    /// One range of host ids for all guests, that of a user in /etc/subuid: USER or USER:GROUP, default
    #[arg(long, value_name = "USER[:GROUP]")]
    pub userns_remap: Option<String>,

    /// Where logs of guests go by default: json-file or none
    #[arg(long, value_name = "DRIVER")]
    pub log_driver: Option<String>,

    /// Option of the log driver: max-size=10m, max-file=3 (repeatable)
    #[arg(long = "log-opt", value_name = "KEY=VALUE")]
    #[serde(deserialize_with = "values::pairs")]
    pub log_opts: Vec<String>,

    /// Run an init in guests that do not say
    #[arg(long, num_args = 0, default_missing_value = "true")]
    pub init: Option<bool>,

    /// Programs cannot give privileges in guests that do not say
    #[arg(long, num_args = 0, default_missing_value = "true")]
    pub no_new_privileges: Option<bool>,

    /// System call filter of guests that name none: a file, builtin or unconfined [default: builtin]
    #[arg(long, value_name = "FILE")]
    pub seccomp_profile: Option<String>,

    /// Limit of processes in guests that set none: nofile=1024:4096 (repeatable)
    #[arg(long = "default-ulimit", value_name = "NAME=SOFT[:HARD]")]
    #[serde(deserialize_with = "values::ulimits")]
    pub default_ulimits: Vec<String>,

    /// Size of /dev/shm in guests that set none [default: 64M]
    #[arg(long, value_name = "BYTES")]
    #[serde(deserialize_with = "values::text_or_number")]
    pub default_shm_size: Option<String>,

    /// Option of the runtime: native.cgroupdriver=cgroupfs or systemd [default: cgroupfs] (repeatable)
    #[arg(long = "exec-opt", value_name = "KEY=VALUE")]
    pub exec_opts: Vec<String>,

    /// Parent of the guests' cgroups: a path, or a slice with systemd's driver
    #[arg(long, value_name = "PATH")]
    pub cgroup_parent: Option<String>,

    /// none for no default network
    #[arg(short = 'b', long, value_name = "none")]
    pub bridge: Option<String>,

    /// Address and prefix of the default bridge: 172.17.0.1/16
    #[arg(long, value_name = "CIDR")]
    pub bip: Option<String>,

    /// MTU of the default bridge
    #[arg(long, value_name = "BYTES")]
    pub mtu: Option<u32>,

    /// Name server for guests that set none (repeatable)
    #[arg(long, value_name = "ADDRESS")]
    pub dns: Vec<String>,

    /// Option of name resolution (repeatable)
    #[arg(long = "dns-opt", value_name = "OPTION")]
    pub dns_opts: Vec<String>,

    /// Domain tried for short names (repeatable)
    #[arg(long, value_name = "DOMAIN")]
    pub dns_search: Vec<String>,

    /// Registry whose certificate is not checked, or that speaks plain HTTP (repeatable)
    #[arg(long = "insecure-registry", value_name = "HOST[:PORT]|CIDR")]
    pub insecure_registries: Vec<String>,

    /// Where images of docker.io are looked for first (repeatable)
    #[arg(long = "registry-mirror", value_name = "URL")]
    pub registry_mirrors: Vec<String>,

    /// Where files of the Container Device Interface are [default: /etc/cdi and /var/run/cdi]
    /// (repeatable)
    #[arg(long = "cdi-spec-dir", value_name = "DIR")]
    pub cdi_spec_dirs: Vec<PathBuf>,

    /// Label of the daemon, shown by info (repeatable)
    #[arg(long = "label", value_name = "KEY=VALUE")]
    pub labels: Vec<String>,
}
