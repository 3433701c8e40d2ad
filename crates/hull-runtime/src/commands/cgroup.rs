//! Which cgroup a container gets, and who makes it.

use std::io::{PipeWriter, Read};
use std::path::Path;

use hull_container::cgroup::Cgroup;
use hull_container::host::HostFacts;
use hull_container::{plan as container, systemd};
use hull_model::limits::Limits;
use hull_sys::namespace::Kinds;
use hull_sys::process::{Child, Fork, Parentage, end, fork};
use rustix::process::{WaitOptions, waitpid};
use serde::{Deserialize, Serialize};

use super::{Session, host};
use crate::config::{Config, Resources};
use crate::failure::{Doing, Failure};
use crate::plan;
use crate::state::{Id, Record};

/// A scope of systemd's, by name.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Scope {
    slice: String,
    name: String,
}

/// Where a new container goes.
pub(super) struct Place {
    /// With its limits as what is to be written.
    pub(super) cgroup: Cgroup,
    /// What systemd is to be asked for first.
    pub(super) scope: Option<Scope>,
    limits: Limits,
}

/// The place of a new container.
pub(super) fn place(
    session: &Session<'_>,
    config: &Config,
    id: &Id,
    host: &HostFacts,
) -> Result<Place, Failure> {
    let linux = config.linux.as_ref();
    let none = Resources::default();
    let wanted = linux.and_then(|linux| linux.resources.as_ref()).unwrap_or(&none);
    let path = linux.and_then(|linux| linux.cgroups_path.as_deref());
    let limits = plan::limits(wanted).map_err(|failure| failure.during("linux.resources"))?;
    // After those of the configuration, as with runc: no container can do without /dev/null.
    let mut rules = plan::device_rules(wanted)?;
    rules.extend(container::device_rules(&[], &[]));
    if session.rootless && !writable(host) {
        // Cgroups of somebody else: nothing can be limited, so nothing may be asked for.
        if limits != Limits::default() {
            return Err(Failure::new(
                "linux.resources: the host's cgroups cannot be written by this user, so limits \
                 cannot be kept",
            ));
        }
        session.log.debug("go on without cgroups: they are not ours to make");
        return Ok(Place { cgroup: Cgroup::default(), scope: None, limits });
    }
    let (path, scope) = if session.systemd {
        systemd::check(host).doing("--systemd-cgroup")?;
        let scope = Scope::named(path, id)?;
        let slice = systemd::slice_path(&scope.slice).doing("linux.cgroupsPath")?;
        (slice.join(&scope.name), Some(scope))
    } else {
        (plan::cgroup_path(path, id)?, None)
    };
    let cgroup = container::limited(&limits, Some(&rules), &path, host)
        .map_err(|error| Failure::new(format!("linux.resources: {error}")))?;
    Ok(Place { cgroup, scope, limits })
}

/// Changes the limits of a container that exists.
pub(super) fn update(record: &Record, wanted: &Resources) -> Result<(), Failure> {
    let limits = plan::limits(wanted)?;
    let path = record.cgroup.directories.first().map(|directory| directory.path.clone());
    let path = path.ok_or_else(|| {
        Failure::new(format!("container {} has no cgroup, so it has no limits", record.id))
    })?;
    let update = container::limits(&limits, &path, &host()?)
        .map_err(|error| Failure::new(error.to_string()))?;
    update.update()?;
    if let Some(scope) = &record.scope {
        systemd::update(&scope.unit(&record.id, &limits)).doing("tell systemd")?;
    }
    Ok(())
}

impl Scope {
    /// `slice:prefix:name`, as callers of runc write `cgroupsPath` with `--systemd-cgroup`.
    fn named(path: Option<&str>, id: &Id) -> Result<Self, Failure> {
        let path = path.unwrap_or_default();
        let parts: Vec<&str> = path.split(':').collect();
        let (slice, prefix, name) = match parts[..] {
            [""] => ("", "hull-runtime", id.as_str()),
            [slice, prefix, name] => (slice, prefix, name),
            _ => {
                return Err(Failure::new(format!(
                    "linux.cgroupsPath: {path:?} is not slice:prefix:name, as --systemd-cgroup \
                     needs it"
                )));
            }
        };
        let plain = |text: &str| {
            !text.is_empty()
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte))
        };
        if !plain(name) || !(prefix.is_empty() || plain(prefix)) || name.ends_with(".slice") {
            return Err(Failure::new(format!(
                "linux.cgroupsPath: {path:?} does not name a scope of systemd's"
            )));
        }
        let slice = if slice.is_empty() { "system.slice" } else { slice };
        let name = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}-{name}") };
        Ok(Self { slice: slice.to_owned(), name: format!("{name}.scope") })
    }

    fn unit(&self, id: &str, limits: &Limits) -> systemd::Unit {
        let mut unit = systemd::scope(id, &self.slice, limits);
        unit.name.clone_from(&self.name);
        unit
    }
}

/// A process that keeps a scope alive until the container's is inside. Ends when dropped.
pub(super) struct Holder {
    child: Child,
    word: Option<PipeWriter>,
}

impl Place {
    /// Has systemd make the scope, if there is to be one.
    pub(super) fn hold(&self, id: &Id) -> Result<Option<Holder>, Failure> {
        let Some(scope) = &self.scope else { return Ok(None) };
        let (mut heard, word) = std::io::pipe().doing("make a pipe")?;
        let forked = fork(Kinds::NONE, None, Parentage::Caller).doing("make a process")?;
        let child = match forked {
            Fork::Child => {
                drop(word);
                // Its end is the word, and so is any error.
                heard.read(&mut [0]).unwrap_or_default();
                end(0)
            }
            Fork::Parent(child) => child,
        };
        let number = child.pid.as_raw_nonzero().get().unsigned_abs();
        let holder = Holder { child, word: Some(word) };
        systemd::start(&scope.unit(id.as_str(), &self.limits), number).doing("make the scope")?;
        Ok(Some(holder))
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        drop(self.word.take());
        let reaped =
            rustix::io::retry_on_intr(|| waitpid(Some(self.child.pid), WaitOptions::empty()));
        // Only "no such child" can come back.
        reaped.map(drop).unwrap_or_default();
    }
}

fn writable(host: &HostFacts) -> bool {
    use rustix::fs::{Access, AtFlags, CWD, accessat};
    let can = |path: &Path| accessat(CWD, path, Access::WRITE_OK, AtFlags::EACCESS).is_ok();
    host.cgroups.iter().all(|one| can(&one.mount))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_named_as_callers_write_them() {
        let id = Id::new("c").unwrap();
        let read = |path| match Scope::named(path, &id) {
            Ok(scope) => format!("{} {}", scope.slice, scope.name),
            Err(failure) => failure.to_string(),
        };
        assert_eq!(read(None), "system.slice hull-runtime-c.scope");
        assert_eq!(read(Some("a.slice:libpod:x")), "a.slice libpod-x.scope");
        assert_eq!(read(Some(":cri:x")), "system.slice cri-x.scope");
        for bad in ["/a/b", "a:b", "a:b:c:d", "a:b:../c", "a:b:", "a::x.slice"] {
            assert!(read(Some(bad)).starts_with("linux.cgroupsPath"), "{bad}");
        }
    }
}
