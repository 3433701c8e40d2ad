//! Limits as files of cgroups: which controller is where, and what that hierarchy writes.

mod v1;
mod v2;

pub(crate) use v2::weight as cpu_weight;

use std::path::{Path, PathBuf};

use hull_model::limits::Limits;
use hull_model::security::DeviceRule;

use super::device_rules::Filter;
use crate::cgroup::{Cgroup, Directory, Hierarchy, Missing, Write};
use crate::host::{CgroupMount, HostFacts};

/// v2 controllers that are handed down to guests where the host has them.
const DELEGATED: [&str; 7] = ["cpu", "cpuset", "hugetlb", "io", "memory", "pids", "rdma"];

/// Every controller with limits, by its names in v1 and v2. Their order is the order of the writes.
const CONTROLLERS: [(&str, &str); 9] = [
    ("memory", "memory"),
    ("cpu", "cpu"),
    ("cpuset", "cpuset"),
    ("pids", "pids"),
    ("blkio", "io"),
    ("hugetlb", "hugetlb"),
    ("rdma", "rdma"),
    ("net_cls", ""),
    ("net_prio", ""),
];

/// A limit that cannot be kept, found before anything is touched.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum LimitError {
    /// The host lacks what it needs.
    #[error("not supported by this kernel: {limit} needs {needs}")]
    Unsupported {
        /// What was asked for.
        limit: String,
        /// What is missing.
        needs: &'static str,
    },
    /// It would not be the name of a file or device.
    #[error("invalid {what} {name:?}: {why}")]
    Name {
        /// What is named.
        what: &'static str,
        /// As it was given.
        name: String,
        /// What is wrong.
        why: &'static str,
    },
    /// A rule about devices that cgroups cannot express.
    #[error("device rule {rule:?} takes away a part of what {of:?} allows or denies as a whole")]
    DeviceRule {
        /// The later rule.
        rule: String,
        /// The earlier one.
        of: String,
    },
    /// The engine did not look it up.
    #[error("block device {0} was not looked up")]
    Disk(String),
}

/// The cgroup at `path` (relative to each mount) without any limit: where things are.
pub fn cgroup(path: &Path, host: &HostFacts) -> Cgroup {
    Cgroup { directories: host.cgroups.iter().map(|one| directory(path, one)).collect() }
}

/// The cgroup at `path` with nothing but `limits`: also what an update writes.
pub fn limits(limits: &Limits, path: &Path, host: &HostFacts) -> Result<Cgroup, LimitError> {
    let mut cgroup = cgroup(path, host);
    for (old, new) in CONTROLLERS {
        if let Some(at) = cgroup.directories.iter_mut().find(|one| one.has(old)) {
            at.writes.extend(v1::writes(old, limits)?);
            continue;
        }
        let unified = unified(&mut cgroup, host, new).filter(|_| !new.is_empty());
        match unified {
            Some(at) => at.writes.extend(v2::writes(new, limits)?),
            None => missing(old, limits)?,
        }
    }
    if limits.memory.keep_used {
        keep_used(&mut cgroup, limits);
    }
    for (file, value) in &limits.unified {
        write_unified(&mut cgroup, host, file, value)?;
    }
    Ok(cgroup)
}

/// The cgroup at `path` with `limits` and, unless it is `None`, a filter of device accesses: `rules`
/// after everything is denied.
pub fn guest(
    limits: &Limits,
    rules: Option<&[DeviceRule]>,
    path: &Path,
    host: &HostFacts,
) -> Result<Cgroup, LimitError> {
    let mut cgroup = self::limits(limits, path, host)?;
    let Some(rules) = rules else { return Ok(cgroup) };
    let filter = Filter::new(rules)?;
    let filtered = cgroup.directories.iter().position(|one| one.has("devices"));
    let unified = || {
        let mut all = cgroup.directories.iter();
        all.position(|one| one.hierarchy == Hierarchy::V2)
    };
    let Some(at) = filtered.or_else(unified) else {
        return Err(unsupported("a filter of devices", "the devices controller or cgroup v2"));
    };
    match filtered {
        Some(at) => cgroup.directories[at].writes.extend(filter.v1()),
        None => cgroup.directories[at].devices = filter.v2(),
    }
    Ok(cgroup)
}

