//! The files of an image archive, stored as blobs in one pass: what they are is said at the end of
//! the archive, and there is no going back in a stream.

use std::collections::HashMap;
use std::io::{self, Read, Write};

use hull_model::image::Digest;

use super::ImageError;
use crate::codec::Decompressor;
use crate::content::{Content, ContentError, Lease};
use crate::error::Result;
use crate::tarball::{Limits, MemberKind, Reader, TarError};

/// An archive's files by name, all of them leased blobs.
pub(super) struct Spool {
    files: HashMap<String, Item>,
}

enum Item {
    Blob(Digest),
    /// Another member, by its name from the archive's root.
    Link(String),
}

impl Item {
    /// Bytes of the other name in it.
    fn name_length(&self) -> usize {
        match self {
            Self::Blob(_) => 0,
            Self::Link(target) => target.len(),
        }
    }
}

/// Most files of an image archive. Layers are single files here.
const MEMBERS_MAX: u64 = 65_536;
/// Most bytes of all their names and link targets, which are kept in memory.
const NAMES_MAX: u64 = 16 << 20;
/// Most links from one to the next; old `docker save` has one.
const LINKS_MAX: usize = 8;

impl Spool {
    /// Reads all of `source`, compressed or not. `lease` holds the blobs, also after an error.
    pub(super) fn read(content: &Content, source: impl Read, lease: &mut Lease) -> Result<Self> {
        let limits = Limits { members: MEMBERS_MAX, ..Limits::default() };
        let mut members = Reader::new(Decompressor::new(source)?, limits);
        let mut spool = Self { files: HashMap::new() };
        let mut names = 0_u64;
        while let Some(member) = members.next_member()? {
            let name = clean("", &member.path);
            let item = match &member.kind {
                MemberKind::File if member.sparse.is_none() => {
                    Item::Blob(blob(content, &name, &mut members, lease)?)
                }
                MemberKind::Symlink(target) => {
                    let (directory, _) = name.rsplit_once('/').unwrap_or(("", ""));
                    Item::Link(clean(directory, target))
                }
                MemberKind::Hardlink(target) => Item::Link(clean("", target)),
                MemberKind::Directory => continue,
                MemberKind::File
                | MemberKind::Char(..)
                | MemberKind::Block(..)
                | MemberKind::Fifo => {
                    let why = "an image archive has only plain files".to_owned();
                    return Err(ImageError::Malformed { what: name, why }.into());
                }
            };
            names += (name.len() + item.name_length()) as u64;
            if names > NAMES_MAX {
                return Err(TarError::Limit { what: "bytes of names", max: NAMES_MAX }.into());
            }
            spool.files.insert(name, item);
        }
        if !members.ended_with_mark() {
            return Err(TarError::Truncated(members.position()).into());
        }
        members.into_source().finish()?;
        Ok(spool)
    }

    /// The blob that the file `name` became.
    pub(super) fn get(&self, name: &str) -> Result<Digest, ImageError> {
        let mut name = clean("", name.as_bytes());
        for _ in 0..LINKS_MAX {
            match self.files.get(&name) {
                Some(Item::Blob(digest)) => return Ok(*digest),
                Some(Item::Link(target)) => name.clone_from(target),
                None => break,
            }
        }
        Err(ImageError::NoMember(name))
    }

    /// Whether there is a file `name`.
    pub(super) fn has(&self, name: &str) -> bool {
        self.files.contains_key(name)
    }
}

/// Stores one file; one under `blobs/` must be what its name says.
fn blob(content: &Content, name: &str, data: &mut impl Read, lease: &mut Lease) -> Result<Digest> {
    let mut ingest = content.ingest()?;
    let mut buffer = vec![0; 128 << 10];
    loop {
        match data.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => ingest
                .write_all(&buffer[..count])
                .map_err(|e| crate::disk::DiskError::new("store as a blob", name, e))?,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(TarError::Read(e).into()),
        }
    }
    let found = ingest.commit_leased(lease)?;
    match name.strip_prefix("blobs/").map(|rest| rest.replacen('/', ":", 1).parse::<Digest>()) {
        Some(Ok(expected)) if expected != found => {
            Err(ContentError::Digest { expected, found }.into())
        }
        _ => Ok(found),
    }
}

/// A name as a key: these names are looked up here and nowhere else, so `..` only has to mean the
/// same each time.
fn clean(directory: &str, name: &[u8]) -> String {
    let name = String::from_utf8_lossy(name);
    let mut parts: Vec<&str> = Vec::new();
    let from_root = if name.starts_with('/') { "" } else { directory };
    for part in from_root.split('/').chain(name.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    parts.join("/")
}
