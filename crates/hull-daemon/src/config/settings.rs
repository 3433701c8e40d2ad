//! Settings: directives with every value checked and every default filled in.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use hull_model::bytes::Bytes;
use hull_model::guest::Dns;
use hull_model::id_range::IdPool;
use hull_model::limits::{Resource, Rlimit};
use hull_model::log::{LogConfig, Rotation};
use hull_model::security::Seccomp;
use tracing::level_filters::LevelFilter;

use hull_engine::CgroupDriver;

use super::{ConfigError, Directives};
use crate::listen::address::{Address, Which};
use crate::listen::tls::Tls;

/// All the daemon has to know.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) data_root: PathBuf,
    pub(crate) exec_root: PathBuf,
    /// As configured; see [`Settings::addresses`].
    listen: Vec<Address>,
    /// The group of unix sockets; `None` for `docker` if there is such a group.
    pub(crate) group: Option<String>,
    pub(crate) tls: Option<Tls>,
    pub(crate) pidfile: Option<PathBuf>,
    pub(crate) level: LevelFilter,
    pub(crate) stop_guests: bool,
    pub(crate) shutdown_timeout: Duration,
    pub(crate) users: UsersSetting,
    /// `None` for what the host's files give, or the default.
    pub(crate) id_pool: Option<IdPool>,
    pub(crate) log: LogConfig,
    pub(crate) init: bool,
    pub(crate) no_new_privileges: bool,
    pub(crate) seccomp: Seccomp,
    pub(crate) ulimits: Vec<Rlimit>,
    pub(crate) shm_size: Option<Bytes>,
    pub(crate) cgroup_driver: CgroupDriver,
    pub(crate) cgroup_parent: Option<String>,
    pub(crate) bridge_disabled: bool,
    pub(crate) bridge_address: Option<(Ipv4Addr, u8)>,
    pub(crate) mtu: Option<u32>,
    pub(crate) dns: Dns,
    pub(crate) insecure_registries: Vec<String>,
    pub(crate) mirrors: Vec<String>,
    pub(crate) cdi_directories: Vec<PathBuf>,
    pub(crate) labels: Vec<String>,
}

/// The user namespace of guests that ask for none.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum UsersSetting {
    /// One of their own.
    Own,
    /// The host's, as with Docker.
    Host,
    /// Docker's `userns-remap`: one range for all, of this user.
    Remap(String),
}

/// Least MTU of IPv4 (RFC 791).
const MTU_MIN: u32 = 68;

impl Settings {
    /// Checks everything.
    pub(super) fn new(given: &Directives, stop_guests: bool) -> Result<Self, ConfigError> {
        if given.live_restore == Some(false) {
            let why = "guests of hull always outlive the daemon; hint: --stop-guests ends them";
            return Err(ConfigError::value("live-restore", "false", why));
        }
        let cgroup_driver = cgroup_driver(&given.exec_opts)?;
        let parent = |text: &str| cgroup_parent(text, cgroup_driver);
        let exec_root = root("exec-root", given.exec_root.as_ref(), "/run/hull")?;
        let bridge_disabled = bridge(given.bridge.as_deref())?;
        Ok(Self {
            data_root: root("data-root", given.data_root.as_ref(), "/var/lib/hull")?,
            listen: addresses(&given.hosts, &exec_root)?,
            exec_root,
            group: given.group.clone(),
            tls: tls(given)?,
            pidfile: given.pidfile.clone(),
            level: level(given)?,
            stop_guests,
            shutdown_timeout: timeout(given.shutdown_timeout)?,
            users: users(given)?,
            id_pool: id_pool(given.userns_pool.as_deref())?,
            log: log(given)?,
            init: given.init.unwrap_or(false),
            no_new_privileges: given.no_new_privileges.unwrap_or(false),
            seccomp: seccomp(given.seccomp_profile.as_deref())?,
            ulimits: ulimits(&given.default_ulimits)?,
            shm_size: given.default_shm_size.as_deref().map(shm_size).transpose()?,
            cgroup_driver,
            cgroup_parent: given.cgroup_parent.as_deref().map(parent).transpose()?,
            bridge_disabled,
            bridge_address: given.bip.as_deref().map(bip).transpose()?,
            mtu: given.mtu.map(mtu).transpose()?,
            dns: dns(given)?,
            insecure_registries: given.insecure_registries.clone(),
            mirrors: mirrors(&given.registry_mirrors)?,
            cdi_directories: cdi_directories(&given.cdi_spec_dirs)?,
            labels: labels(&given.labels)?,
        })
    }

