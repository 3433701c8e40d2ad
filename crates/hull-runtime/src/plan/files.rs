//! The root, the mounts below it, the nodes of `/dev`.

use std::path::Path;

use hull_container::plan::{
    Device, Mount, Namespaces, Owners, Propagation, Reach, Root, Rootfs, Source,
};

use super::mounts::{self, Around};
use super::{Context, devices};
use crate::config::{Config, Linux};
use crate::failure::Failure;

/// All of a container's files.
pub(super) struct Files {
    pub(super) root: Root,
    pub(super) mounts: Vec<Mount>,
    pub(super) devices: Vec<Device>,
    pub(super) links: Vec<(String, String)>,
}

/// The links that the specification wants in every `/dev`.
const LINKS: [(&str, &str); 5] = [
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
    ("/dev/ptmx", "pts/ptmx"),
];

pub(super) fn files(
    config: &Config,
    linux: &Linux,
    namespaces: &Namespaces,
    cx: &Context<'_>,
) -> Result<Files, Failure> {
    let around = Around { bundle: cx.bundle, host: cx.host, cgroup: cx.cgroup, namespaces };
    let wanted = config.mounts.iter().flatten().enumerate();
    let mounts: Vec<Mount> =
        wanted.map(|(at, mount)| mounts::mount(mount, at, &around)).collect::<Result<_, _>>()?;
    let bound = |mount: &Mount| matches!(mount.source, Source::Bind { .. });
    let dev = mounts.iter().rfind(|mount| Path::new(&mount.target) == Path::new("/dev"));
    // Who mounts a whole /dev has chosen what is in it; nothing is made in the host's.
    let own_dev = !dev.is_some_and(bound);
    let devices = if own_dev { devices::devices(linux)? } else { Vec::new() };
    let has_devices = mounts.iter().any(|mount| matches!(mount.source, Source::Devices { .. }));
    let own = |&(path, target): &(&str, &str)| (path.to_owned(), target.to_owned());
    let links = if own_dev && !has_devices { LINKS.iter().map(own).collect() } else { Vec::new() };
    Ok(Files { root: root(config, linux, cx)?, mounts, devices, links })
}

fn root(config: &Config, linux: &Linux, cx: &Context<'_>) -> Result<Root, Failure> {
    let root = config.root.as_ref().ok_or_else(|| Failure::new("root: missing"))?;
    if root.path.is_empty() {
        return Err(Failure::new("root.path: missing"));
    }
    Ok(Root {
        files: Rootfs::Path(mounts::in_bundle(cx.bundle, &root.path)),
        read_only: root.readonly,
        // A bundle's files have their owners as whoever made it wants them to be seen.
        owners: Owners::Disk,
        propagation: propagation(linux)?,
    })
}

fn propagation(linux: &Linux) -> Result<Vec<(Propagation, Reach)>, Failure> {
    let Some(word) = linux.rootfs_propagation.as_deref().filter(|word| !word.is_empty()) else {
        return Ok(Vec::new());
    };
    let found = mounts::propagation(word).ok_or_else(|| {
        Failure::new(format!(
            "linux.rootfsPropagation: {word:?} is none of private, slave, shared and unbindable"
        ))
    })?;
    Ok(vec![found])
}
