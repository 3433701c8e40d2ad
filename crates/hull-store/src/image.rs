//! Images: what they are called, what they say, and which layers they are.
//!
//! An image is its configuration; its id is the digest of that. Names are references with a tag or
//! a digest. All rows are kept in memory, so that starting a guest reads nothing.

mod add;
pub mod changes;
mod commit;
mod import;
mod load;
pub mod manifest;
mod names;
mod remove;
mod save;
mod spool;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use hull_model::image::{Digest, ImageConfig};
use hull_model::manifest::BadManifest;
use hull_model::reference::{BadReference, Reference};
use hull_model::time::Timestamp;
use serde::{Deserialize, Serialize};

pub use commit::{Committed, apply_changes};
pub use import::About;
pub use load::Loaded;
pub use names::{HistoryRow, ImageSizes, Named};
pub use remove::{Force, Removed, User};

use crate::content::Content;
use crate::error::{Kind, Result};
use crate::layer::{ChainId, Layers};
use crate::records::{Records, Table};

/// An image cannot be found, read, or removed.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// None by this name or id. Tools match on the words.
    #[error("No such image: {0}")]
    Missing(String),
    /// A beginning of more than one id.
    #[error("No such image: {0}: several ids begin with it")]
    Ambiguous(String),
    /// Not a name.
    #[error(transparent)]
    Reference(#[from] BadReference),
    /// A name with a digest cannot be given to an image.
    #[error("refusing to create a tag with a digest reference")]
    TagWithDigest,
    /// A document in an archive or registry is not what it should be.
    #[error("read {what}")]
    Document {
        /// Which.
        what: String,
        /// What the decoder said.
        source: serde_json::Error,
    },
    /// A manifest or index is not one.
    #[error("read {what}")]
    Manifest {
        /// Which.
        what: String,
        /// What is wrong with it.
        source: BadManifest,
    },
    /// Parts that do not fit each other.
    #[error("{what}: {why}")]
    Malformed {
        /// Which.
        what: String,
        /// How.
        why: String,
    },
    /// An archive has no image in it.
    #[error("the archive has neither an index.json nor a manifest.json with an image in it")]
    NoImage,
    /// An archive names a file it does not have.
    #[error("the archive has no {0:?}, which it says it has")]
    NoMember(String),
    /// No variant runs here.
    #[error("no image for {wanted}, only for {offered}")]
    Platform {
        /// What was looked for.
        wanted: String,
        /// What there is.
        offered: String,
    },
    /// A name is in use. Tools match on the words.
    #[error(
        "conflict: unable to remove repository reference {reference:?} (must force) - container {user} is using its referenced image {image}"
    )]
    NameInUse {
        /// The name.
        reference: String,
        /// Who uses it.
        user: String,
        /// The short id.
        image: String,
    },
    /// An image is in use. Tools match on the words.
    #[error("conflict: unable to delete {image} ({force}) - {why}")]
    InUse {
        /// The short id.
        image: String,
        /// Whether force would help.
        force: &'static str,
        /// By whom.
        why: String,
    },
    /// An instruction of `--change` is wrong.
    #[error("{instruction}: {why}")]
    Change {
        /// As given.
        instruction: String,
        /// What is wrong.
        why: &'static str,
    },
    /// A row or document cannot be written as JSON.
    #[error("encode a record")]
    Encode(#[source] serde_json::Error),
    /// The receiver of a saved archive is gone.
    #[error("write the archive")]
    Write(#[source] std::io::Error),
}

impl ImageError {
    pub(crate) fn encode(source: serde_json::Error) -> Self {
        Self::Encode(source)
    }

    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Missing(_) => Kind::Missing,
            Self::Ambiguous(_)
            | Self::Reference(_)
            | Self::TagWithDigest
            | Self::Document { .. }
            | Self::Manifest { .. }
            | Self::Malformed { .. }
            | Self::NoImage
            | Self::NoMember(_)
            | Self::Platform { .. }
            | Self::Change { .. } => Kind::Invalid,
            Self::NameInUse { .. } | Self::InUse { .. } => Kind::Conflict,
            Self::Encode(_) | Self::Write(_) => Kind::Host,
        }
    }
}