fn directory(path: &Path, one: &CgroupMount) -> Directory {
    let mut directory = Directory {
        mount: one.mount.clone(),
        path: PathBuf::from(path),
        hierarchy: one.hierarchy.clone(),
        parents: Vec::new(),
        inherit: Vec::new(),
        writes: Vec::new(),
        devices: Vec::new(),
        keep_used: None,
    };
    match &one.hierarchy {
        Hierarchy::V1(names) => {
            if names.iter().any(|name| name == "cpuset") {
                directory.inherit = vec!["cpuset.cpus".to_owned(), "cpuset.mems".to_owned()];
            }
        }
        Hierarchy::V2 => {
            let has = |name: &&str| one.controllers.iter().any(|known| known == name);
            directory.parents = DELEGATED
                .into_iter()
                .filter(has)
                .map(|name| must("cgroup.subtree_control", format!("+{name}")))
                .collect();
        }
    }
    directory
}

/// The unified directory, if `controller` is there.
fn unified<'a>(
    cgroup: &'a mut Cgroup,
    host: &HostFacts,
    controller: &str,
) -> Option<&'a mut Directory> {
    let at = host.cgroups.iter().position(|one| one.hierarchy == Hierarchy::V2)?;
    let has = host.cgroups[at].controllers.iter().any(|known| known == controller);
    // "cgroup" names the core, whose files every directory has.
    (has || controller == "cgroup").then(|| &mut cgroup.directories[at])
}

/// Refuses what the controller, which is nowhere, would have to do.
fn missing(controller: &'static str, limits: &Limits) -> Result<(), LimitError> {
    let mut wanted = v1::writes(controller, limits)?.into_iter();
    match wanted.find(|write| write.missing != Missing::Ignore) {
        None => Ok(()),
        Some(write) => Err(LimitError::Unsupported {
            limit: write.file,
            needs: match controller {
                "memory" => "the memory controller, which is not mounted",
                "cpu" => "the cpu controller, which is not mounted",
                "cpuset" => "the cpuset controller, which is not mounted",
                "pids" => "the pids controller, which is not mounted",
                "blkio" => "the blkio (io) controller, which is not mounted",
                "hugetlb" => "the hugetlb controller, which is not mounted",
                "rdma" => "the rdma controller, which is not mounted",
                _ => "the net_cls and net_prio controllers of cgroup v1, which are not mounted",
            },
        }),
    }
}

/// What is in use must stay below the new limit.
fn keep_used(cgroup: &mut Cgroup, limits: &Limits) {
    let Some(max) = limits.memory.max.and_then(hull_model::limits::Max::at) else { return };
    for directory in &mut cgroup.directories {
        let file = |write: &Write| match write.file.as_str() {
            "memory.limit_in_bytes" => Some("memory.usage_in_bytes"),
            "memory.max" => Some("memory.current"),
            _ => None,
        };
        if let Some(usage) = directory.writes.iter().find_map(file) {
            directory.keep_used = Some((usage.to_owned(), max));
        }
    }
}

/// A file of cgroup v2 that the user named.
fn write_unified(
    cgroup: &mut Cgroup,
    host: &HostFacts,
    file: &str,
    value: &str,
) -> Result<(), LimitError> {
    let bad = |why| LimitError::Name { what: "unified resource", name: file.to_owned(), why };
    plain("unified resource", file)?;
    let (controller, _) = file.split_once('.').ok_or_else(|| bad("no controller before a dot"))?;
    if controller == "cgroup" && !matches!(file, "cgroup.max.depth" | "cgroup.max.descendants") {
        return Err(bad("the runtime keeps this file"));
    }
    let limit = || format!("unified {file}");
    let at = unified(cgroup, host, controller).ok_or_else(|| LimitError::Unsupported {
        limit: limit(),
        needs: "cgroup v2 with its controller",
    })?;
    at.writes.extend(value.lines().map(|line| must(file, line.to_owned())));
    Ok(())
}

/// Nothing that leads out of a directory or into another line.
fn plain(what: &'static str, name: &str) -> Result<(), LimitError> {
    let ok = |b: u8| b.is_ascii_graphic() && b != b'/';
    if !name.is_empty() && name.len() <= 255 && name.bytes().all(ok) && name != ".." {
        return Ok(());
    }
    Err(LimitError::Name { what, name: name.to_owned(), why: "expected one plain word" })
}

fn unsupported(limit: &str, needs: &'static str) -> LimitError {
    LimitError::Unsupported { limit: limit.to_owned(), needs }
}

#[expect(clippy::needless_pass_by_value, reason = "most values are made for this alone")]
fn must(file: &str, value: impl ToString) -> Write {
    Write { file: file.to_owned(), value: value.to_string(), missing: Missing::Fail }
}

fn may(file: &str, value: impl ToString) -> Write {
    Write { missing: Missing::Ignore, ..must(file, value) }
}

/// The first of both files that exists gets its value.
fn either(first: Write, second: Write) -> Write {
    Write { missing: Missing::Instead(Box::new(second)), ..first }
}

#[cfg(test)]
mod tests;
