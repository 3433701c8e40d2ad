//! A blob on its way in: hashed while it is written, renamed when it is right.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use hull_model::image::Digest;
use rustix::fs::FlockOperation;
use sha2::{Digest as _, Sha256};

use super::{ContentError, Lease};
use crate::codec::digest_of;
use crate::disk::{At, DiskError, unique_name};
use crate::error::Result;
use crate::space::Space;

/// A blob being written. Dropped before [`Ingest::commit`], it leaves nothing, or for a resumable
/// one its first part.
pub struct Ingest {
    file: File,
    space: Space,
    path: PathBuf,
    blobs: PathBuf,
    hash: Sha256,
    offset: u64,
    expected: Option<(Digest, Option<u64>)>,
    /// Whether the file stays when this is dropped.
    keep: bool,
}

impl Ingest {
    pub(super) fn new(dir: &Path, blobs: &Path) -> Result<Self, DiskError> {
        let path = dir.join(unique_name("new"));
        let file = create(&path, true)?;
        let space = Space::default();
        let (hash, blobs) = (Sha256::new(), blobs.to_owned());
        Ok(Self { file, space, path, blobs, hash, offset: 0, expected: None, keep: false })
    }

    pub(super) fn resume(
        dir: &Path,
        blobs: &Path,
        digest: Digest,
        size: Option<u64>,
    ) -> Result<Self, DiskError> {
        let path = dir.join(format!("partial-{}", digest.hex()));
        let file = create(&path, false)?;
        if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err()
            || !is_at(&file, &path)
        {
            // Somebody else fetches the same, or just finished.
            let mut alone = Self::new(dir, blobs)?;
            alone.expected = Some((digest, size));
            return Ok(alone);
        }
        let space = Space::default();
        let (hash, blobs) = (Sha256::new(), blobs.to_owned());
        let expected = Some((digest, size));
        let mut ingest = Self { file, space, path, blobs, hash, offset: 0, expected, keep: true };
        ingest.rehash()?;
        if size.is_some_and(|size| ingest.offset > size) {
            ingest.restart()?;
        }
        Ok(ingest)
    }

    /// How many bytes are written, earlier attempts included.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Begins again with nothing, when the sender cannot go on from [`Ingest::offset`].
    pub fn restart(&mut self) -> Result<(), DiskError> {
        self.file.set_len(0).at("empty", &self.path)?;
        io::Seek::rewind(&mut self.file).at("rewind", &self.path)?;
        (self.hash, self.offset) = (Sha256::new(), 0);
        Ok(())
    }

    /// As [`Ingest::commit`], and `lease` holds the blob before anybody sees it.
    pub fn commit_leased(self, lease: &mut Lease) -> Result<Digest> {
        lease.add(digest_of(self.hash.clone()));
        self.commit()
    }

    /// Makes the blob visible if it is what was expected; otherwise nothing of it stays.
    pub fn commit(mut self) -> Result<Digest> {
        // On any error from here the bytes are wrong, and no later attempt may build on them.
        let resumable = std::mem::replace(&mut self.keep, false);
        let found = digest_of(std::mem::take(&mut self.hash));
        if let Some((expected, size)) = self.expected {
            if let Some(size) = size.filter(|size| *size != self.offset) {
                self.keep = resumable && self.offset < size;
                let (digest, found) = (expected, self.offset);
                return Err(ContentError::Size { digest, expected: size, found }.into());
            }
            if found != expected {
                return Err(ContentError::Digest { expected, found }.into());
            }
        }
        let target = self.blobs.join(found.hex());
        std::fs::rename(&self.path, &target).at("rename into", &target)?;
        // The name is taken by the blob now; dropping must not remove a successor's file.
        self.keep = true;
        Ok(found)
    }

    /// A copy of everything read from `source` goes into this blob.
    pub fn tee<R: Read>(self, source: R) -> Tee<R> {
        Tee { source, ingest: self }
    }

    fn rehash(&mut self) -> Result<(), DiskError> {
        let mut buffer = vec![0; 256 << 10];
        loop {
            let count = self.file.read(&mut buffer).at("read", &self.path)?;
            if count == 0 {
                return Ok(());
            }
            self.hash.update(&buffer[..count]);
            self.offset += count as u64;
        }
    }
}

impl Write for Ingest {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if let Some((digest, Some(size))) = self.expected
            && buf.len() as u64 > size.saturating_sub(self.offset)
        {
            let text = format!("content of {digest} has more than the promised {size} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        self.space.bytes(&self.file, buf.len() as u64)?;
        let count = self.file.write(buf)?;
        self.hash.update(&buf[..count]);
        self.offset += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Ingest {
    fn drop(&mut self) {
        if !self.keep
            && let Err(e) = std::fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), error = %e, "cannot remove a partial blob");
        }
    }
}