    /// Where to listen: as configured, else on what was `passed` to us, else on our own socket.
    ///
    /// The unit file needs no `-H fd://` so, which would forbid `hosts` in the file.
    pub(crate) fn addresses(&self, passed: bool) -> Vec<Address> {
        match self.listen.as_slice() {
            [] if passed => vec![Address::Inherited(Which::All)],
            [] => vec![Address::Unix(self.exec_root.join("hull.sock"))],
            configured => configured.to_vec(),
        }
    }
}

fn root(key: &'static str, given: Option<&PathBuf>, default: &str) -> Result<PathBuf, ConfigError> {
    let path = given.cloned().unwrap_or_else(|| PathBuf::from(default));
    if path.is_absolute() {
        return Ok(path);
    }
    Err(ConfigError::value(key, path.to_string_lossy(), "expected an absolute path"))
}

fn addresses(hosts: &[String], exec_root: &std::path::Path) -> Result<Vec<Address>, ConfigError> {
    let default = exec_root.join("hull.sock");
    let parse = |text: &String| {
        Address::parse(text, &default)
            .map_err(|error| ConfigError::value("hosts", text, error.to_string()))
    };
    hosts.iter().map(parse).collect()
}

/// TLS is mutual or not at all.
fn tls(given: &Directives) -> Result<Option<Tls>, ConfigError> {
    let files = [&given.tlscacert, &given.tlscert, &given.tlskey];
    let why = "the certificates of clients must be verified: whoever reaches the port is root on \
               this host; hint: --tlsverify";
    match given.tlsverify {
        Some(true) => {}
        Some(false) => return Err(ConfigError::value("tlsverify", "false", why)),
        None if given.tls == Some(true) => return Err(ConfigError::value("tls", "true", why)),
        None if files.iter().any(|file| file.is_some()) => {
            return Err(ConfigError::value("tlsverify", "", why));
        }
        None => return Ok(None),
    }
    match files {
        [Some(authority), Some(certificate), Some(key)] => Ok(Some(Tls {
            authority: authority.clone(),
            certificate: certificate.clone(),
            key: key.clone(),
        })),
        _ => {
            let why = "tlscacert, tlscert and tlskey are needed with it";
            Err(ConfigError::value("tlsverify", "true", why))
        }
    }
}

fn level(given: &Directives) -> Result<LevelFilter, ConfigError> {
    if given.debug == Some(true) {
        return Ok(LevelFilter::DEBUG);
    }
    match given.log_level.as_deref() {
        None | Some("info") => Ok(LevelFilter::INFO),
        Some("trace") => Ok(LevelFilter::TRACE),
        Some("debug") => Ok(LevelFilter::DEBUG),
        Some("warn" | "warning") => Ok(LevelFilter::WARN),
        Some("error" | "fatal" | "panic") => Ok(LevelFilter::ERROR),
        Some(other) => {
            let why = "expected debug, info, warn, error or fatal";
            Err(ConfigError::value("log-level", other, why))
        }
    }
}

fn timeout(seconds: Option<i64>) -> Result<Duration, ConfigError> {
    match seconds {
        None => Ok(Duration::from_secs(15)),
        // Docker's "for ever"; a daemon that never ends is killed by the host's own timeout anyway.
        Some(-1) => Ok(Duration::from_secs(24 * 3600)),
        Some(seconds) => u64::try_from(seconds)
            .map(|seconds| Duration::from_secs(seconds.min(24 * 3600)))
            .map_err(|_negative| {
                let why = "expected seconds, or -1 for no limit";
                ConfigError::value("shutdown-timeout", seconds.to_string(), why)
            }),
    }
}

fn users(given: &Directives) -> Result<UsersSetting, ConfigError> {
    let default = given.userns_default.as_deref();
    match (given.userns_remap.as_deref().filter(|who| !who.is_empty()), default) {
        (Some(who), None | Some("auto" | "private")) => Ok(UsersSetting::Remap(who.to_owned())),
        (Some(who), Some("host")) => {
            let why = "userns-default says host; hint: leave one of them out";
            Err(ConfigError::value("userns-remap", who, why))
        }
        (None, None | Some("auto" | "private")) => Ok(UsersSetting::Own),
        (None, Some("host")) => Ok(UsersSetting::Host),
        (_, Some(other)) => {
            Err(ConfigError::value("userns-default", other, "expected auto or host"))
        }
    }
}

