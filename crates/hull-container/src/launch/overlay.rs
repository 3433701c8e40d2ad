//! Overlays of detached layers, on every kernel since 5.19.
//!
//! Linux 6.15 puts an overlay together from detached mounts. Kernels before it take only layers that
//! are mounted in the caller's mount namespace, so there a short-lived process mounts them in one of
//! its own, where nothing of it can be seen or left behind. Layers are added one by one since 6.5,
//! and before that are all named in one option.

use std::ffi::{CString, OsStr, OsString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hull_sys::namespace::Kinds;
use hull_sys::process::{Fork, Parentage, end};
use rustix::fs::{Mode, mkdirat};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, MoveMountFlags,
    OpenTreeFlags, fsconfig_create, fsconfig_set_string, fsmount, fsopen, mount, mount_change,
    move_mount, open_tree,
};

use super::root::complain;
use super::{Channel, FromChild, Newborn};
use crate::failure::{Doing, Failure};

/// How long mounting may take in the process in between.
const MOUNT_MAX: Duration = Duration::from_secs(30);
/// Whatever the host's module was loaded with: no features whose traces in an upper directory make
/// it unreadable elsewhere, and no redirects that a hostile layer may have been given.
const OPTIONS: [(&str, &str); 3] =
    [("index", "off"), ("metacopy", "off"), ("redirect_dir", "nofollow")];

/// What an overlay is made of: detached mounts.
#[derive(Debug)]
pub(crate) struct Layers<'a> {
    /// Read-only ones, the uppermost first.
    pub(crate) lowers: &'a [OwnedFd],
    /// The directory that holds the next two.
    pub(crate) writable: &'a OwnedFd,
    /// Name of what the guest writes.
    pub(crate) upper: &'a OsStr,
    /// Name of overlayfs's scratch directory.
    pub(crate) work: &'a OsStr,
    /// `writable`'s path on the host, for messages, and to be covered in private.
    pub(crate) place: &'a Path,
}

/// How an attempt ended that did not give a mount.
enum Refusal {
    /// This kernel does not do it this way.
    Way(Failure),
    /// Another way would not help.
    Final(Failure),
}

/// Mounts the overlay, detached, with the file system identity `owner` (user and group).
pub(crate) fn overlay(layers: &Layers<'_>, owner: (u32, u32)) -> Result<OwnedFd, Failure> {
    match by_context(layers, owner) {
        Ok(mounted) => Ok(mounted),
        Err(Refusal::Final(failure)) => Err(failure),
        // If attached layers are refused as well, that answer has the kernel's true reason.
        Err(Refusal::Way(_)) => attached(layers, owner),
    }
}

/// By a file system context, which takes layers by descriptor.
fn by_context(layers: &Layers<'_>, owner: (u32, u32)) -> Result<OwnedFd, Refusal> {
    let final_ = Refusal::Final;
    let own = |tree: &OwnedFd| PathBuf::from(format!("/proc/self/fd/{}", tree.as_raw_fd()));
    let doing = format!("mount overlay at {}", layers.place.display());
    let identity = MountIdentity::assume(owner).map_err(final_)?;
    let context =
        fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC).doing("open overlayfs").map_err(final_)?;
    let set = |key: &str, value: &Path| {
        let outcome = fsconfig_set_string(&context, key, value);
        outcome.map_err(|error| refusal(&context, error, &format!("{doing}: set {key}")))
    };
    for tree in layers.lowers {
        set("lowerdir+", &own(tree))?;
    }
    set("upperdir", &own(layers.writable).join(layers.upper))?;
    set("workdir", &own(layers.writable).join(layers.work))?;
    for (key, value) in OPTIONS {
        set(key, Path::new(value))?;
    }
    fsconfig_create(&context).map_err(|error| refusal(&context, error, &doing))?;
    let mounted = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
        .doing(doing)
        .map_err(final_)?;
    drop(identity);
    Ok(mounted)
}

fn refusal(context: &OwnedFd, error: Errno, doing: &str) -> Refusal {
    let failure = Failure::other(format!("{doing}: {}", complain(context, error)));
    if error == Errno::INVAL { Refusal::Way(failure) } else { Refusal::Final(failure) }
}

/// By a process with a mount namespace of its own, in which the layers are mounted.
fn attached(layers: &Layers<'_>, owner: (u32, u32)) -> Result<OwnedFd, Failure> {
    let (ours, theirs) = Channel::pair().doing("make socket pair")?;
    let forked = hull_sys::process::fork(Kinds::MOUNT, None, Parentage::Caller)
        .doing("clone into a new mount namespace")?;
    let newborn = match forked {
        Fork::Child => end(u8::from(!tell(&theirs, attach_and_mount(layers, owner)))),
        Fork::Parent(child) => Newborn::of(child),
    };
    drop(theirs);
    let doing = || format!("mount overlay at {}", layers.place.display());
    let heard = ours.receive(MOUNT_MAX).doing(doing())?;
    let Some((message, mut descriptors)) = heard else {
        let fate = newborn.fate();
        return Err(Failure::other(format!("{}: the process that mounts {fate}", doing())));
    };
    if let Some(mounted) = descriptors.pop() {
        return Ok(mounted);
    }
    Err(FromChild::read(&message)?.unexpected())
}

