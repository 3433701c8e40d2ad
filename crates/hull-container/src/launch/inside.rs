//! The guest's mounts, attached by its first process in its own mount namespace.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use hull_sys::mount::{self as mounts, Depth, attribute};
use rustix::fs::{FileType, Mode, OFlags, fstat, openat};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, FsPickFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags,
    UnmountFlags, fsconfig_create, fsconfig_reconfigure, fsconfig_set_flag, fsconfig_set_string,
    fsmount, fsopen, fspick, move_mount, open_tree, unmount,
};

use super::resolve::{Links, Wanted, ensure, find};
use super::root::complain;
use crate::failure::{Doing, Failure, plain};
use crate::plan::{self, CgroupView, Mount, Namespace, Source};
use crate::process::label::HostProc;
use crate::weakened::{Defence, stands};

/// Files below `/proc` that a mount may cover, as for runc (`libcontainer/rootfs_linux.go`): they
/// only inform. Any other would let a user choose what the kernel's own files say or do.
const PROC_FILES: [&str; 8] = [
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/uptime",
    "/proc/loadavg",
    "/proc/slabinfo",
];

/// The kernel's own file systems, whose places are fixed.
const KERNELS: [&str; 6] = ["proc", "sysfs", "devpts", "mqueue", "cgroup", "cgroup2"];

/// A new instance of a file system, detached, owned by the calling process's namespaces.
pub(crate) fn instance(
    filesystem: &str,
    options: &[(String, String)],
    attributes: u64,
) -> Result<OwnedFd, Failure> {
    let doing = || format!("mount {filesystem}");
    let context = fsopen(filesystem, FsOpenFlags::FSOPEN_CLOEXEC).doing(doing())?;
    configure(&context, options, &doing())?;
    fsconfig_create(&context).map_err(|error| complain(&context, error)).doing(doing())?;
    let attributes = u32::try_from(attributes).doing("mount attributes")?;
    let attributes = MountAttrFlags::from_bits_retain(attributes);
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes).doing(doing())
}

fn configure(context: &OwnedFd, options: &[(String, String)], doing: &str) -> Result<(), Failure> {
    for (key, value) in options {
        let set = if value.is_empty() {
            fsconfig_set_flag(context, key.as_str())
        } else {
            fsconfig_set_string(context, key.as_str(), value.as_str())
        };
        set.map_err(|error| complain(context, error))
            .doing(format!("{doing} with {key}={value}"))?;
    }
    Ok(())
}

/// Makes what happens on the host from now on not undo what happens here, and nothing here reach
/// the host.
pub(crate) fn separate() -> Result<(), Failure> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open("/", flags, Mode::empty()).doing("open /")?;
    mounts::set_propagation(root.as_fd(), Depth::Tree, mounts::Propagation::Slave)
        .doing("make all mounts slaves")
}

/// Puts the root where hooks expect it, on the directory it came from, else on top of `/`; [`enter`]
/// makes it the only one.
pub(crate) fn attach_root(root: &OwnedFd, at: Option<&Path>) -> Result<(), Failure> {
    let open = |path: &Path| rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
    let place = match at {
        Some(path) => open(path).doing_at("open the root", path)?,
        None => open(Path::new("/")).doing("open /")?,
    };
    put(root, &place).doing("attach the root")
}

/// Attaches `tree` at the mount's target below `root`, making the target if needed.
pub(crate) fn attach(root: &OwnedFd, mount: &Mount, tree: &OwnedFd) -> Result<(), Failure> {
    let stat = fstat(tree).doing(format!("look at what to mount at {}", mount.target))?;
    let is_directory = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
    let wanted = if is_directory { Wanted::Directory } else { Wanted::File };
    let users = is_users(&mount.source);
    let links = match (mount.links, users) {
        (plan::Links::LastCovered, true) => Links::Cover,
        (plan::Links::Fitting, true) => Links::Follow,
        (_, false) if stands(Defence::KernelLinks) => Links::Refuse,
        (_, false) => Links::Follow,
    };
    let place = ensure(root, &mount.target, wanted, links)?;
    if users {
        refuse_proc(&place, &mount.target)?;
    }
    if mount.copy_up {
        super::copy_up::copy(&place, tree, &mount.target)?;
    }
    put(tree, &place).doing(format!("mount at {}", mount.target))
}

/// Whether links in the image say where a mount of this source goes: for what a user asked for, they
/// are the image's way of saying where things are; for the kernel's own file systems they can only be
/// an attack.
fn is_users(source: &Source) -> bool {
    match source {
        Source::Bind { .. } | Source::Foreign { .. } => true,
        Source::New { filesystem, .. } => !KERNELS.contains(&filesystem.as_str()),
        Source::Devices { .. } | Source::CgroupV1 { .. } | Source::Mounted { .. } => false,
    }
}