fn id_pool(text: Option<&str>) -> Result<Option<IdPool>, ConfigError> {
    let Some(text) = text else { return Ok(None) };
    let bad = |why: String| ConfigError::value("userns-pool", text, why);
    let numbers = text
        .split_once(':')
        .and_then(|(base, count)| Some((base.parse::<u32>().ok()?, count.parse::<u32>().ok()?)));
    let (base, count) = numbers.ok_or_else(|| bad("expected BASE:COUNT".to_owned()))?;
    if count == 0 {
        return Err(bad("no guest could start".to_owned()));
    }
    IdPool::new(base, count).map(Some).map_err(|error| bad(error.to_string()))
}

fn log(given: &Directives) -> Result<LogConfig, ConfigError> {
    match given.log_driver.as_deref() {
        None | Some("json-file") => {}
        Some("none") => return Ok(LogConfig::Discard),
        Some(other) => {
            return Err(ConfigError::value("log-driver", other, "expected json-file or none"));
        }
    }
    let mut rotation = Rotation::default();
    for option in &given.log_opts {
        let bad = |why: &str| ConfigError::value("log-opts", option, why);
        match option.split_once('=') {
            Some(("max-size", "-1")) => rotation.size_max = None,
            Some(("max-size", size)) => {
                let size = bytes(size).filter(|size| *size > 0);
                let size = size.ok_or_else(|| bad("expected a size: 10m, or -1 for no limit"))?;
                rotation.size_max = Some(Bytes::new(size));
            }
            Some(("max-file", files)) => {
                let files = files.parse().ok().filter(|files| (1..=1_000).contains(files));
                rotation.files = files.ok_or_else(|| bad("expected 1 to 1000 files"))?;
            }
            Some(_) | None => return Err(bad("expected max-size=SIZE or max-file=COUNT")),
        }
    }
    Ok(LogConfig::JsonFile(rotation))
}