/// An image, ready to be run.
#[derive(Clone, Debug)]
pub struct Image {
    /// The digest of its configuration.
    pub id: Digest,
    /// The digest of its manifest, which names the blobs.
    pub manifest: Digest,
    /// What it says about running it.
    pub config: ImageConfig,
    /// Its layers, lowest first.
    pub layers: Vec<ChainId>,
    /// The directories of its layers, top first, as overlayfs takes them.
    pub layer_dirs: Vec<PathBuf>,
    /// Bytes of all files in all layers.
    pub size: u64,
    /// When it came here.
    pub added: Timestamp,
    /// All blobs it is made of: manifest, configuration, layers.
    blobs: Vec<Digest>,
}

#[derive(Deserialize, Serialize)]
struct Row {
    manifest: Digest,
    added: Timestamp,
}

const IMAGES: Table = Table::new("store.image");
const NAMES: Table = Table::new("store.name");

/// The images of one store.
pub struct Images {
    root: PathBuf,
    records: Arc<Records>,
    content: Arc<Content>,
    layers: Arc<Layers>,
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    images: HashMap<Digest, Arc<Image>>,
    /// References with a tag or a digest.
    names: BTreeMap<Reference, Digest>,
}

impl Images {
    /// Reads all images, and removes the blobs and layers that belong to none: they were on their
    /// way in when a process was killed, or out.
    pub(crate) fn open(
        root: &Path,
        records: &Arc<Records>,
        content: &Arc<Content>,
        layers: &Arc<Layers>,
    ) -> Result<Self> {
        let images = Self {
            root: root.to_owned(),
            records: Arc::clone(records),
            content: Arc::clone(content),
            layers: Arc::clone(layers),
            state: RwLock::default(),
        };
        let mut state = State::default();
        let mut unreadable = false;
        for (key, row) in records.read_all::<Row>(IMAGES)? {
            match images.assemble(&row.manifest, row.added) {
                Ok(image) => {
                    state.images.insert(image.id, Arc::new(image));
                }
                Err(e) => {
                    tracing::error!(image = key, error = %e, "the image is damaged");
                    unreadable = true;
                }
            }
        }
        for (name, id) in records.read_all::<Digest>(NAMES)? {
            match Reference::parse(&name) {
                Ok(name) if state.images.contains_key(&id) => {
                    state.names.insert(name, id);
                }
                Ok(_) => unreadable = true,
                Err(e) => tracing::error!(name, error = %e, "a name in the records is none"),
            }
        }
        // With a damaged image nothing is collected: somebody may want to repair it.
        if !unreadable {
            images.collect(&state)?;
        }
        *images.write() = state;
        Ok(images)
    }

    /// Removes blobs and layers of no image.
    fn collect(&self, state: &State) -> Result<()> {
        let blobs: HashSet<_> = state.images.values().flat_map(|image| &image.blobs).collect();
        for blob in self.content.list()?.iter().filter(|blob| !blobs.contains(blob)) {
            self.content.delete(blob)?;
        }
        let used: HashSet<_> = state.images.values().flat_map(|image| &image.layers).collect();
        let mut unused: HashMap<_, _> = self
            .layers
            .list()
            .into_iter()
            .filter(|layer| !used.contains(&layer.chain))
            .map(|layer| (layer.chain, layer))
            .collect();
        // From the top down: a layer goes after those on it.
        while let Some(chain) = unused
            .keys()
            .copied()
            .find(|chain| unused.values().all(|layer| layer.parent != Some(*chain)))
        {
            unused.remove(&chain);
            self.layers.remove(&chain)?;
        }
        Ok(())
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        // Writers change the maps last and in one go, so a panic leaves nothing half-done.
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}
