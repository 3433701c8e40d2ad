//! Detached mounts of the host's files, made by the launcher with the host's privileges.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use hull_sys::mount::{self, Depth, attribute};
use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::mount::{OpenTreeFlags, open_tree};

use super::Maps;
use super::overlay::{self, Layers};
use crate::failure::{Doing, Failure, Kind, plain};
use crate::plan::{Attributes, Mount, Propagation, Reach, Root, Rootfs};
use crate::weakened::{Defence, stands};

/// The guest's root, detached, its files' owners mapped if there is a user namespace.
pub(crate) fn build(
    root: &Root,
    user_namespace: Option<&OwnedFd>,
    maps: &Maps,
) -> Result<OwnedFd, Failure> {
    match &root.files {
        Rootfs::Path(path) => layer(path, user_namespace),
        Rootfs::Overlay { lowers, upper, work } => {
            overlay(lowers, (upper, work), user_namespace, maps.root())
        }
    }
}

/// A bind mount of the host's `path`, detached.
pub(crate) fn bind(
    path: &Path,
    recursive: bool,
    mount: &Mount,
    user_namespace: Option<&OwnedFd>,
) -> Result<OwnedFd, Failure> {
    let depth = if recursive { Depth::Tree } else { Depth::One };
    let tree = clone(path, depth)?;
    if let Some(namespace) = user_namespace {
        map_what_can_be(&tree, depth, namespace).doing_at("map the owners of", path)?;
    }
    // A clone of a shared mount is in its peer group; a slave or private one must leave it before
    // the guest sees it. Making a shared one shared again changes nothing.
    propagate(&tree, &mount.propagation).doing_at("set the propagation of", path)?;
    change(&tree, mount).doing_at("set mount attributes of", path)?;
    Ok(tree)
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
            let Attributes { set, clear } = attributes;
            mount::set_attributes(tree.as_fd(), depth, set, clear)?;
        }
    }
    Ok(())
}

fn depth(reach: Reach) -> Depth {
    match reach {
        Reach::One => Depth::One,
        Reach::Tree => Depth::Tree,
    }
}

/// The init program, read-only: whoever is root inside cannot change it for other guests.
pub(crate) fn bind_init(path: &Path) -> Result<OwnedFd, Failure> {
    let tree = clone(path, Depth::One)?;
    let read_only = if stands(Defence::Init) { attribute::READ_ONLY } else { 0 };
    let attributes = read_only | attribute::NO_SUID | attribute::NO_DEV;
    mount::set_attributes(tree.as_fd(), Depth::One, attributes, 0)
        .doing_at("set mount attributes of", path)?;
    Ok(tree)
}

fn clone(path: &Path, depth: Depth) -> Result<OwnedFd, Failure> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if depth == Depth::Tree {
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

/// Maps owners in the whole tree, else in its first mount, else not at all.
///
/// Some file systems (and mounts below the source that are already mapped) cannot be mapped. Their
/// files then appear to belong to nobody, which is safe, where failing would make whole trees
/// unusable for one `/proc` somewhere below.
fn map_what_can_be(tree: &OwnedFd, depth: Depth, namespace: &OwnedFd) -> io::Result<()> {
    let refused = |error: &io::Error| {
        let code = error.raw_os_error();
        [Errno::INVAL, Errno::PERM].iter().any(|errno| code == Some(errno.raw_os_error()))
    };
    let mut outcome = mount::map_ids(tree.as_fd(), depth, namespace.as_fd());
    if depth == Depth::Tree && outcome.as_ref().is_err_and(&refused) {
        outcome = mount::map_ids(tree.as_fd(), Depth::One, namespace.as_fd());
    }
    match outcome {
        Err(error) if refused(&error) => Ok(()),
        other => other,
    }
}

/// One directory as a detached, private mount with mapped owners; here a refusal is an error,
/// because files would belong to nobody.
fn layer(path: &Path, user_namespace: Option<&OwnedFd>) -> Result<OwnedFd, Failure> {
    let tree = clone(path, Depth::One)?;
    mount::set_propagation(tree.as_fd(), Depth::One, mount::Propagation::Private)
        .doing_at("set the propagation of", path)?;
    if let Some(namespace) = user_namespace {
        mount::map_ids(tree.as_fd(), Depth::One, namespace.as_fd())
            .doing_at("map the owners of layer", path)?;
    }
    Ok(tree)
}

fn overlay(
    lowers: &[PathBuf],
    (upper, work): (&Path, &Path),
    user_namespace: Option<&OwnedFd>,
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
        lowers.iter().map(|path| layer(path, user_namespace)).collect::<Result<_, _>>()?;
    let writable = layer(parent, user_namespace)?;
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