/// Refuses a place inside a procfs, but for some harmless files.
pub(crate) fn refuse_proc(place: &OwnedFd, target: &str) -> Result<(), Failure> {
    let is_proc = is_proc(place).doing_at("look at", target.as_ref())?;
    if is_proc && !PROC_FILES.contains(&target) && stands(Defence::ProcMounts) {
        return Err(Failure::other(format!(
            "{target:?} cannot be mounted because it is inside /proc"
        )));
    }
    Ok(())
}

/// Changes what is mounted at the target already.
pub(crate) fn remount(
    root: &OwnedFd,
    mount: &Mount,
    options: &[(String, String)],
) -> Result<(), Failure> {
    let doing = || format!("remount {}", mount.target);
    let missing = || Failure::other(format!("{}: there is no such place", doing()));
    let place = find(root, &mount.target)?.ok_or_else(missing)?;
    if !options.is_empty() {
        let flags = FsPickFlags::FSPICK_EMPTY_PATH | FsPickFlags::FSPICK_CLOEXEC;
        let context = fspick(&place, "", flags).doing(doing())?;
        configure(&context, options, &doing())?;
        fsconfig_reconfigure(&context).map_err(|error| complain(&context, error)).doing(doing())?;
    }
    super::root::change(&place, mount).map_err(|error| {
        let hint = match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::INVAL) => "; hint: is it a mount point?",
            _ => "",
        };
        Failure::other(format!("{}: {}{hint}", doing(), plain(&error)))
    })?;
    if mount.propagation.is_empty() {
        return Ok(());
    }
    super::root::propagate(&place, &mount.propagation).doing(doing())
}

/// Makes symbolic links where nothing is yet.
pub(crate) fn link(root: &OwnedFd, path: &str, target: &str) -> Result<(), Failure> {
    let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
    let parent = if parent.is_empty() { "/" } else { parent };
    let parent = ensure(root, parent, Wanted::Directory, Links::Follow)?;
    refuse_proc(&parent, path)?;
    match rustix::fs::symlinkat(target, &parent, name) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(error) => Err(error).doing(format!("link {path} to {target}")),
    }
}

/// Shows the node `tree` at `path`.
pub(crate) fn show_node(root: &OwnedFd, path: &str, tree: &OwnedFd) -> Result<(), Failure> {
    let place = ensure(root, path, Wanted::File, Links::Follow)?;
    refuse_proc(&place, path)?;
    put(tree, &place).doing(format!("make device {path}"))
}

/// The tmpfs with a directory for each cgroup v1 hierarchy, filled after it is attached.
pub(crate) fn fill_cgroups(
    tree: &OwnedFd,
    hierarchies: &[(String, CgroupView)],
    links: &[(String, String)],
    attributes: u64,
) -> Result<(), Failure> {
    for (name, view) in hierarchies {
        let place = ensure(tree, name, Wanted::Directory, Links::Refuse)?;
        let cgroup = match view {
            CgroupView::Hierarchy(options) => instance("cgroup", options, attributes)?,
            CgroupView::Directory(path) => {
                let cgroup = super::root::clone(path, false)?;
                mounts::set_attributes(cgroup.as_fd(), Depth::One, attributes, 0)
                    .doing_at("set mount attributes of", path)?;
                cgroup
            }
        };
        put(&cgroup, &place).doing(format!("mount cgroup {name}"))?;
    }
    for (name, target) in links {
        rustix::fs::symlinkat(target.as_str(), tree, name.as_str())
            .doing(format!("link cgroup {name}"))?;
    }
    mounts::set_attributes(tree.as_fd(), Depth::One, attributes, 0)
        .doing("set mount attributes of the cgroup directory")
}

/// Shows the terminal `tree` as `/dev/console` of a guest without our own `/dev`. No link is followed:
/// nothing else may be covered by it, nor may it cover anything else (CVE-2025-52565).
pub(crate) fn show_console(root: &OwnedFd, tree: &OwnedFd) -> Result<(), Failure> {
    let place = ensure(root, "/dev/console", Wanted::File, Links::Refuse)?;
    refuse_proc(&place, "/dev/console")?;
    put(tree, &place).doing("mount at /dev/console")
}

/// Attaches the detached `tree` over the open `place`.
pub(crate) fn put(tree: &OwnedFd, place: &OwnedFd) -> rustix::io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(tree, "", place, "", flags)
}

/// A detached copy of the mount, or of the part of it, that `place` refers to.
pub(crate) fn copy(place: &OwnedFd, depth: Depth) -> rustix::io::Result<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH;
    if depth == Depth::Tree {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    open_tree(place, "", flags)
}

