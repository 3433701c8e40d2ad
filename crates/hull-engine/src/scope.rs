//! The scope of a guest, where systemd makes the cgroups.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Child, Stdio};

use hull_container::systemd;

use crate::config::CgroupDriver;
use crate::engine::Inner;
use crate::error::{Error, Kind, Result};
use crate::record::GuestRecord;

/// A process that keeps a scope there until the guest is in it. Dropping it ends the process.
#[derive(Debug)]
pub(crate) struct Holder(Child);

impl Drop for Holder {
    fn drop(&mut self) {
        // One that has ended already cannot be killed, only reaped.
        self.0.kill().unwrap_or_default();
        if let Err(error) = self.0.wait() {
            tracing::warn!(%error, "cannot reap the holder of a scope");
        }
    }
}

impl Inner {
    /// Whether this engine's driver takes what `record` names as the parent of its cgroup.
    pub(crate) fn check_parent(&self, parent: &str) -> Result<()> {
        let slice = parent.ends_with(".slice");
        match self.config.cgroup_driver {
            CgroupDriver::Systemd if !parent.is_empty() => systemd::slice_path(parent)
                .map(drop)
                .map_err(|error| Error::new(Kind::Invalid, error.to_string())),
            CgroupDriver::Cgroupfs if slice => {
                let text = format!(
                    "cgroup parent {parent}: slices are systemd's; hint: start the daemon with \
                     --exec-opt native.cgroupdriver=systemd"
                );
                Err(Error::new(Kind::Invalid, text))
            }
            CgroupDriver::Systemd | CgroupDriver::Cgroupfs => Ok(()),
        }
    }

    /// Has systemd make the scope of a guest that is about to start; nothing to do without systemd.
    /// Blocks. What comes back is kept until the guest's process exists.
    pub(crate) fn hold_scope(&self, record: &GuestRecord) -> Result<Option<Holder>> {
        let Some(unit) = self.scope(record) else { return Ok(None) };
        let holder = hold(&self.shim)?;
        systemd::start(&unit, holder.0.id()).map_err(Error::internal("make the guest's scope"))?;
        Ok(Some(holder))
    }

    /// Tells systemd the limits that a guest has now. Blocks.
    pub(crate) fn update_scope(&self, record: &GuestRecord) -> Result<()> {
        match self.scope(record) {
            Some(unit) => {
                systemd::update(&unit).map_err(Error::internal("change the guest's scope"))
            }
            None => Ok(()),
        }
    }

    fn scope(&self, record: &GuestRecord) -> Option<systemd::Unit> {
        let own = &record.spec.cgroup_parent;
        let slice = if own.is_empty() { &self.config.cgroup_parent } else { own };
        let driven = self.config.cgroup_driver == CgroupDriver::Systemd;
        driven.then(|| systemd::scope(&record.id.to_string(), slice, &record.spec.limits))
    }
}

/// Starts the shim's program as a process that waits for its end.
fn hold(program: &OwnedFd) -> Result<Holder> {
    let program = PathBuf::from(format!("/proc/self/fd/{}", program.as_fd().as_raw_fd()));
    #[expect(
        clippy::disallowed_methods,
        reason = "as `shim::program::start`: by posix_spawn, and nothing is inherited"
    )]
    let child = std::process::Command::new(&program)
        .arg(hull_shim::plan::HOLD)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    child.map(Holder).map_err(Error::internal("start the holder of a scope"))
}
