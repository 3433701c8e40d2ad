//! Layers seen as one tree, without mounting them anywhere.
//!
//! The mount is detached: it belongs to nobody's mount namespace and is gone when its descriptor is
//! closed, however the process ends.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen,
};

use crate::disk::{At, DiskError, open_dir};

/// The tree of `layers`, the uppermost first; at least one. It cannot be written.
pub fn read_only(layers: &[PathBuf]) -> Result<OwnedFd, DiskError> {
    if let [only] = layers {
        return open_dir(only);
    }
    let top = layers.first().map_or(Path::new(""), PathBuf::as_path);
    let filesystem =
        fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC).at("open overlayfs for", top)?;
    for layer in layers {
        // One option a layer: no length limit, and no character of a path is special.
        fsconfig_set_string(&filesystem, "lowerdir+", layer).at("stack layer", layer)?;
    }
    fsconfig_set_flag(&filesystem, "ro").at("stack layers on", top)?;
    fsconfig_create(&filesystem).at("stack layers on", top)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    fsmount(&filesystem, FsMountFlags::FSMOUNT_CLOEXEC, attributes).at("mount layers on", top)
}

/// The tree of `layers` with `upper` on top, which takes what is written. `work` is overlayfs's own, in
/// the same directory as `upper`.
pub fn writable(layers: &[PathBuf], upper: &Path, work: &Path) -> Result<OwnedFd, DiskError> {
    let filesystem =
        fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC).at("open overlayfs for", upper)?;
    for layer in layers {
        fsconfig_set_string(&filesystem, "lowerdir+", layer).at("stack layer", layer)?;
    }
    fsconfig_set_string(&filesystem, "upperdir", upper).at("write into", upper)?;
    fsconfig_set_string(&filesystem, "workdir", work).at("write by way of", work)?;
    // As a guest's own mount: nothing that another one could not read.
    for (key, value) in [("index", "off"), ("metacopy", "off"), ("redirect_dir", "nofollow")] {
        fsconfig_set_string(&filesystem, key, value).at("set overlay options for", upper)?;
    }
    fsconfig_create(&filesystem).at("stack layers below", upper)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    fsmount(&filesystem, FsMountFlags::FSMOUNT_CLOEXEC, attributes).at("mount layers below", upper)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{Mode, OFlags, openat};
    use std::fs;

    #[test]
    fn upper_layers_hide_lower_ones_and_nothing_can_be_written() {
        let dir = tempfile::tempdir().unwrap();
        let layers: Vec<_> = ["top", "base"].map(|name| dir.path().join(name)).into();
        for (layer, text) in layers.iter().zip(["new", "old"]) {
            fs::create_dir(layer).unwrap();
            fs::write(layer.join("f"), text).unwrap();
        }
        let root = read_only(&layers).unwrap();
        let mut text = [0; 8];
        let file = openat(&root, "f", OFlags::RDONLY, Mode::empty()).unwrap();
        let count = rustix::io::read(&file, &mut text).unwrap();
        assert_eq!(&text[..count], b"new");
        assert!(openat(&root, "f", OFlags::WRONLY, Mode::empty()).is_err());
    }
}