/// Reads and stores at once.
pub struct Tee<R> {
    source: R,
    ingest: Ingest,
}

impl<R> Tee<R> {
    /// The blob as far as it was read.
    pub fn into_ingest(self) -> Ingest {
        self.ingest
    }
}

impl<R: Read> Read for Tee<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buf)?;
        self.ingest.write_all(&buf[..count])?;
        Ok(count)
    }
}

fn create(path: &Path, new: bool) -> Result<File, DiskError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600).custom_flags(libc_nofollow());
    if new {
        options.create_new(true)
    } else {
        options.create(true)
    };
    options.open(path).at("open", path)
}

fn libc_nofollow() -> i32 {
    rustix::fs::OFlags::NOFOLLOW.bits().cast_signed()
}

/// Whether `file` is still what `path` names: its last holder may have renamed it away while we
/// waited for nothing but the open.
fn is_at(file: &File, path: &Path) -> bool {
    match (rustix::fs::fstat(file), rustix::fs::lstat(path)) {
        (Ok(open), Ok(named)) => (open.st_dev, open.st_ino) == (named.st_dev, named.st_ino),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Content;
    use super::*;
    use crate::codec::digest;

    fn content() -> (tempfile::TempDir, Content) {
        let dir = tempfile::tempdir().unwrap();
        let content = Content::open(dir.path()).unwrap();
        (dir, content)
    }

    fn temporary(dir: &tempfile::TempDir) -> usize {
        std::fs::read_dir(dir.path().join("ingest")).unwrap().count()
    }

    #[test]
    fn a_blob_is_visible_only_when_it_is_whole_and_right() {
        let (dir, content) = content();
        let right = digest(b"hello");
        let mut ingest = content.resume(&right, Some(5)).unwrap();
        ingest.write_all(b"hel").unwrap();
        assert!(!content.contains(&right).unwrap());
        drop(ingest);
        let mut ingest = content.resume(&right, Some(5)).unwrap();
        assert_eq!(ingest.offset(), 3);
        assert!(ingest.write_all(b"lo, more than promised").is_err());
        ingest.write_all(b"lo").unwrap();
        assert_eq!(ingest.commit().unwrap(), right);
        assert_eq!(content.read_small(&right, 5).unwrap(), b"hello");
        assert!(content.read_small(&right, 4).is_err());
        assert_eq!(temporary(&dir), 0);
    }

    #[test]
    fn wrong_bytes_leave_nothing_to_resume() {
        let (dir, content) = content();
        let promised = digest(b"hello");
        let mut ingest = content.resume(&promised, None).unwrap();
        ingest.write_all(b"HELLO").unwrap();
        let error = ingest.commit().unwrap_err();
        assert!(error.to_string().contains("and not sha256:2cf24d"), "{error}");
        assert_eq!((temporary(&dir), content.contains(&promised).unwrap()), (0, false));
    }

    #[test]
    fn two_may_fetch_the_same() {
        let (dir, content) = content();
        let promised = digest(b"hello");
        let mut one = content.resume(&promised, None).unwrap();
        let mut two = content.resume(&promised, None).unwrap();
        one.write_all(b"hello").unwrap();
        two.write_all(b"hello").unwrap();
        assert_eq!(one.commit().unwrap(), two.commit().unwrap());
        assert_eq!(temporary(&dir), 0);
    }

    #[test]
    fn what_is_leased_stays() {
        let (_dir, content) = content();
        let digest = content.put(b"x").unwrap();
        let mut lease = content.lease();
        lease.add(digest);
        assert_eq!(content.delete(&digest).unwrap(), 0);
        drop(lease);
        assert_eq!(content.delete(&digest).unwrap(), 1);
        assert!(!content.contains(&digest).unwrap());
    }

    #[test]
    fn a_killed_writers_files_are_removed_and_young_partial_ones_stay() {
        let (dir, content) = content();
        std::mem::forget(content.ingest().unwrap());
        let mut ingest = content.resume(&digest(b"hello"), None).unwrap();
        ingest.write_all(b"he").unwrap();
        drop(ingest);
        let content = Content::open(dir.path()).unwrap();
        assert_eq!(temporary(&dir), 1);
        assert_eq!(content.resume(&digest(b"hello"), None).unwrap().offset(), 2);
    }
}