/// Whether the launcher was told; if it cannot be, it is gone.
fn tell(channel: &Channel, outcome: Result<OwnedFd, Failure>) -> bool {
    match outcome {
        Ok(mounted) => channel.send(&[0], &[mounted.as_fd()]).is_ok(),
        Err(failure) => channel.say(&FromChild::Failed(failure), &[]).is_ok(),
    }
}

fn attach_and_mount(layers: &Layers<'_>, owner: (u32, u32)) -> Result<OwnedFd, Failure> {
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .doing("make mounts private")?;
    let stage = stage(layers.place)?;
    let attach = |tree: BorrowedFd<'_>, name: &str| {
        mkdirat(&stage, name, Mode::RWXU).doing("make a mount point")?;
        move_mount(tree, "", &stage, name, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
            .doing("mount an overlay layer")
    };
    for (number, tree) in layers.lowers.iter().enumerate() {
        attach(tree.as_fd(), &number.to_string())?;
    }
    attach(layers.writable.as_fd(), "w")?;
    match by_context(layers, owner) {
        Ok(mounted) => Ok(mounted),
        Err(Refusal::Final(failure)) => Err(failure),
        Err(Refusal::Way(first)) => by_names(layers, owner, &stage).map_err(|last| {
            Failure::new(last.kind, format!("{}; with one option: {}", first.message, last.message))
        }),
    }
}

/// A tmpfs over `place`, in this mount namespace only.
fn stage(place: &Path) -> Result<OwnedFd, Failure> {
    let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC).doing("open tmpfs for layers")?;
    fsconfig_create(&context).doing("make a tmpfs for layers")?;
    let stage = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
        .doing("make a tmpfs for layers")?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    move_mount(&stage, "", rustix::fs::CWD, place, flags).doing_at("mount a tmpfs over", place)?;
    Ok(stage)
}

/// By mount(2) with all layers in one option (before Linux 6.5), by their short names on the stage.
fn by_names(layers: &Layers<'_>, owner: (u32, u32), stage: &OwnedFd) -> Result<OwnedFd, Failure> {
    let doing = || format!("mount overlay at {}", layers.place.display());
    let data = CString::new(names(layers).into_vec())
        .map_err(|error| Failure::other(format!("{}: {error}", doing())))?;
    rustix::process::fchdir(stage).doing("enter the tmpfs of layers")?;
    mkdirat(stage, "m", Mode::RWXU).doing("make a mount point")?;
    let identity = MountIdentity::assume(owner)?;
    mount("overlay", "m", "overlay", MountFlags::empty(), data.as_c_str()).doing(doing())?;
    drop(identity);
    open_tree(stage, "m", OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC)
        .doing(doing())
}

/// The option string of [`by_names`].
fn names(layers: &Layers<'_>) -> OsString {
    let numbers: Vec<_> = (0..layers.lowers.len()).map(|number| number.to_string()).collect();
    let mut text = OsString::from(format!("lowerdir={}", numbers.join(":")));
    for (key, name) in [("upperdir", layers.upper), ("workdir", layers.work)] {
        text.push(format!(",{key}=w/"));
        text.push(escaped(name));
    }
    for (key, value) in OPTIONS {
        text.push(format!(",{key}={value}"));
    }
    text
}

/// With a backslash before what separates options.
fn escaped(name: &OsStr) -> OsString {
    let mut bytes = Vec::new();
    for byte in name.as_bytes() {
        if matches!(byte, b',' | b':' | b'\\') {
            bytes.push(b'\\');
        }
        bytes.push(*byte);
    }
    OsString::from_vec(bytes)
}

/// The file system identity of the guest's root, while this lives.
///
/// Overlayfs works on its upper layer with the identity it was mounted with. The host's own root is
/// not in the map of the layer's owners, so it could not make a file there, and overlayfs would
/// silently be read-only.
struct MountIdentity;

impl MountIdentity {
    fn assume((uid, gid): (u32, u32)) -> Result<Self, Failure> {
        let identity = Self;
        hull_sys::identity::set_file_system(uid, gid)
            .and_then(|()| hull_sys::capability::raise_all())
            .doing(format!("assume file system identity {uid}:{gid}"))?;
        Ok(identity)
    }
}

impl Drop for MountIdentity {
    fn drop(&mut self) {
        // Root may always return to itself, so this cannot fail.
        hull_sys::identity::set_file_system(0, 0).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_separate_options_are_escaped() {
        let file = || OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
        let (lowers, writable) = ([file(), file()], file());
        let (upper, work) = (OsStr::new("a,b:c\\d"), OsStr::new("work"));
        let place = Path::new("/place");
        let layers = Layers { lowers: &lowers, writable: &writable, upper, work, place };
        assert_eq!(
            names(&layers).to_str().unwrap(),
            "lowerdir=0:1,upperdir=w/a\\,b\\:c\\\\d,workdir=w/work,index=off,metacopy=off,\
             redirect_dir=nofollow"
        );
    }
}
