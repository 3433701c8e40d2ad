//! A layer's tar, written so that the same files give the same bytes.

use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom, Write};

use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

/// A finished layer: its file from the start, its size and digest.
pub(crate) struct Layer {
    pub(crate) file: File,
    pub(crate) size: u64,
    /// `sha256:...`; the layer is not compressed, so this is its diff id, too.
    pub(crate) digest: String,
}

/// Writes entries in the order they are given.
pub(crate) struct LayerWriter {
    builder: Builder<Hashing>,
    epoch: u64,
}

struct Hashing {
    file: io::BufWriter<File>,
    hash: Sha256,
    size: u64,
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.file.write(bytes)?;
        self.hash.update(&bytes[..length]);
        self.size += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl LayerWriter {
    /// Starts a layer in a file without a name, so nothing is left if we are killed.
    ///
    /// # Errors
    /// When there is no room for temporary files.
    pub(crate) fn new(epoch: u64) -> io::Result<Self> {
        let file = io::BufWriter::new(tempfile::tempfile()?);
        let builder = Builder::new(Hashing { file, hash: Sha256::new(), size: 0 });
        Ok(Self { builder, epoch })
    }

    /// A header with root as the owner and the layer's moment as the time.
    pub(crate) fn header(&self, kind: EntryType, mode: u32) -> Header {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(self.epoch);
        header.set_size(0);
        header
    }

    /// Adds a directory.
    pub(crate) fn directory(&mut self, path: &str, mode: u32) -> io::Result<()> {
        let mut header = self.header(EntryType::Directory, mode);
        self.builder.append_data(&mut header, format!("{path}/"), io::empty())
    }

    /// Adds a file.
    pub(crate) fn file(&mut self, path: &str, mode: u32, text: &[u8]) -> io::Result<()> {
        let mut header = self.header(EntryType::Regular, mode);
        header.set_size(text.len() as u64);
        self.builder.append_data(&mut header, path, text)
    }

    /// Adds a hard link to a file that is in the layer already.
    pub(crate) fn hard_link(&mut self, path: &str, target: &str) -> io::Result<()> {
        let mut header = self.header(EntryType::Link, 0o755);
        self.builder.append_link(&mut header, path, target)
    }

    /// Adds an entry of another archive: its kind, owner, mode, content and extended attributes.
    pub(crate) fn copy(&mut self, mut entry: tar::Entry<'_, impl Read>) -> io::Result<()> {
        let mut attributes: Vec<(String, Vec<u8>)> = Vec::new();
        if let Some(extensions) = entry.pax_extensions()? {
            for extension in extensions {
                let extension = extension?;
                let key = extension.key().map_err(io::Error::other)?;
                // Such as the capabilities of ping. Times and the like are ours to choose.
                if key.starts_with("SCHILY.xattr.") {
                    attributes.push((key.to_owned(), extension.value_bytes().to_vec()));
                }
            }
        }
        attributes.sort();
        if !attributes.is_empty() {
            let pairs = attributes.iter().map(|(key, value)| (key.as_str(), value.as_slice()));
            self.builder.append_pax_extensions(pairs)?;
        }
        let given = entry.header();
        let kind = given.entry_type();
        let mut header = self.header(kind, given.mode()?);
        header.set_uid(given.uid()?);
        header.set_gid(given.gid()?);
        header.set_mtime(given.mtime()?.min(self.epoch));
        if matches!(kind, EntryType::Char | EntryType::Block) {
            header.set_device_major(given.device_major()?.unwrap_or(0))?;
            header.set_device_minor(given.device_minor()?.unwrap_or(0))?;
        }
        let path = entry.path()?.into_owned();
        match entry.link_name()? {
            Some(target) if matches!(kind, EntryType::Link | EntryType::Symlink) => {
                let target = target.into_owned();
                self.builder.append_link(&mut header, path, target)
            }
            Some(_) | None => {
                header.set_size(entry.size());
                self.builder.append_data(&mut header, path, &mut entry)
            }
        }
    }

    /// Ends the layer.
    ///
    /// # Errors
    /// When the last bytes cannot be written.
    pub(crate) fn finish(self) -> io::Result<Layer> {
        let Hashing { file, hash, size } = self.builder.into_inner()?;
        let mut file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.seek(SeekFrom::Start(0))?;
        Ok(Layer { file, size, digest: format!("sha256:{}", hex(&hash.finalize())) })
    }
}

/// Bytes as lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        write!(text, "{byte:02x}").unwrap_or_default();
        text
    })
}
