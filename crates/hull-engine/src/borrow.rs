//! Mounts that a guest gets from other guests (`--volumes-from`), decided once, when it is made.

use std::collections::BTreeSet;

use hull_model::guest::GuestSpec;
use hull_model::mount::{Mount, Origin, Source, Target};

use crate::error::{Error, Kind, Result};
use crate::index::Index;
use crate::record::{GuestRecord, MountPoint};

/// The borrowed mounts whose volumes were made for the other guest alone: the last user's `rm -v`
/// takes them along.
#[derive(Debug, Default, Eq, PartialEq)]
pub(crate) struct Borrowed(BTreeSet<Target>);

impl Borrowed {
    /// Marks them among the resolved mounts.
    pub(crate) fn mark(&self, points: &mut [MountPoint]) {
        for point in points.iter_mut().filter(|point| point.origin == Origin::Guest) {
            point.anonymous = self.0.contains(&point.target);
        }
    }
}

/// `spec` with the mounts of the guests it names. What it mounts itself goes first, volumes it only
/// declares come last; of two others, the one named later (moby `daemon/volumes.go`).
pub(crate) fn mounts(mut spec: GuestSpec, index: &Index) -> Result<(GuestSpec, Borrowed)> {
    let mut borrowed = Borrowed::default();
    for from in &spec.volumes_from {
        // Not "missing": what is missing in a create is the image.
        let other = index
            .find(&from.guest)
            .map_err(|error| Error::new(Kind::Invalid, error.to_string()))?
            .record();
        for (mut mount, anonymous) in of(&other) {
            let place = spec.mounts.iter().position(|own| own.target == mount.target);
            if let Some(at) = place {
                if !matches!(spec.mounts[at].origin, Origin::Volumes | Origin::Guest) {
                    continue;
                }
                spec.mounts.remove(at);
            }
            borrowed.0.remove(&mount.target);
            if anonymous {
                borrowed.0.insert(mount.target.clone());
            }
            mount.read_only |= from.read_only;
            spec.mounts.push(mount);
        }
    }
    Ok((spec, borrowed))
}

/// The mounts of `other` as they are, and whether each one's volume is its own. A tmpfs of `--tmpfs`
/// is part of its guest and not lent.
fn of(other: &GuestRecord) -> impl Iterator<Item = (Mount, bool)> {
    other.spec.mounts.iter().filter(|mount| mount.origin != Origin::Tmpfs).map(|mount| {
        let point = other.mounts.iter().find(|point| point.target == mount.target);
        let mut mount = Mount { origin: Origin::Guest, ..mount.clone() };
        if let Source::Volume { name, copy } = &mut mount.source {
            *copy = false;
            *name = point.and_then(|point| point.volume.clone());
        }
        if let Source::Bind { create, .. } = &mut mount.source {
            *create = false;
        }
        (mount, point.is_some_and(|point| point.anonymous))
    })
}