/// Docker's sizes: a number with `b`, `k`, `m`, `g`, `t`, or those with a `b`; 1024 each.
fn bytes(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let digits = lower.find(|c: char| !c.is_ascii_digit()).unwrap_or(lower.len());
    let (number, unit) = lower.split_at(digits);
    let shift = match unit {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
}

fn shm_size(text: &str) -> Result<Bytes, ConfigError> {
    let size = bytes(text).filter(|size| *size > 0);
    let bad = || ConfigError::value("default-shm-size", text, "expected a size above 0: 64M");
    size.map(Bytes::new).ok_or_else(bad)
}

/// Whether the filter can be made is the engine's to say, which knows the kernel.
fn seccomp(given: Option<&str>) -> Result<Seccomp, ConfigError> {
    match given {
        None | Some("" | "builtin") => Ok(Seccomp::Builtin),
        Some("unconfined") => Ok(Seccomp::Unconfined),
        Some(path) => std::fs::read_to_string(path).map(Seccomp::Profile).map_err(|error| {
            ConfigError::value("seccomp-profile", path, format!("cannot be read: {error}"))
        }),
    }
}

fn ulimits(texts: &[String]) -> Result<Vec<Rlimit>, ConfigError> {
    let mut limits: Vec<Rlimit> = Vec::new();
    for text in texts {
        let bad = |why: &str| ConfigError::value("default-ulimits", text, why);
        let (name, values) = text.split_once('=').ok_or_else(|| bad("expected NAME=SOFT:HARD"))?;
        let resource = Resource::from_name(name).ok_or_else(|| bad("unknown limit"))?;
        let (soft, hard) = values.split_once(':').unwrap_or((values, values));
        let number = |text: &str| match text {
            "-1" | "unlimited" => Some(None),
            text => text.parse::<u64>().ok().map(Some),
        };
        let (Some(soft), Some(hard)) = (number(soft), number(hard)) else {
            return Err(bad("expected numbers, -1 for no limit"));
        };
        if hard.is_some_and(|hard| soft.is_none_or(|soft| soft > hard)) {
            return Err(bad("the soft limit is above the hard one"));
        }
        limits.retain(|limit| limit.resource != resource);
        limits.push(Rlimit { resource, soft, hard });
    }
    Ok(limits)
}

/// Docker's `native.cgroupdriver`; there is no other option.
fn cgroup_driver(options: &[String]) -> Result<CgroupDriver, ConfigError> {
    let mut driver = CgroupDriver::default();
    for option in options {
        driver = match option.split_once('=') {
            Some(("native.cgroupdriver", "cgroupfs")) => CgroupDriver::Cgroupfs,
            Some(("native.cgroupdriver", "systemd")) => CgroupDriver::Systemd,
            Some(_) | None => {
                let why = "expected native.cgroupdriver=cgroupfs or native.cgroupdriver=systemd";
                return Err(ConfigError::value("exec-opts", option, why));
            }
        };
    }
    Ok(driver)
}

fn cgroup_parent(text: &str, driver: CgroupDriver) -> Result<String, ConfigError> {
    let bad = |why| ConfigError::value("cgroup-parent", text, why);
    match (driver, text.ends_with(".slice")) {
        (CgroupDriver::Cgroupfs, true) => {
            return Err(bad("slices need exec-opt native.cgroupdriver=systemd"));
        }
        (CgroupDriver::Systemd, false) => {
            return Err(bad(
                "cgroup-parent for systemd cgroup should be a valid slice named as \"xxx.slice\"",
            ));
        }
        (CgroupDriver::Systemd, true) => return Ok(text.to_owned()),
        (CgroupDriver::Cgroupfs, false) => {}
    }
    let path = text.trim_matches('/');
    let plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\0');
    if path.is_empty() || !path.split('/').all(plain) {
        return Err(bad("expected a path of plain names"));
    }
    Ok(path.to_owned())
}

fn bridge(name: Option<&str>) -> Result<bool, ConfigError> {
    match name {
        None | Some("") => Ok(false),
        Some("none") => Ok(true),
        Some(other) => {
            let why = "hull makes a bridge of its own and takes no other; expected none or nothing";
            Err(ConfigError::value("bridge", other, why))
        }
    }
}

fn bip(text: &str) -> Result<(Ipv4Addr, u8), ConfigError> {
    let bad = |why| ConfigError::value("bip", text, why);
    let net: ipnet::Ipv4Net =
        text.parse().map_err(|_not_cidr| bad("expected ADDRESS/PREFIX: 172.17.0.1/16"))?;
    if !(8..=29).contains(&net.prefix_len()) {
        return Err(bad("the prefix must be 8 to 29 bits long"));
    }
    if net.addr() == net.network() || net.addr() == net.broadcast() {
        return Err(bad("expected the address of the bridge, not that of the network"));
    }
    Ok((net.addr(), net.prefix_len()))
}

fn mtu(mtu: u32) -> Result<u32, ConfigError> {
    if (MTU_MIN..=65_535).contains(&mtu) {
        return Ok(mtu);
    }
    Err(ConfigError::value("mtu", mtu.to_string(), "expected 68 to 65535"))
}

fn dns(given: &Directives) -> Result<Dns, ConfigError> {
    let server = |text: &String| {
        text.parse::<IpAddr>()
            .map_err(|_not_address| ConfigError::value("dns", text, "expected an IP address"))
    };
    // Each becomes a word of a line of resolv.conf.
    for (key, words) in [("dns-search", &given.dns_search), ("dns-opts", &given.dns_opts)] {
        let is_word = |w: &&String| !w.is_empty() && w.bytes().all(|b| b.is_ascii_graphic());
        if let Some(bad) = words.iter().find(|word| !is_word(word)) {
            return Err(ConfigError::value(key, bad, "expected one word"));
        }
    }
    Ok(Dns {
        servers: given.dns.iter().map(server).collect::<Result<_, _>>()?,
        search: given.dns_search.clone(),
        options: given.dns_opts.clone(),
    })
}

fn mirrors(urls: &[String]) -> Result<Vec<String>, ConfigError> {
    let check = |url: &String| {
        let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
        match rest.map(|rest| rest.trim_end_matches('/')) {
            Some(host) if !host.is_empty() && !host.contains(['/', '@', '?', '#']) => {
                Ok(url.trim_end_matches('/').to_owned())
            }
            Some(_) | None => {
                Err(ConfigError::value("registry-mirrors", url, "expected http(s)://HOST[:PORT]"))
            }
        }
    };
    urls.iter().map(check).collect()
}

/// As with Docker, an empty name in the list leaves no directory at all.
fn cdi_directories(given: &[PathBuf]) -> Result<Vec<PathBuf>, ConfigError> {
    if given.is_empty() {
        return Ok(["/etc/cdi", "/var/run/cdi"].map(PathBuf::from).into());
    }
    let named: Vec<_> = given.iter().filter(|path| !path.as_os_str().is_empty()).collect();
    match named.iter().find(|path| path.is_relative()) {
        None => Ok(named.into_iter().cloned().collect()),
        Some(bad) => {
            let why = "expected an absolute path";
            Err(ConfigError::value("cdi-spec-dirs", bad.to_string_lossy(), why))
        }
    }
}

fn labels(texts: &[String]) -> Result<Vec<String>, ConfigError> {
    let check = |text: &String| match text.split_once('=') {
        Some((key, _)) if !key.is_empty() => Ok(text.clone()),
        Some(_) | None => Err(ConfigError::value("labels", text, "expected KEY=VALUE")),
    };
    texts.iter().map(check).collect()
}
