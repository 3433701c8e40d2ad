//! The guest's `/dev`: a tmpfs of the host's user namespace, because nodes on a tmpfs of any other
//! cannot be opened. Nobody but the launcher sees it until the guest has it.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, Uid, chownat, makedev, mkdirat, mknodat, symlinkat,
};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_string, fsmount,
    fsopen,
};

use super::Maps;
use super::root::complain;
use crate::failure::{Doing, Failure};
use crate::plan::{Device, LaunchPlan, NodeKind};

/// Where the init program appears. Not in the image's directories: they may be read-only, hostile
/// or empty.
pub(crate) const INIT: &str = ".hull-init";
/// Where the terminal appears.
pub(crate) const CONSOLE: &str = "console";

/// Docker's links; each exists in every image that expects a `/dev`.
const LINKS: [(&str, &str); 6] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("core", "/proc/kcore"),
    ("ptmx", "pts/ptmx"),
];

/// Makes it, detached.
pub(crate) fn build(plan: &LaunchPlan, maps: &Maps) -> Result<OwnedFd, Failure> {
    let root = maps.root();
    let mounted = tmpfs(root).doing("make /dev")?;
    let old_mask = rustix::process::umask(Mode::empty());
    let filled = fill(&mounted, plan, root);
    rustix::process::umask(old_mask);
    filled?;
    Ok(mounted)
}

fn tmpfs((uid, gid): (u32, u32)) -> Result<OwnedFd, String> {
    let filesystem = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC).map_err(|e| e.to_string())?;
    let (uid, gid) = (uid.to_string(), gid.to_string());
    // Docker's size.
    let options = [("mode", "755"), ("size", "65536k"), ("uid", &uid), ("gid", &gid)];
    for (key, value) in options {
        fsconfig_set_string(&filesystem, key, value).map_err(|e| complain(&filesystem, e))?;
    }
    fsconfig_create(&filesystem).map_err(|e| complain(&filesystem, e))?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_STRICTATIME;
    fsmount(&filesystem, FsMountFlags::FSMOUNT_CLOEXEC, attributes).map_err(|e| e.to_string())
}

fn fill(dev: &OwnedFd, plan: &LaunchPlan, root: (u32, u32)) -> Result<(), Failure> {
    for (name, target) in LINKS {
        symlinkat(target, dev, name).doing(format!("link /dev/{name}"))?;
        own(dev, Path::new(name), root)?;
    }
    for device in &plan.devices {
        node(dev, device, root)?;
    }
    let mut places = Vec::new();
    if plan.init.is_some() {
        places.push(INIT);
    }
    if plan.process.terminal {
        places.push(CONSOLE);
    }
    for name in places {
        mknodat(dev, name, FileType::RegularFile, Mode::from_raw_mode(0o600), 0)
            .doing(format!("make /dev/{name}"))?;
        own(dev, Path::new(name), root)?;
    }
    Ok(())
}

fn node(dev: &OwnedFd, device: &Device, root: (u32, u32)) -> Result<(), Failure> {
    let path = Path::new(device.path.strip_prefix("/dev/").unwrap_or_default());
    let plain = path.components().all(|part| matches!(part, std::path::Component::Normal(_)));
    if !plain || path.as_os_str().is_empty() {
        return Err(Failure::other(format!("device {:?} is not below /dev", device.path)));
    }
    for above in path.ancestors().skip(1).collect::<Vec<_>>().into_iter().rev() {
        if above.as_os_str().is_empty() {
            continue;
        }
        match mkdirat(dev, above, Mode::from_raw_mode(0o755)) {
            Ok(()) => own(dev, above, root)?,
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error).doing_at("make directory in /dev", above),
        }
    }
    let kind = match device.kind {
        NodeKind::Character => FileType::CharacterDevice,
        NodeKind::Block => FileType::BlockDevice,
        NodeKind::Fifo => FileType::Fifo,
    };
    let number = makedev(device.major, device.minor);
    match mknodat(dev, path, kind, Mode::from_raw_mode(device.mode), number) {
        Ok(()) => {}
        // A later device of the same name is the same wish written twice.
        Err(Errno::EXIST) => return Ok(()),
        Err(error) => return Err(error).doing(format!("make device {}", device.path)),
    }
    own(dev, path, (root.0 + device.uid, root.1 + device.gid))
}

fn own(dev: &OwnedFd, path: &Path, (uid, gid): (u32, u32)) -> Result<(), Failure> {
    let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
    chownat(dev, path, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
        .doing_at("set the owner in /dev of", path)
}
