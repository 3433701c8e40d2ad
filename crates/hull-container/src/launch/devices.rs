//! The guest's `/dev`: a tmpfs of the host's user namespace, because nodes on a tmpfs of any other
//! cannot be opened. Nobody but the launcher sees it until the guest has it.

use std::os::fd::OwnedFd;
use std::path::Path;

use hull_sys::mount::attribute;
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, Uid, chownat, makedev, mkdirat, mknodat, symlinkat,
};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_string, fsmount,
    fsopen,
};

use super::root::complain;
use super::{Maps, tree};
use crate::failure::{Doing, Failure};
use crate::plan::{Device, LaunchPlan, NodeKind, Source};

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

/// Docker's options.
const OPTIONS: [(&str, &str); 2] = [("mode", "755"), ("size", "65536k")];

/// Makes it, detached.
pub(super) fn build(plan: &LaunchPlan, maps: &Maps) -> Result<OwnedFd, Failure> {
    let mount = plan.mounts.iter().find_map(|mount| {
        let Source::Devices { options } = &mount.source else { return None };
        Some((options, mount.attributes.set | mount.recursive.set))
    });
    let (options, attributes) = mount.unwrap_or((const { &Vec::new() }, 0));
    // Written to below, so read-only comes last.
    let mounted =
        tmpfs(options, attributes & !attribute::READ_ONLY, maps.root()).doing("make /dev")?;
    let old_mask = rustix::process::umask(Mode::empty());
    let filled = fill(&mounted, plan, maps);
    rustix::process::umask(old_mask);
    filled?;
    Ok(mounted)
}

/// Nodes that are bind-mounted to where they belong, and the null device that hides files.
pub(super) fn hidden(plan: &LaunchPlan, maps: &Maps, dev: bool) -> Result<OwnedFd, Failure> {
    let no_exec = attribute::NO_SUID | attribute::NO_EXEC;
    let mounted = tmpfs(&[], no_exec, (0, 0)).doing("make a place for device nodes")?;
    let old_mask = rustix::process::umask(Mode::empty());
    let null = Device {
        path: "/dev/null".to_owned(),
        kind: NodeKind::Character,
        major: 1,
        minor: 3,
        mode: 0o666,
        uid: 0,
        gid: 0,
    };
    let filled = make(&mounted, Path::new(tree::HIDDEN_NULL), &null, maps).and_then(|()| {
        let all = plan.devices.iter().enumerate();
        all.filter(|(_, device)| !tree::is_in_dev(&device.path, dev)).try_for_each(
            |(at, device)| make(&mounted, Path::new(&tree::hidden_name(at)), device, maps),
        )
    });
    rustix::process::umask(old_mask);
    filled?;
    Ok(mounted)
}

fn tmpfs(
    own: &[(String, String)],
    attributes: u64,
    (uid, gid): (u32, u32),
) -> Result<OwnedFd, String> {
    let filesystem = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC).map_err(|e| e.to_string())?;
    let (uid, gid) = (uid.to_string(), gid.to_string());
    let owner = [("uid", uid.as_str()), ("gid", gid.as_str())];
    let own = own.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let usual = OPTIONS.into_iter().chain(owner);
    // A later word replaces an earlier one.
    for (key, value) in usual.chain(own) {
        fsconfig_set_string(&filesystem, key, value).map_err(|e| complain(&filesystem, e))?;
    }
    fsconfig_create(&filesystem).map_err(|e| complain(&filesystem, e))?;
    let attributes = u32::try_from(attributes).map_err(|e| e.to_string())?;
    let attributes = MountAttrFlags::from_bits_retain(attributes);
    fsmount(&filesystem, FsMountFlags::FSMOUNT_CLOEXEC, attributes).map_err(|e| e.to_string())
}

fn fill(dev: &OwnedFd, plan: &LaunchPlan, maps: &Maps) -> Result<(), Failure> {
    let root = maps.root();
    for (name, target) in LINKS {
        // A link to nothing would say that there is something.
        if name == "core" && !Path::new(target).exists() {
            continue;
        }
        symlinkat(target, dev, name).doing(format!("link /dev/{name}"))?;
        own(dev, Path::new(name), root)?;
    }
    for device in plan.devices.iter().filter(|device| tree::is_in_dev(&device.path, true)) {
        node(dev, device, maps)?;
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

fn node(dev: &OwnedFd, device: &Device, maps: &Maps) -> Result<(), Failure> {
    let path = Path::new(device.path.strip_prefix("/dev/").unwrap_or_default());
    let plain = path.components().all(|part| matches!(part, std::path::Component::Normal(_)));
    if !plain || path.as_os_str().is_empty() {
        return Err(Failure::other(format!("device path {:?} is not plain", device.path)));
    }
    for above in path.ancestors().skip(1).collect::<Vec<_>>().into_iter().rev() {
        if above.as_os_str().is_empty() {
            continue;
        }
        match mkdirat(dev, above, Mode::from_raw_mode(0o755)) {
            Ok(()) => own(dev, above, maps.root())?,
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error).doing_at("make directory in /dev", above),
        }
    }
    make(dev, path, device, maps)
}

fn make(dev: &OwnedFd, path: &Path, device: &Device, maps: &Maps) -> Result<(), Failure> {
    let owner = maps.outside(device.uid, device.gid).ok_or_else(|| {
        let Device { path, uid, gid, .. } = device;
        Failure::other(format!("make device {path}: owner {uid}:{gid} is not in the id maps"))
    })?;
    let number = makedev(device.major, device.minor);
    let mode = Mode::from_raw_mode(device.mode & 0o7777);
    match mknodat(dev, path, tree::file_type(device.kind), mode, number) {
        Ok(()) => {}
        // A later device of the same name is the same wish written twice.
        Err(Errno::EXIST) => return Ok(()),
        Err(error) => return Err(error).doing(format!("make device {}", device.path)),
    }
    own(dev, path, owner)
}

fn own(dev: &OwnedFd, path: &Path, (uid, gid): (u32, u32)) -> Result<(), Failure> {
    let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
    chownat(dev, path, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
        .doing_at("set the owner in /dev of", path)
}
