//! Detached mounts of the host's files, made by the launcher with the host's privileges.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hull_sys::mount::{self, Depth, attribute};
use hull_sys::namespace::Kinds;
use hull_sys::process::{Fork, Parentage};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{OpenTreeFlags, open_tree};

use super::overlay::{self, Layers};
use super::owners::{Mapper, depth};
use super::{Channel, FromChild, Maps, Newborn};
use crate::failure::{Doing, Failure, Kind, plain};
use crate::plan::{Attributes, Mount, Owners, Propagation, Reach, Root, Rootfs};
use crate::weakened::{Defence, stands};

/// How long looking into another guest may take: a few system calls.
const FOREIGN_MAX: Duration = Duration::from_secs(10);

/// The guest's root, detached, its files' owners mapped.
pub(super) fn build(
    root: &Root,
    mapper: &mut Mapper,
    maps: &Maps,
    warnings: &mut Vec<String>,
) -> Result<OwnedFd, Failure> {
    match &root.files {
        Rootfs::Path(path) => {
            let tree = clone(path, true)?;
            // What the host mounts there from now on appears inside only if the plan says so, in the
            // end; what is mounted inside never appears on the host.
            mount::set_propagation(tree.as_fd(), Depth::Tree, mount::Propagation::Slave)
                .doing_at("set the propagation of", path)?;
            warnings.extend(mapper.map(&tree, &root.owners, &path.display().to_string())?);
            Ok(tree)
        }
        Rootfs::Overlay { lowers, upper, work } => {
            overlay(lowers, (upper, work), (mapper, &root.owners), maps.root())
        }
    }
}

/// Applies a mount's propagation, in its order.
pub(crate) fn propagate(tree: &OwnedFd, wanted: &[(Propagation, Reach)]) -> io::Result<()> {
    let slave = [(Propagation::Slave, Reach::Tree)];
    for (propagation, reach) in if wanted.is_empty() { &slave } else { wanted } {
        let propagation = match propagation {
            Propagation::Private => mount::Propagation::Private,
            Propagation::Slave => mount::Propagation::Slave,
            Propagation::Shared => mount::Propagation::Shared,
            Propagation::Unbindable => mount::Propagation::Unbindable,
        };
        mount::set_propagation(tree.as_fd(), depth(*reach), propagation)?;
    }
    Ok(())
}

/// Applies a mount's attributes: those of all below it, then its own.
pub(crate) fn change(tree: &OwnedFd, wanted: &Mount) -> io::Result<()> {
    for (attributes, depth) in [(wanted.recursive, Depth::Tree), (wanted.attributes, Depth::One)] {
        if attributes != Attributes::default() {
            let Attributes { set, mut clear } = attributes;
            // The kernel wants the whole field cleared before any of it is set.
            if (set | clear) & attribute::ATIME != 0 {
                clear |= attribute::ATIME;
            }
            mount::set_attributes(tree.as_fd(), depth, set, clear)?;
        }
    }
    Ok(())
}

/// The init program, read-only: whoever is root inside cannot change it for other guests.
pub(crate) fn bind_init(path: &Path) -> Result<OwnedFd, Failure> {
    let tree = clone(path, false)?;
    let read_only = if stands(Defence::Init) { attribute::READ_ONLY } else { 0 };
    let attributes = read_only | attribute::NO_SUID | attribute::NO_DEV;
    mount::set_attributes(tree.as_fd(), Depth::One, attributes, 0)
        .doing_at("set mount attributes of", path)?;
    Ok(tree)
}

/// A bind mount of the host's `path`, detached, with what is mounted below it if `recursive`.
pub(super) fn clone(path: &Path, recursive: bool) -> Result<OwnedFd, Failure> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    open_tree(CWD, path, flags).map_err(|error| match error {
        Errno::NOENT => Failure::new(
            Kind::NoSuchSource,
            format!("bind source path does not exist: {}", path.display()),
        ),
        error => {
            let error = plain(&error.into());
            Failure::other(format!("clone the mount of {}: {error}", path.display()))
        }
    })
}

