//! Layers: the unpacked archives of images, each a directory by itself under its chain id.
//!
//! Whiteouts are stored as overlayfs wants them: a character device 0/0 for a removed name, and
//! `trusted.overlay.opaque` on a directory whose lower contents are gone. Owners on disk are those
//! of the archive; mounts shift them.

mod budget;
mod extract;
mod lower;
mod path;
mod stage;
mod tree;
mod whiteout;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hull_model::image::Digest;
use serde::{Deserialize, Serialize};

pub use stage::{Expected, Staged};
pub use tree::{Owner, Rules, unpack_into};
pub(crate) use whiteout::{is_opaque, is_whiteout};

use crate::codec::digest;
use crate::content::{Lease, Leases};
use crate::disk::{make_dir, names, rename_new};
use crate::error::{Kind, Result};
use crate::records::{Change, Records, Table};
use crate::tree::{Trash, remove};

/// A layer cannot be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// A name that leads out, or nowhere.
    #[error("unpack {path:?}: {why}")]
    Path {
        /// As the archive writes it.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The kernel refused it.
    #[error("unpack {path:?}: {doing}")]
    Member {
        /// As the archive writes it.
        path: String,
        /// The step.
        doing: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// A second name for a file that is not there.
    #[error("unpack {path:?}: there is no {target:?} to link to, in this layer or below")]
    LinkTarget {
        /// The new name.
        path: String,
        /// What it should be a name of.
        target: String,
    },
    /// A directory would take the place of something else, or the other way round.
    #[error("cannot overwrite {old} {path:?} with {new}")]
    KindChanges {
        /// As the archive writes it.
        path: String,
        /// What is there.
        old: &'static str,
        /// What would be there.
        new: &'static str,
    },
    /// The archive is not the one that was promised.
    #[error("the layer is {found} and not {expected} as promised")]
    Digest {
        /// What was promised.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// The layer below is gone.
    #[error("there is no layer {0} to put a layer on")]
    Parent(ChainId),
    /// Another layer or image is on it.
    #[error("layer {0} is in use")]
    InUse(ChainId),
}

impl LayerError {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Path { .. }
            | Self::LinkTarget { .. }
            | Self::KindChanges { .. }
            | Self::Digest { .. } => Kind::Invalid,
            Self::Member { source, .. } if is_the_archives_fault(source) => Kind::Invalid,
            Self::Member { source, .. } => crate::error::io_kind(source),
            Self::Parent(_) => Kind::Missing,
            Self::InUse(_) => Kind::Conflict,
        }
    }
}

/// Whether the kernel refused what the archive asked for, and not us.
fn is_the_archives_fault(error: &std::io::Error) -> bool {
    use rustix::io::Errno;
    let faults = [
        Errno::NOENT,
        Errno::NOTDIR,
        Errno::ISDIR,
        Errno::EXIST,
        Errno::LOOP,
        Errno::NAMETOOLONG,
        Errno::INVAL,
        Errno::MLINK,
        Errno::FBIG,
        Errno::XDEV,
    ];
    Errno::from_io_error(error).is_some_and(|errno| faults.contains(&errno))
}

/// Names a layer on top of given others: the digest over all of their digests (OCI image
/// specification, `config.md`, "Layer ChainID").
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct ChainId(pub Digest);

impl ChainId {
    /// The layer with archive `diff_id` on `parent`.
    pub fn new(parent: Option<&Self>, diff_id: &Digest) -> Self {
        match parent {
            None => Self(*diff_id),
            Some(parent) => Self(digest(format!("{} {diff_id}", parent.0).as_bytes())),
        }
    }

    /// The ids of each layer of a stack, lowest first.
    pub fn chain(diff_ids: &[Digest]) -> Vec<Self> {
        let mut chain: Vec<Self> = Vec::with_capacity(diff_ids.len());
        for diff_id in diff_ids {
            chain.push(Self::new(chain.last(), diff_id));
        }
        chain
    }
}

impl std::fmt::Display for ChainId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// An unpacked layer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Layer {
    /// Its id, below-layers included.
    pub chain: ChainId,
    /// The digest of its own archive, uncompressed.
    pub diff_id: Digest,
    /// The layer below.
    pub parent: Option<ChainId>,
    /// Bytes of all its files.
    pub size: u64,
    /// Its files.
    pub path: PathBuf,
}

#[derive(Deserialize, Serialize)]
struct Row {
    diff_id: Digest,
    parent: Option<ChainId>,
    size: u64,
}

const TABLE: Table = Table::new("store.layer");

/// The layers of one store.
pub struct Layers {
    root: PathBuf,
    staging: PathBuf,
    trash: Trash,
    records: Arc<Records>,
    leases: Leases,
    all: Mutex<HashMap<ChainId, Arc<Layer>>>,
}

