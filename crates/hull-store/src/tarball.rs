//! tar archives as a sequence of members, read and written in one pass with bounded memory.
//!
//! The blocks are decoded by the `tar` crate's `Header`. Going from member to member is done here,
//! since that crate keeps extension records of any length in memory and knows no PAX sparse files.

mod member;
mod pax;
mod reader;
mod sparse;
mod writer;

use std::io;

pub use member::{Member, MemberKind};
pub use reader::{Limits, Reader};
pub use writer::Writer;

use crate::error::Kind;

/// The stream is not an archive, or one that hull refuses.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// It cannot be read: cut off, damaged compression, or the sender is gone.
    #[error("read the archive")]
    Read(#[source] io::Error),
    /// It ends in the middle.
    #[error("the archive is cut off after {0} bytes")]
    Truncated(u64),
    /// Not a header where one must be.
    #[error("no tar header at byte {0}")]
    Header(u64),
    /// A header's field cannot be.
    #[error("the tar header at byte {at} has an invalid {field}")]
    Field {
        /// Where in the plain archive.
        at: u64,
        /// Which.
        field: &'static str,
    },
    /// More than a limit allows.
    #[error("the archive has more than {max} {what}")]
    Limit {
        /// Of what.
        what: &'static str,
        /// The limit.
        max: u64,
    },
    /// A kind of member that no file system has.
    #[error("the archive has a member of unknown type {kind:?} at byte {at}")]
    Unknown {
        /// The header's type flag.
        kind: char,
        /// Where in the plain archive.
        at: u64,
    },
    /// A compression hull does not read.
    #[error("{0} compression is not supported\nhint: use gzip or zstd")]
    Codec(&'static str),
}

impl TarError {
    pub(crate) fn kind(&self) -> Kind {
        Kind::Invalid
    }
}