/// Writes `value` to the file of the kernel's own `/proc/sys` called `name`.
///
/// The host's `/proc` shows the settings of the namespaces of whoever looks, so it serves as well as
/// the guest's, and nobody inside can have put anything in its way (CVE-2025-52881).
pub(crate) fn sysctl(host: &HostProc, name: &str, value: &str) -> Result<(), Failure> {
    // Dots separate, unless the name is written with slashes, as sysctl(8) allows for interfaces
    // whose names have dots.
    let path = if name.contains('/') { name.to_owned() } else { name.replace('.', "/") };
    let file = host.setting(&path).doing(format!("set sysctl {name}"))?;
    rustix::io::write(&file, value.as_bytes()).doing(format!("set sysctl {name} to {value:?}"))?;
    Ok(())
}

/// Hides `path`, if it exists: an empty directory, or what `null` refers to.
pub(crate) fn mask(root: &OwnedFd, path: &str, null: &OwnedFd) -> Result<(), Failure> {
    let Some(place) = find(root, path)? else { return Ok(()) };
    let stat = fstat(&place).doing(format!("mask {path}"))?;
    let cover = if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
        // Each gets its own: one shared instance could be written through none of them either, but
        // unmounting and mount counts stay simple to reason about.
        let options = [("size".to_owned(), "0".to_owned()), ("mode".to_owned(), "555".to_owned())];
        let sealed = attribute::READ_ONLY | attribute::NO_SUID | attribute::NO_DEV;
        instance("tmpfs", &options[1..], sealed | attribute::NO_EXEC)?
    } else {
        copy(null, Depth::One).doing(format!("mask {path}"))?
    };
    put(&cover, &place).doing(format!("mask {path}"))
}

/// Makes `path` read-only, with all that is mounted below it, if it exists.
pub(crate) fn protect(root: &OwnedFd, path: &str) -> Result<(), Failure> {
    let Some(place) = find(root, path)? else { return Ok(()) };
    let cover = copy(&place, Depth::Tree).doing(format!("protect {path}"))?;
    mounts::set_attributes(cover.as_fd(), Depth::Tree, attribute::READ_ONLY, 0)
        .doing(format!("protect {path}"))?;
    put(&cover, &place).doing(format!("protect {path}"))
}

/// The node `null` of our own `/dev`, by its descriptor: an image or a volume cannot have put
/// anything else there (CVE-2025-31133). Checked all the same, since so much hangs on it.
pub(crate) fn null_of(root: &OwnedFd, (dev, name): (&OwnedFd, &str)) -> Result<OwnedFd, Failure> {
    if !stands(Defence::Null) {
        let found = find(root, "/dev/null")?;
        return found.ok_or_else(|| Failure::other("there is no /dev/null"));
    }
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let null = openat(dev, name, flags, Mode::empty()).doing("open /dev/null")?;
    let stat = fstat(&null).doing("look at /dev/null")?;
    let is_device = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice;
    if !is_device || stat.st_rdev != rustix::fs::makedev(1, 3) {
        return Err(Failure::other("/dev/null is not the null device"));
    }
    Ok(null)
}

/// Makes `root`, which is attached, the root, and lets go of the old one.
pub(crate) fn enter(root: &OwnedFd, own: &Namespace) -> Result<(), Failure> {
    rustix::process::fchdir(root).doing("change to the new root")?;
    if *own != Namespace::New {
        // Others live in a mount namespace that was joined; their root must stay.
        rustix::process::chroot(".").doing("change the root")?;
        return rustix::process::chdir("/").doing("change to the new root");
    }
    // Old and new root in one place: no directory in the image is needed for the old one.
    rustix::process::pivot_root(".", ".").doing("pivot to the new root")?;
    // "." is now the old root on top of the new one.
    unmount(".", UnmountFlags::DETACH).doing("let go of the old root")?;
    rustix::process::chdir("/").doing("change to the new root")
}

fn is_proc(place: &OwnedFd) -> std::io::Result<bool> {
    /// `PROC_SUPER_MAGIC` of `linux/magic.h`.
    const PROC_MAGIC: u32 = 0x9fa0;
    Ok(u32::try_from(rustix::fs::fstatfs(place)?.f_type).ok() == Some(PROC_MAGIC))
}

/// Makes the working directory if it is missing, as Docker does.
pub(crate) fn make_directory(root: &OwnedFd, path: &str) -> Result<(), Failure> {
    ensure(root, path, Wanted::Directory, Links::Follow)
        .map(drop)
        .map_err(|failure| Failure::other(failure.message.replacen("mount at", "make", 1)))
}

/// The host name and domain of the new UTS namespace.
pub(crate) fn set_names(host: Option<&str>, domain: Option<&str>) -> Result<(), Failure> {
    if let Some(name) = host {
        rustix::system::sethostname(name.as_bytes()).doing(format!("set host name {name:?}"))?;
    }
    if let Some(name) = domain {
        rustix::system::setdomainname(name.as_bytes()).doing(format!("set domain {name:?}"))?;
    }
    Ok(())
}
