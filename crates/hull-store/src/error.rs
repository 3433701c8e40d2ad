//! What can go wrong, and how a caller should take it.

use std::io;

use crate::content::ContentError;
use crate::disk::DiskError;
use crate::image::ImageError;
use crate::layer::LayerError;
use crate::records::RecordsError;
use crate::tarball::TarError;
use crate::volume::VolumeError;

/// The result of everything here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An operation on the store failed; nothing of it is visible.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A system call on a file of the store.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The database.
    #[error(transparent)]
    Records(#[from] RecordsError),
    /// A blob.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// An archive that is not one.
    #[error(transparent)]
    Tar(#[from] TarError),
    /// A layer.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// An image.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A volume.
    #[error(transparent)]
    Volume(#[from] VolumeError),
}

/// What a caller can do about an [`Error`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// The thing named does not exist.
    Missing,
    /// The input is wrong; the same input will never work.
    Invalid,
    /// It is in use, or its name is taken.
    Conflict,
    /// The disk or its inodes are used up.
    Full,
    /// What is stored is not what was stored.
    Corrupt,
    /// The host refused; the text says what.
    Host,
}

impl Error {
    /// A failure of copying what comes into the store.
    pub fn stream(source: io::Error) -> Self {
        Self::Disk(DiskError::new("write what comes to", "the store", source))
    }

    /// What a caller can do about it.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Disk(e) => e.kind(),
            Self::Records(e) => e.kind(),
            Self::Content(e) => e.kind(),
            Self::Tar(e) => e.kind(),
            Self::Layer(e) => e.kind(),
            Self::Image(e) => e.kind(),
            Self::Volume(e) => e.kind(),
        }
    }
}

/// The kind of a failed system call on a file of the store.
pub(crate) fn io_kind(error: &io::Error) -> Kind {
    let is = |kinds: &[io::ErrorKind]| kinds.contains(&error.kind());
    if is(&[io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded]) {
        Kind::Full
    } else if is(&[io::ErrorKind::InvalidData, io::ErrorKind::UnexpectedEof]) {
        Kind::Invalid
    } else {
        Kind::Host
    }
}
