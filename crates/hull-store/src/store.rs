//! One data root, opened by one process.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;

use crate::content::Content;
use crate::disk::{At, DiskError, make_dir};
use crate::error::Result;
use crate::image::Images;
use crate::layer::Layers;
use crate::records::Records;
use crate::tree::Trash;
use crate::volume::Volumes;
use crate::writable::Writables;

/// Everything under one data root.
pub struct Store {
    /// Rows: the store's own, and those of whoever opened it.
    pub records: Arc<Records>,
    /// Blobs.
    pub content: Arc<Content>,
    /// Unpacked layers.
    pub layers: Arc<Layers>,
    /// Images.
    pub images: Images,
    /// Volumes.
    pub volumes: Volumes,
    /// Writable layers.
    pub writables: Writables,
    /// What is being removed.
    pub trash: Trash,
    root: PathBuf,
    /// Held as long as the store is open.
    _lock: File,
}

impl Store {
    /// Opens or makes the store in `root` (mode 0700), and clears away what a killed process left
    /// half-made. A second process is refused.
    pub fn open(root: &Path) -> Result<Self> {
        if let Some(parent) = root.parent() {
            std::fs::create_dir_all(parent).at("make directory", parent)?;
        }
        make_dir(root, 0o700)?;
        let lock = lock(&root.join("lock"))?;
        let records = Arc::new(Records::open(&root.join("hull.db"))?);
        let trash = Trash::open(root.join("trash"))?;
        let content = Arc::new(Content::open(&root.join("content"))?);
        let layers = Arc::new(Layers::open(&root.join("layers"), &trash, &records)?);
        let images = Images::open(root, &records, &content, &layers)?;
        let volumes = Volumes::open(&root.join("volumes"), &trash)?;
        let writables = Writables::open(&root.join("guests"), &trash)?;
        let root = root.to_owned();
        Ok(Self { records, content, layers, images, volumes, writables, trash, root, _lock: lock })
    }

    /// The data root.
    pub fn root(&self) -> &Path {
        &self.root
    }
}

fn lock(path: &Path) -> Result<File, DiskError> {
    /// A daemon that was killed while it started a program leaves the lock to that program, until the
    /// kernel executes it and closes the descriptor.
    const PATIENCE: Duration = Duration::from_millis(500);
    let file = File::options().write(true).create(true).truncate(false).open(path);
    let file = file.at("open", path)?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let taken = "another hull daemon has it";
                let taken = io::Error::new(io::ErrorKind::ResourceBusy, taken);
                return Err(DiskError::new("lock", path, taken));
            }
            Err(e) => return Err(DiskError::new("lock", path, e.into())),
        }
    }
}