/// The mount at `path` of another guest's mount `namespace`, detached.
///
/// Only a process in a mount namespace may clone its mounts, so one is sent there. The other guest's
/// root may be hostile: no links are followed, and only the root of a tmpfs is taken.
pub(super) fn foreign(namespace: &Path, path: &str) -> Result<OwnedFd, Failure> {
    let doing = || format!("share {path} of the container with {}", namespace.display());
    let target = rustix::fs::open(namespace, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    let target = target.doing(doing())?;
    let (ours, theirs) = Channel::pair().doing("make socket pair")?;
    let forked = hull_sys::process::fork(Kinds::NONE, None, Parentage::Caller).doing(doing())?;
    let Fork::Parent(child) = forked else {
        // Whatever goes wrong in there, the other side learns from the answer or from its absence.
        let answer = clone_there(&target, path);
        let (message, tree) = match &answer {
            Ok(tree) => (FromChild::Mounted, vec![tree.as_fd()]),
            Err(failure) => (FromChild::Failed(failure.clone()), Vec::new()),
        };
        theirs.say(&message, &tree).unwrap_or_default();
        hull_sys::process::end(0);
    };
    drop(theirs);
    let newborn = Newborn::of(child);
    match ours.answer(FOREIGN_MAX, &newborn, &doing())? {
        (FromChild::Mounted, mut descriptors) => {
            descriptors.pop().ok_or_else(|| Failure::other(format!("{}: no mount came", doing())))
        }
        (other, _) => Err(Failure::other(format!("{}: {}", doing(), other.unexpected()))),
    }
}

fn clone_there(namespace: &OwnedFd, path: &str) -> Result<OwnedFd, Failure> {
    use rustix::fs::{ResolveFlags, fstatfs, openat2};
    /// `TMPFS_MAGIC` of `linux/magic.h`.
    const TMPFS_MAGIC: u32 = 0x0102_1994;
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
        .doing("set not dumpable")?;
    hull_sys::namespace::join(namespace.as_fd(), Kinds::MOUNT).doing("join")?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open("/", flags, Mode::empty()).doing("open /")?;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS;
    let place = openat2(&root, path, flags, Mode::empty(), resolve).doing("open")?;
    let kind = fstatfs(&place).doing("look at it")?.f_type;
    if u32::try_from(kind).ok() != Some(TMPFS_MAGIC) {
        return Err(Failure::other("there is no tmpfs"));
    }
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH;
    open_tree(&place, "", flags).doing("clone the mount")
}

/// One directory as a detached, private mount with mapped owners.
fn layer(path: &Path, (mapper, owners): &mut (&mut Mapper, &Owners)) -> Result<OwnedFd, Failure> {
    let tree = clone(path, false)?;
    mount::set_propagation(tree.as_fd(), Depth::One, mount::Propagation::Private)
        .doing_at("set the propagation of", path)?;
    // One layer that cannot be mapped would make the root unusable: there is nothing to warn of.
    mapper.map(&tree, owners, &format!("layer {}", path.display()))?;
    Ok(tree)
}

fn overlay(
    lowers: &[PathBuf],
    (upper, work): (&Path, &Path),
    mut owners: (&mut Mapper, &Owners),
    owner: (u32, u32),
) -> Result<OwnedFd, Failure> {
    // Overlayfs wants both on one *mount*, so their common directory is what is cloned.
    let (Some(parent), Some(upper_name), Some(work_name)) =
        (upper.parent(), upper.file_name(), work.file_name())
    else {
        return Err(Failure::other(format!("upper directory {} has no name", upper.display())));
    };
    if work.parent() != Some(parent) {
        let (upper, work) = (upper.display(), work.display());
        return Err(Failure::other(format!("{work} is not beside {upper}, as overlayfs wants it")));
    }
    let layers: Vec<OwnedFd> =
        lowers.iter().map(|path| layer(path, &mut owners)).collect::<Result<_, _>>()?;
    let writable = layer(parent, &mut owners)?;
    let layers = Layers {
        lowers: &layers,
        writable: &writable,
        upper: upper_name,
        work: work_name,
        place: parent,
    };
    overlay::overlay(&layers, owner)
}

/// The error with the reason that the file system wrote into its context's log, if it did.
pub(crate) fn complain(filesystem: &OwnedFd, error: Errno) -> String {
    let mut text = plain(&error.into());
    let mut line = [0; 512];
    // Each read gives one message; there are at most eight.
    for _ in 0..8 {
        let Ok(length) = rustix::io::read(filesystem, &mut line) else { break };
        text.push_str("; ");
        text.push_str(String::from_utf8_lossy(&line[..length]).trim());
    }
    text
}
