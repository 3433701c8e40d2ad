//! A layer between its archive and its place: unpacked aside, then fitted onto those below.

use std::io::Read;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use hull_model::image::Digest;
use rustix::fs::{AtFlags, FileType, fstat, linkat, statat};

use super::LayerError;
use super::extract::Extract;
use super::lower::{Found, Lower};
use super::path::MemberPath;
use super::whiteout;
use crate::codec::Decompressor;
use crate::disk::{At, DiskError, make_dir, open_dir, unique_name};
use crate::error::Result;
use crate::tarball::{Limits, MemberKind, Reader, TarError};
use crate::tree::{Meta, Owners, copy_dir, copy_one, remove};

/// What an archive was promised to be.
#[derive(Clone, Copy, Debug, Default)]
pub struct Expected {
    /// The digest of its bytes as they come.
    pub blob: Option<Digest>,
    /// The digest of its bytes without compression.
    pub diff_id: Option<Digest>,
}

/// A layer unpacked aside. Removed when dropped; see [`super::Layers::commit`].
pub struct Staged {
    /// The digest of its archive without compression.
    pub diff_id: Digest,
    /// The digest of its archive as it came.
    pub blob: Digest,
    /// The bytes of its archive as it came.
    pub blob_bytes: u64,
    /// The bytes of all its files.
    pub size: u64,
    aside: Aside,
    extract: Extract,
}

/// Complete, and not yet in its place.
pub(super) struct Ready {
    aside: Aside,
    diff_id: Digest,
}

/// A directory that is removed unless it was renamed.
struct Aside {
    path: PathBuf,
    renamed: bool,
}

/// Unpacks `blob` into a new directory in `staging`.
pub(super) fn stage(staging: &Path, blob: impl Read, expected: Expected) -> Result<Staged> {
    let aside = Aside { path: staging.join(unique_name("layer")), renamed: false };
    make_dir(&aside.path, 0o700)?;
    let files = aside.path.join("fs");
    make_dir(&files, 0o755)?;
    let limits = Limits::default();
    let mut extract = Extract::new(open_dir(&files)?, limits);
    let mut members = Reader::new(Decompressor::new(blob)?, limits);
    let mut size = 0_u64;
    while let Some(member) = members.next_member()? {
        extract.member(&member, &mut members)?;
        if member.kind == MemberKind::File {
            size = size.saturating_add(member.size);
        }
    }
    let marked = members.ended_with_mark();
    let at = members.position();
    let passed = members.into_source().finish()?;
    if let Some(expected) = expected.blob.filter(|expected| *expected != passed.blob) {
        return Err(LayerError::Digest { expected, found: passed.blob }.into());
    }
    match expected.diff_id {
        Some(expected) if expected != passed.plain => {
            return Err(LayerError::Digest { expected, found: passed.plain }.into());
        }
        // Nothing else tells that this archive is whole.
        None if expected.blob.is_none() && !marked => return Err(TarError::Truncated(at).into()),
        _ => {}
    }
    let (diff_id, blob, blob_bytes) = (passed.plain, passed.blob, passed.blob_bytes);
    Ok(Staged { diff_id, blob, blob_bytes, size, aside, extract })
}

impl Staged {
    /// Settles what depends on the layers below, given top first.
    pub(super) fn complete(mut self, below: &[PathBuf]) -> Result<Ready> {
        let lower = Lower::open(below)?;
        for (name, target) in std::mem::take(&mut self.extract.pending.links) {
            self.link(&lower, &name, &target)?;
        }
        self.imply(&lower)?;
        if self.extract.pending.opaque_root {
            for name in lower.root_names().at("list the layers below", &self.aside.path)? {
                let hidden = whiteout::hide(self.extract.root.as_fd(), &name);
                hidden.at("hide what is below in", &self.aside.path)?;
            }
        }
        self.extract.set_times().at("set times in", &self.aside.path)?;
        Ok(Ready { aside: self.aside, diff_id: self.diff_id })
    }

    /// Makes `name` a second name of `target`, which is in a layer below: copied up first, under
    /// its own name, as overlayfs does for link(2).
    fn link(&mut self, lower: &Lower, name: &MemberPath, target: &MemberPath) -> Result<()> {
        let missing = || LayerError::LinkTarget { path: name.show(), target: target.show() };
        let (Some((to, new)), Some((from, old))) = (name.split(), target.split()) else {
            return Err(missing().into());
        };
        let at = self.aside.path.clone();
        let to = self.extract.directory(&to)?;
        if statat(&to, new, AtFlags::SYMLINK_NOFOLLOW).is_ok() {
            // A later member has that name.
            return Ok(());
        }
        let in_layer = self
            .extract
            .existing(&from)
            .filter(|dir| statat(dir, old, AtFlags::SYMLINK_NOFOLLOW).is_ok());
        let from = match in_layer {
            Some(dir) => dir,
            None => {
                let found = lower.find(target).at("look below", &at)?;
                let Some(Found::Other(source)) = found else { return Err(missing().into()) };
                let stat = statat(&source, old, AtFlags::SYMLINK_NOFOLLOW).at("look at", &at)?;
                if FileType::from_raw_mode(stat.st_mode) == FileType::Socket {
                    // A copy of it would have nobody behind it.
                    return Err(missing().into());
                }
                let dir = self.extract.directory(&from)?;
                copy_one(source.as_fd(), dir.as_fd(), old, Owners::Same)
                    .map_err(|e| DiskError::new("copy up", at.join(target.show()), e))?;
                dir
            }
        };
        linkat(from, old, to, new, AtFlags::empty()).at("link", at.join(name.show()))?;
        Ok(())
    }

    /// Directories the archive does not describe stay as they are below: a merged directory shows
    /// the attributes of the uppermost one.
    fn imply(&mut self, lower: &Lower) -> Result<()> {
        for path in std::mem::take(&mut self.extract.pending.implied) {
            let Some(dir) = self.extract.existing(&path) else { continue };
            let found = lower.find(&path).at("look below", &self.aside.path)?;
            let Some(Found::Directory(like)) = found else { continue };
            let at = || self.aside.path.join(path.show());
            copy_dir(like.as_fd(), dir.as_fd(), Owners::Same).at("copy attributes to", at())?;
            let time = Meta::of(&fstat(&like).at("look at", at())?).mtime;
            self.extract.pending.times.insert(path, time);
        }
        Ok(())
    }
}

impl Ready {
    pub(super) fn path(&self) -> &Path {
        &self.aside.path
    }

    /// It is in its place; nothing is removed any more.
    pub(super) fn renamed(mut self) -> Digest {
        self.aside.renamed = true;
        self.diff_id
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        if !self.renamed
            && let Err(e) = remove(&self.path)
        {
            tracing::warn!(error = %e, "cannot remove an unfinished layer before the next start");
        }
    }
}
