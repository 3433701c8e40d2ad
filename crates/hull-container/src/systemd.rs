//! The systemd cgroup driver: a guest's cgroup is a transient scope, made by systemd and delegated.
//!
//! Whoever starts a guest asks for the scope first, with a process of its own in it that holds it
//! ([`start`]); the launch then finds the directory there, as if it were a leftover, and once the
//! guest's process is inside, the holder may go. A scope ends when nothing is left in it.
//!
//! Only cgroup v2: systemd 256 turned v1 off by default and 258 removed it.

mod bus;
mod message;
mod unit;

pub use bus::BusError;
pub use unit::{Unit, scope, scope_name, slice_path};

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bus::Bus;
use message::{Body, Value};

/// There while systemd is the init of this host (`sd_booted(3)`).
const BOOTED: &str = "/run/systemd/system";
/// How long systemd may take for one unit.
const PATIENCE: Duration = Duration::from_secs(10);

/// systemd did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum SystemdError {
    /// There is none.
    #[error(
        "the systemd cgroup driver needs systemd as the host's init: {} does not exist; hint: \
         native.cgroupdriver=cgroupfs",
        path.display()
    )]
    Absent {
        /// What would be there.
        path: PathBuf,
    },
    /// It cannot be used with these hierarchies.
    #[error(
        "the systemd cgroup driver needs cgroup v2; hint: native.cgroupdriver=cgroupfs, or \
         systemd.unified_cgroup_hierarchy=1 on the kernel's command line"
    )]
    OldHierarchy,
    /// A call failed.
    #[error("{doing} {unit}: {source}")]
    Call {
        /// What was asked for.
        doing: &'static str,
        /// Of which unit.
        unit: String,
        /// Why it was not done.
        source: BusError,
    },
    /// A unit was accepted and did not come.
    #[error("{unit} was not started within {} s", PATIENCE.as_secs())]
    Late {
        /// Which.
        unit: String,
    },
    /// The holder is not a process any more.
    #[error("read {}: {source}", path.display())]
    Holder {
        /// Where its cgroup is told.
        path: PathBuf,
        /// Why that cannot be read.
        source: io::Error,
    },
}

/// Whether the driver can be used: an error says why not.
pub fn check(host: &crate::host::HostFacts) -> Result<(), SystemdError> {
    check_at(Path::new(BOOTED), host)
}

fn check_at(booted: &Path, host: &crate::host::HostFacts) -> Result<(), SystemdError> {
    if !booted.is_dir() {
        return Err(SystemdError::Absent { path: booted.to_owned() });
    }
    match host.cgroup_version() {
        "2" => Ok(()),
        _ => Err(SystemdError::OldHierarchy),
    }
}

/// Starts `unit` with the process `holder` in it; returns when that is inside. Blocks.
///
/// A scope of the same name that is ending is waited for.
pub fn start(unit: &Unit, holder: u32) -> Result<(), SystemdError> {
    let failed = |doing| {
        let unit = unit.name.clone();
        move |source| SystemdError::Call { doing, unit, source }
    };
    let mut bus = Bus::system().map_err(failed("connect to systemd for"))?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        match bus.call("StartTransientUnit", &start_body(unit, holder)) {
            Ok(()) => break,
            Err(BusError::Refused { name, .. })
                if name == "org.freedesktop.systemd1.UnitExists" && Instant::now() < deadline =>
            {
                // It failed, or its last process has just gone.
                bus.call("ResetFailedUnit", &Body::default().text(&unit.name)).ok();
                std::thread::sleep(Duration::from_millis(10));
            }
            Err(error) => return Err(failed("start")(error)),
        }
    }
    wait_inside(unit, holder, deadline)
}

/// Tells systemd of changed limits, so that it does not put its own back (`daemon-reload`). Blocks.
pub fn update(unit: &Unit) -> Result<(), SystemdError> {
    let failed = |source| SystemdError::Call { doing: "update", unit: unit.name.clone(), source };
    // What is given only when a unit is made is not among the properties.
    let body = Body::default().text(&unit.name).flag(true).properties(&unit.limits);
    Bus::system().and_then(|mut bus| bus.call("SetUnitProperties", &body)).map_err(failed)
}

fn start_body(unit: &Unit, holder: u32) -> Body {
    let mut properties = vec![
        ("PIDs", Value::Numbers(vec![holder])),
        ("Slice", Value::Text(unit.slice.clone())),
        ("Description", Value::Text(unit.description.clone())),
        ("Delegate", Value::Flag(true)),
        // Not ended before the daemon is when the host goes down, which ends its guests in order.
        ("DefaultDependencies", Value::Flag(false)),
        // Also a scope whose process was killed for want of memory is forgotten.
        ("CollectMode", Value::Text("inactive-or-failed".to_owned())),
    ];
    properties.extend(unit.limits.iter().cloned());
    Body::default().text(&unit.name).text("fail").properties(&properties).no_units()
}

/// A job is only queued when the call returns.
fn wait_inside(unit: &Unit, holder: u32, deadline: Instant) -> Result<(), SystemdError> {
    let path = PathBuf::from(format!("/proc/{holder}/cgroup"));
    let end = format!("/{}", unit.name);
    let mut pause = Duration::from_micros(200);
    loop {
        let now = fs::read_to_string(&path).map_err(|source| {
            let path = path.clone();
            SystemdError::Holder { path, source }
        })?;
        if now.lines().any(|line| line.starts_with("0::") && line.ends_with(&end)) {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(SystemdError::Late { unit: unit.name.clone() });
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::Hierarchy;
    use crate::host::{CgroupMount, HostFacts};

    #[test]
    fn a_host_without_systemd_or_with_v1_is_told_so() {
        let dir = tempfile::tempdir().unwrap();
        let host = |hierarchy| {
            let one = CgroupMount {
                mount: "/sys/fs/cgroup".into(),
                hierarchy,
                controllers: Vec::new(),
                links: Vec::new(),
            };
            HostFacts { cgroups: vec![one], ..HostFacts::default() }
        };
        let v1 = || host(Hierarchy::V1(vec!["memory".to_owned()]));
        let absent = check_at(&dir.path().join("gone"), &host(Hierarchy::V2)).unwrap_err();
        assert!(absent.to_string().contains("gone does not exist; hint:"), "{absent}");
        assert!(matches!(check_at(dir.path(), &v1()), Err(SystemdError::OldHierarchy)));
        assert!(check_at(dir.path(), &host(Hierarchy::V2)).is_ok());
    }
}
