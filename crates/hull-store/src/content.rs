//! Blobs by digest, in the layout of an OCI image: `blobs/sha256/<hex>`.
//!
//! A blob appears under its digest by a rename, once all of it is written and hashed. What is not
//! named by an image or held by a [`Lease`] may be collected.

mod ingest;
mod lease;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use hull_model::image::Digest;

pub use ingest::{Ingest, Tee};
pub use lease::{Lease, Leases};

use crate::disk::{At, DiskError, make_dir, names};
use crate::error::{Kind, Result};

/// A blob is not there, or not what it was said to be.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// No blob with this digest.
    #[error("no content {0}")]
    Missing(Digest),
    /// Its bytes have another digest.
    #[error("content is {found} and not {expected} as promised")]
    Digest {
        /// What was promised.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// It has another length.
    #[error("content of {digest} has {found} bytes and not {expected} as promised")]
    Size {
        /// Which.
        digest: Digest,
        /// What was promised.
        expected: u64,
        /// What came, or came so far.
        found: u64,
    },
    /// More than a reader takes into memory.
    #[error("content {digest} has {found} bytes, more than the {max} that it may have")]
    TooBig {
        /// Which.
        digest: Digest,
        /// Its length.
        found: u64,
        /// The limit.
        max: u64,
    },
}

impl ContentError {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Missing(_) => Kind::Missing,
            Self::Digest { .. } | Self::Size { .. } | Self::TooBig { .. } => Kind::Invalid,
        }
    }
}

/// The blobs of one store.
pub struct Content {
    blobs: PathBuf,
    ingest: PathBuf,
    leases: Leases,
}

/// How long the first part of a broken transfer waits for the rest.
const PARTIAL_MAX: Duration = Duration::from_hours(24);

impl Content {
    /// Opens the blobs in `root`, and removes what a killed process was writing.
    pub(crate) fn open(root: &Path) -> Result<Self> {
        make_dir(root, 0o700)?;
        make_dir(&root.join("blobs"), 0o700)?;
        let (blobs, ingest) = (root.join("blobs/sha256"), root.join("ingest"));
        make_dir(&blobs, 0o700)?;
        make_dir(&ingest, 0o700)?;
        for name in names(&ingest)? {
            let path = ingest.join(&name);
            if !name.as_encoded_bytes().starts_with(b"partial-") || is_old(&path) {
                std::fs::remove_file(&path).at("remove", &path)?;
            }
        }
        Ok(Self { blobs, ingest, leases: Leases::default() })
    }

    /// Where the blob is or would be.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        self.blobs.join(digest.hex())
    }

    /// The blob's length, if it is there.
    pub fn size(&self, digest: &Digest) -> Result<Option<u64>> {
        let path = self.path(digest);
        match std::fs::symlink_metadata(&path) {
            Ok(meta) => Ok(Some(meta.len())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(DiskError::new("look at", path, e).into()),
        }
    }

    /// Refuses a blob that is not there, or not of the length that a descriptor says. Whoever
    /// gets the descriptor from us would refuse it.
    pub(crate) fn check_size(&self, digest: &Digest, expected: u64) -> Result<()> {
        let digest = *digest;
        match self.size(&digest)? {
            Some(found) if found == expected => Ok(()),
            Some(found) => Err(ContentError::Size { digest, expected, found }.into()),
            None => Err(ContentError::Missing(digest).into()),
        }
    }

    /// Whether the blob is there.
    pub fn contains(&self, digest: &Digest) -> Result<bool> {
        Ok(self.size(digest)?.is_some())
    }

    /// Opens the blob for reading.
    pub fn read(&self, digest: &Digest) -> Result<File> {
        let path = self.path(digest);
        match File::open(&path) {
            Ok(file) => Ok(file),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                Err(ContentError::Missing(*digest).into())
            }
            Err(e) => Err(DiskError::new("open", path, e).into()),
        }
    }

    /// The whole blob, if it has at most `max` bytes.
    pub fn read_small(&self, digest: &Digest, max: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let file = self.read(digest)?;
        Read::take(&file, max + 1).read_to_end(&mut bytes).at("read", self.path(digest))?;
        let found = bytes.len() as u64;
        if found > max {
            return Err(ContentError::TooBig { digest: *digest, found, max }.into());
        }
        Ok(bytes)
    }

    /// Begins a blob whose digest is not known yet.
    pub fn ingest(&self) -> Result<Ingest> {
        Ok(Ingest::new(&self.ingest, &self.blobs)?)
    }

    /// Begins or goes on with the blob `digest`, at [`Ingest::offset`]. What is written survives a
    /// drop without [`Ingest::commit`], so that the next attempt begins where this one ended.
    ///
    /// If another is at it, both go on, each for itself.
    pub fn resume(&self, digest: &Digest, size: Option<u64>) -> Result<Ingest> {
        Ok(Ingest::resume(&self.ingest, &self.blobs, *digest, size)?)
    }

    /// Stores `bytes`.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest> {
        let mut ingest = self.ingest()?;
        io::Write::write_all(&mut ingest, bytes).at("write a blob in", &self.ingest)?;
        ingest.commit()
    }

    /// Stores `bytes`, held by `lease` before anybody sees them.
    pub fn put_leased(&self, bytes: &[u8], lease: &mut Lease) -> Result<Digest> {
        lease.add(crate::codec::digest(bytes));
        self.put(bytes)
    }

    /// A lease on nothing yet.
    pub fn lease(&self) -> Lease {
        self.leases.lease()
    }

    /// Removes the blob unless it is leased. Returns how many bytes that freed.
    pub(crate) fn delete(&self, digest: &Digest) -> Result<u64> {
        let size = self.size(digest)?.unwrap_or(0);
        let path = self.path(digest);
        let removed = self.leases.unless_leased(digest, || match std::fs::remove_file(&path) {
            Ok(()) => Ok(size),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(e) => Err(DiskError::new("remove", &path, e)),
        });
        Ok(removed.unwrap_or(Ok(0))?)
    }

    /// Every blob.
    pub(crate) fn list(&self) -> Result<Vec<Digest>> {
        let all = names(&self.blobs)?;
        let parse = |name: std::ffi::OsString| format!("sha256:{}", name.to_str()?).parse().ok();
        Ok(all.into_iter().filter_map(parse).collect())
    }
}

fn is_old(path: &Path) -> bool {
    let modified = std::fs::symlink_metadata(path).and_then(|meta| meta.modified());
    modified.is_ok_and(|at| SystemTime::now().duration_since(at).is_ok_and(|d| d > PARTIAL_MAX))
}
