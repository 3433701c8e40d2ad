//! Compression told by its first bytes; what an archive says about itself is not believed.

use std::cell::Cell;
use std::io::{self, BufReader, Cursor, Read};
use std::rc::Rc;

use flate2::bufread::MultiGzDecoder;
use hull_model::image::Digest;
use sha2::{Digest as _, Sha256};

use crate::tarball::TarError;

/// How a stream is compressed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Codec {
    Plain,
    Gzip,
    Zstd,
    Bzip2,
    Xz,
}

/// Which compressions are read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Accepted {
    /// Those a layer may have.
    Layers,
    /// Whatever Docker unpacks.
    All,
}

impl Codec {
    /// The codec of a stream that begins so; four bytes are enough to tell.
    pub(crate) fn of(start: &[u8]) -> Result<Self, TarError> {
        match start {
            [0x1f, 0x8b, ..] => Ok(Self::Gzip),
            // The second is a frame to skip; some writers begin with one.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Ok(Self::Zstd),
            [0xfd, b'7', b'z', b'X', ..] => Err(TarError::Codec("xz")),
            [b'B', b'Z', b'h', ..] => Err(TarError::Codec("bzip2")),
            _ => Ok(Self::Plain),
        }
    }

    /// As [`Codec::of`], for files that are only unpacked and need no media type.
    fn of_any(start: &[u8]) -> Result<Self, TarError> {
        match start {
            [0xfd, b'7', b'z', b'X', ..] => Ok(Self::Xz),
            [b'B', b'Z', b'h', ..] => Ok(Self::Bzip2),
            start => Self::of(start),
        }
    }

    /// OCI's media type of a layer compressed so.
    pub(crate) const fn layer_type(self) -> &'static str {
        match self {
            Self::Plain => "application/vnd.oci.image.layer.v1.tar",
            Self::Gzip => "application/vnd.oci.image.layer.v1.tar+gzip",
            Self::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
            // No layer is stored so; these are their names by OCI's rule.
            Self::Bzip2 => "application/vnd.oci.image.layer.v1.tar+bzip2",
            Self::Xz => "application/vnd.oci.image.layer.v1.tar+xz",
        }
    }
}

/// Most bytes that come of a stream before the ratio counts, and how many for each one read then.
/// gzip reaches 1,032 : 1 on zeros; more than that is no file system.
const FREE: u64 = 1 << 30;
const RATIO_MAX: u64 = 1_200;

/// Most bytes after the mark at an archive's end. They are part of its digest and of nothing else;
/// GNU tar fills its last record, which has 10 KiB unless one asks for more.
const TAIL_MAX: u64 = 32 << 20;

/// The largest window a zstd frame may ask memory for: 128 MiB, as the zstd program allows.
const WINDOW_LOG_MAX: u32 = 27;

/// The most memory that an xz stream may ask for: `xz -9` needs 65 MiB.
const XZ_MEMORY_MAX: u64 = 128 << 20;

/// A stream being decompressed, counted and hashed on both sides.
pub(crate) struct Decompressor<'a> {
    outer: Rc<Tally>,
    inner: Hashing<Box<dyn Read + 'a>>,
}

/// What went through a stream once all of it is read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Passed {
    /// Of the bytes as they came.
    pub(crate) blob: Digest,
    /// Of the bytes without compression.
    pub(crate) plain: Digest,
    /// How many came.
    pub(crate) blob_bytes: u64,
}

impl<'a> Decompressor<'a> {
    pub(crate) fn new(source: impl Read + 'a) -> Result<Self, TarError> {
        Self::accepting(Accepted::Layers, source)
    }

    pub(crate) fn accepting(accepted: Accepted, source: impl Read + 'a) -> Result<Self, TarError> {
        let outer = Rc::new(Tally::default());
        let mut source = Outer { source, tally: Rc::clone(&outer) };
        let mut start = Vec::new();
        Read::take(&mut source, 6).read_to_end(&mut start).map_err(TarError::Read)?;
        let codec = match accepted {
            Accepted::Layers => Codec::of(&start)?,
            Accepted::All => Codec::of_any(&start)?,
        };
        let source = BufReader::with_capacity(128 << 10, Cursor::new(start).chain(source));
        let plain: Box<dyn Read + 'a> = match codec {
            Codec::Plain => Box::new(source),
            Codec::Gzip => Box::new(MultiGzDecoder::new(source)),
            Codec::Zstd => {
                let mut decoder =
                    zstd::stream::read::Decoder::with_buffer(source).map_err(TarError::Read)?;
                decoder.window_log_max(WINDOW_LOG_MAX).map_err(TarError::Read)?;
                Box::new(decoder)
            }
            Codec::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(source)),
            Codec::Xz => {
                let flags = liblzma::stream::CONCATENATED;
                let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY_MAX, flags);
                let stream = stream.map_err(|e| TarError::Read(e.into()))?;
                Box::new(liblzma::bufread::XzDecoder::new_stream(source, stream))
            }
        };
        let hash = (codec != Codec::Plain).then(Sha256::new);
        Ok(Self { outer, inner: Hashing { source: plain, hash, bytes: 0 } })
    }

    /// Reads what is left after an archive's end and says what went through.
    pub(crate) fn finish(mut self) -> Result<Passed, TarError> {
        let end = self.inner.bytes;
        let mut rest = vec![0; 64 << 10];
        while self.read(&mut rest).map_err(TarError::Read)? > 0 {
            if self.inner.bytes - end > TAIL_MAX {
                return Err(TarError::Limit { what: "bytes after its end", max: TAIL_MAX });
            }
        }
        let Self { outer, inner, .. } = self;
        let plain = inner.hash.map(digest_of);
        let blob = digest_of(outer.hash.take());
        let blob_bytes = outer.bytes.get();
        Ok(Passed { blob, plain: plain.unwrap_or(blob), blob_bytes })
    }
}

impl Read for Decompressor<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buf)?;
        let read = self.outer.bytes.get();
        if self.inner.bytes > FREE && self.inner.bytes / RATIO_MAX > read {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{read} bytes become more than {} when decompressed", self.inner.bytes),
            ));
        }
        Ok(count)
    }
}

#[derive(Default)]
struct Tally {
    bytes: Cell<u64>,
    hash: Cell<Sha256>,
}

struct Outer<R> {
    source: R,
    tally: Rc<Tally>,
}

impl<R: Read> Read for Outer<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buf)?;
        self.tally.bytes.set(self.tally.bytes.get() + count as u64);
        let mut hash = self.tally.hash.take();
        hash.update(&buf[..count]);
        self.tally.hash.set(hash);
        Ok(count)
    }
}

struct Hashing<R> {
    source: R,
    /// Not where both sides are the same.
    hash: Option<Sha256>,
    bytes: u64,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buf)?;
        if let Some(hash) = &mut self.hash {
            hash.update(&buf[..count]);
        }
        self.bytes += count as u64;
        Ok(count)
    }
}

/// The digest of what was hashed.
pub(crate) fn digest_of(hash: Sha256) -> Digest {
    Digest::from_sha256(hash.finalize().into())
}

/// The digest of `bytes`.
pub(crate) fn digest(bytes: &[u8]) -> Digest {
    digest_of(Sha256::new_with_prefix(bytes))
}