impl Layers {
    /// Opens the layers in `root`. Directories without a row are removed: they were on their way
    /// in or out when a process was killed.
    pub(crate) fn open(root: &Path, trash: &Trash, records: &Arc<Records>) -> Result<Self> {
        let staging = root.join("staging");
        make_dir(root, 0o700)?;
        trash.discard(&staging)?;
        make_dir(&staging, 0o700)?;
        let mut all = HashMap::new();
        for (key, row) in records.read_all::<Row>(TABLE)? {
            let Ok(digest) = key.parse() else { continue };
            let layer = Layer {
                chain: ChainId(digest),
                diff_id: row.diff_id,
                parent: row.parent,
                size: row.size,
                path: root.join(digest.hex()).join("fs"),
            };
            if crate::disk::exists(&layer.path)? {
                all.insert(layer.chain, Arc::new(layer));
            } else {
                tracing::error!(layer = %digest, "the layer's directory is gone");
                records.delete(TABLE, &key)?;
            }
        }
        for name in names(root)? {
            let known = name.to_str().and_then(|hex| format!("sha256:{hex}").parse().ok());
            let keep = known.is_some_and(|digest| all.contains_key(&ChainId(digest)));
            if !keep && name != "staging" {
                trash.discard(&root.join(&name))?;
            }
        }
        let records = Arc::clone(records);
        let all = Mutex::new(all);
        let (root, trash, leases) = (root.to_owned(), trash.clone(), Leases::default());
        Ok(Self { root, staging, trash, records, leases, all })
    }

    /// A lease on nothing yet. While it holds a chain id (as a digest), that layer stays.
    pub fn lease(&self) -> Lease {
        self.leases.lease()
    }

    /// The layer `chain`, if it is unpacked.
    pub fn get(&self, chain: &ChainId) -> Option<Arc<Layer>> {
        self.lock().get(chain).cloned()
    }

    /// Every layer.
    pub fn list(&self) -> Vec<Arc<Layer>> {
        self.lock().values().cloned().collect()
    }

    /// The directories of the layer `chain` and all below it, top first.
    pub fn directories(&self, chain: &ChainId) -> Result<Vec<PathBuf>> {
        let all = self.lock();
        let mut directories = Vec::new();
        let mut next = Some(*chain);
        while let Some(chain) = next {
            let layer = all.get(&chain).ok_or(LayerError::Parent(chain))?;
            directories.push(layer.path.clone());
            next = layer.parent;
        }
        Ok(directories)
    }

    /// Unpacks an archive aside. Needs no other layer, so the layers of an image can be unpacked
    /// at the same time; [`Layers::commit`] them lowest first.
    pub fn stage(&self, blob: impl std::io::Read, expected: Expected) -> Result<Staged> {
        stage::stage(&self.staging, blob, expected)
    }

    /// Puts a staged layer on `parent` and makes it visible. If it is there already, the staged
    /// one is dropped.
    pub fn commit(&self, staged: Staged, parent: Option<&ChainId>) -> Result<Arc<Layer>> {
        let chain = ChainId::new(parent, &staged.diff_id);
        if let Some(layer) = self.get(&chain) {
            return Ok(layer);
        }
        let below = match parent {
            Some(parent) => self.directories(parent)?,
            None => Vec::new(),
        };
        let size = staged.size;
        let ready = staged.complete(&below)?;
        let home = self.root.join(chain.0.hex());
        let mut all = self.lock();
        // Again, under the lock: somebody may have been faster, or removed the parent.
        if let Some(layer) = all.get(&chain) {
            return Ok(Arc::clone(layer));
        }
        if let Some(parent) = parent.filter(|parent| !all.contains_key(parent)) {
            return Err(LayerError::Parent(*parent).into());
        }
        if !rename_new(ready.path(), &home)? {
            // Its row is gone and the directory is not: an earlier removal could not move it.
            remove(&home)?;
            rename_new(ready.path(), &home)?;
        }
        let diff_id = ready.renamed();
        let row = Row { diff_id, parent: parent.copied(), size };
        let row = serde_json::to_vec(&row).map_err(crate::image::ImageError::encode)?;
        if let Err(e) = self.records.put(TABLE, &chain.to_string(), &row) {
            self.trash.discard(&home)?;
            return Err(e.into());
        }
        let path = home.join("fs");
        let layer = Arc::new(Layer { chain, diff_id, parent: parent.copied(), size, path });
        all.insert(chain, Arc::clone(&layer));
        Ok(layer)
    }

    /// Removes a layer that no other is on. Returns whether it did: a leased one stays.
    pub(crate) fn remove(&self, chain: &ChainId) -> Result<bool> {
        self.leases.unless_leased(&chain.0, || self.remove_unleased(chain)).unwrap_or(Ok(false))
    }

    fn remove_unleased(&self, chain: &ChainId) -> Result<bool> {
        let mut all = self.lock();
        if all.values().any(|layer| layer.parent == Some(*chain)) {
            return Err(LayerError::InUse(*chain).into());
        }
        if !all.contains_key(chain) {
            return Ok(false);
        }
        self.records.batch(&[Change::Delete(TABLE, chain.to_string())])?;
        all.remove(chain);
        self.trash.discard(&self.root.join(chain.0.hex()))?;
        Ok(true)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ChainId, Arc<Layer>>> {
        // Nothing is half-changed when a holder panics: the maps change in one step, last.
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
