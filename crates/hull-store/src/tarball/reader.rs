//! From one member to the next.

use std::io::{self, Read};

use tar::{EntryType, Header};

use super::member::{Member, MemberKind};
use super::pax::Pax;
use super::{TarError, sparse};

/// What one archive may have. The defaults are far above any real image.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Members.
    pub members: u64,
    /// Bytes of contents, all files together.
    pub bytes: u64,
    /// Bytes of one file, holes included.
    pub file_bytes: u64,
    /// Bytes of a name or link.
    pub path_bytes: u64,
    /// Bytes of the extension records of one member.
    pub extension_bytes: u64,
    /// Bytes of all names that must be remembered until the end, as those of directories, whose
    /// times come last.
    pub names_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            members: 4_000_000,
            bytes: 1 << 40,
            file_bytes: 1 << 44,
            // PATH_MAX with its NUL.
            path_bytes: 4_095,
            extension_bytes: 1 << 20,
            names_bytes: 128 << 20,
        }
    }
}

/// Reads the members of one plain archive. After [`Reader::next_member`], the reader itself reads
/// that member's data (without its holes) and then is at its end.
pub struct Reader<R> {
    source: R,
    limits: Limits,
    /// How far the source was read.
    at: u64,
    /// What is left of the current member's data, and the bytes that fill its last block.
    data: u64,
    padding: u64,
    members: u64,
    bytes: u64,
    /// Whether the mark at the end was seen.
    marked: bool,
}

const BLOCK: u64 = 512;

impl<R: Read> Reader<R> {
    /// Reads `source`, which must be plain.
    pub fn new(source: R, limits: Limits) -> Self {
        let (at, data, padding, members, bytes) = (0, 0, 0, 0, 0);
        Self { source, limits, at, data, padding, members, bytes, marked: false }
    }

    /// The next member; what was not read of the last one is skipped. `None` at the end.
    pub fn next_member(&mut self) -> Result<Option<Member>, TarError> {
        self.skip()?;
        let mut pax = Pax::default();
        let (mut long_path, mut long_link) = (None, None);
        let mut extensions = 0_u64;
        loop {
            let offset = self.at;
            let Some(header) = self.header()? else {
                return if extensions == 0 { Ok(None) } else { Err(TarError::Truncated(self.at)) };
            };
            self.members += 1;
            if self.members > self.limits.members {
                return Err(TarError::Limit { what: "members", max: self.limits.members });
            }
            let kind = header.entry_type();
            if !is_extension(kind) {
                long_path = pax.path.take().or(long_path);
                pax.path = long_path;
                pax.link = pax.link.take().or(long_link);
                return self.member(&header, pax, offset).map(Some);
            }
            let size = header.entry_size().map_err(|_bad| field(offset, "size"))?;
            if kind == EntryType::XGlobalHeader {
                // Docker ignores them too; Git writes its commit there.
                self.allow(size)?;
                self.begin(size);
                self.skip()?;
                continue;
            }
            extensions = self.allow_extension(extensions, size)?;
            let record = self.extension(size)?;
            if kind.is_gnu_longname() {
                long_path = Some(until_nul(record));
            } else if kind.is_gnu_longlink() {
                long_link = Some(until_nul(record));
            } else {
                pax.read(&record).map_err(|what| field(offset, what))?;
            }
        }
    }

    /// Whether the end of the archive was marked as it should be. Without the mark an archive may
    /// have been cut off between two members.
    pub fn ended_with_mark(&self) -> bool {
        self.marked
    }

    /// How far the archive was read.
    pub(crate) fn position(&self) -> u64 {
        self.at
    }

    /// What it reads from.
    pub(crate) fn into_source(self) -> R {
        self.source
    }

    fn header(&mut self) -> Result<Option<Header>, TarError> {
        let at = self.at;
        let mut header = Header::new_old();
        if !self.block(header.as_mut_bytes())? {
            return Ok(None);
        }
        if header.as_bytes().iter().all(|byte| *byte == 0) {
            self.marked = true;
            return Ok(None);
        }
        let sum: u32 = header.as_bytes().iter().enumerate().fold(0, |sum, (index, byte)| {
            sum + u32::from(if (148..156).contains(&index) { b' ' } else { *byte })
        });
        match header.cksum() {
            Ok(said) if said == sum => Ok(Some(header)),
            _ => Err(TarError::Header(at)),
        }
    }

    /// Fills one block; false at the clean end of the source.
    fn block(&mut self, block: &mut [u8; 512]) -> Result<bool, TarError> {
        let mut filled = 0;
        while filled < block.len() {
            match self.source.read(&mut block[filled..]) {
                Ok(0) if filled == 0 => return Ok(false),
                Ok(0) => return Err(TarError::Truncated(self.at)),
                Ok(count) => {
                    filled += count;
                    self.at += count as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(TarError::Read(e)),
            }
        }
        Ok(true)
    }

    /// The bytes of extensions with one more of `size`, which may be any number.
    fn allow_extension(&self, so_far: u64, size: u64) -> Result<u64, TarError> {
        let max = self.limits.extension_bytes;
        let what = "bytes of extension records for one member";
        let total = so_far.checked_add(size).filter(|total| *total <= max);
        total.ok_or(TarError::Limit { what, max })
    }

    fn extension(&mut self, size: u64) -> Result<Vec<u8>, TarError> {
        self.begin(size);
        let mut record = Vec::new();
        Read::take(&mut *self, size).read_to_end(&mut record).map_err(TarError::Read)?;
        self.skip()?;
        Ok(record)
    }

    fn member(&mut self, header: &Header, mut pax: Pax, at: u64) -> Result<Member, TarError> {
        let mut path = pax.path.take().unwrap_or_else(|| header.path_bytes().into_owned());
        let link = pax.link.take();
        let link = link.or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned));
        let kind = kind_of(header, &path, link.unwrap_or_default(), at)?;
        let mut data = match pax.size {
            Some(size) => size,
            None => header.entry_size().map_err(|_bad| field(at, "size"))?,
        };
        if kind != MemberKind::File {
            // What such a member says of its size is not data (as Go's archive/tar).
            data = 0;
        }
        let (mut size, mut map) = (data, None);
        if kind == MemberKind::File {
            (size, map) = self.sparse(header, &mut pax, &mut data, at)?;
            path = pax.sparse_name.take().unwrap_or(path);
        }
        self.check(&path, &kind, size, data)?;
        self.begin(data);
        let id = |said: Option<u32>, found: io::Result<u64>, what| match said {
            Some(id) => Ok(id),
            None => match found.ok().and_then(|id| u32::try_from(id).ok()) {
                Some(id) if id != u32::MAX => Ok(id),
                _ => Err(field(at, what)),
            },
        };
        let mode = header.mode().map_err(|_bad| field(at, "mode"))? & 0o7777;
        let fields = header.as_old();
        let uid = id(pax.uid, blank_is_root(&fields.uid, header.uid()), "uid")?;
        let gid = id(pax.gid, blank_is_root(&fields.gid, header.gid()), "gid")?;
        // A time that cannot be is no reason to refuse an image.
        let mtime = header.mtime().ok().and_then(|time| i64::try_from(time).ok()).unwrap_or(0);
        let mtime = pax.mtime.unwrap_or((mtime, 0));
        let xattrs = pax.xattrs;
        Ok(Member { path, kind, mode, uid, gid, mtime, size, xattrs, sparse: map, offset: at })
    }

    /// The length and the map of a file, whose archived data may begin with the map.
    fn sparse(
        &mut self,
        header: &Header,
        pax: &mut Pax,
        data: &mut u64,
        at: u64,
    ) -> Result<(u64, Option<sparse::Map>), TarError> {
        let (size, map) = if header.entry_type() == EntryType::GNUSparse {
            let (map, size, bytes) = sparse::gnu(header, at, &mut self.source)?;
            self.at += bytes;
            (size, map)
        } else if pax.sparse_major == Some(1) {
            let size = pax.sparse_size.ok_or_else(|| field(at, "sparse size"))?;
            let (map, bytes) = sparse::pax_1_0(size, at, &mut self.source)?;
            self.at += bytes;
            *data = data.checked_sub(bytes).ok_or_else(|| field(at, "sparse map"))?;
            (size, map)
        } else if let Some(numbers) = pax.sparse_map.take() {
            let size = pax.sparse_size.ok_or_else(|| field(at, "sparse size"))?;
            (size, sparse::pax_0(&numbers, size, at)?)
        } else {
            return Ok((*data, None));
        };
        if sparse::data_bytes(&map) == *data {
            Ok((size, Some(map)))
        } else {
            Err(field(at, "sparse map"))
        }
    }

    fn check(
        &mut self,
        path: &[u8],
        kind: &MemberKind,
        size: u64,
        data: u64,
    ) -> Result<(), TarError> {
        let link = match kind {
            MemberKind::Symlink(link) | MemberKind::Hardlink(link) => link.len(),
            MemberKind::File
            | MemberKind::Directory
            | MemberKind::Char(..)
            | MemberKind::Block(..)
            | MemberKind::Fifo => 0,
        };
        if path.len().max(link) as u64 > self.limits.path_bytes {
            return Err(TarError::Limit { what: "bytes in a name", max: self.limits.path_bytes });
        }
        if size > self.limits.file_bytes {
            return Err(TarError::Limit { what: "bytes in a file", max: self.limits.file_bytes });
        }
        self.allow(data)
    }

    /// Counts data, whether anybody will want it or not.
    fn allow(&mut self, data: u64) -> Result<(), TarError> {
        self.bytes = self.bytes.saturating_add(data);
        let max = self.limits.bytes;
        if self.bytes > max { Err(TarError::Limit { what: "bytes", max }) } else { Ok(()) }
    }

    fn begin(&mut self, data: u64) {
        self.data = data;
        self.padding = data.wrapping_neg() % BLOCK;
    }

    /// Reads on to the end of the current member's last block.
    fn skip(&mut self) -> Result<(), TarError> {
        let mut rest = self.data.saturating_add(self.padding);
        (self.data, self.padding) = (0, 0);
        let mut waste = [0; 8 << 10];
        while rest > 0 {
            let most = usize::try_from(rest).unwrap_or(usize::MAX).min(waste.len());
            match self.source.read(&mut waste[..most]) {
                Ok(0) => return Err(TarError::Truncated(self.at)),
                Ok(count) => {
                    rest -= count as u64;
                    self.at += count as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(TarError::Read(e)),
            }
        }
        Ok(())
    }
}

impl<R: Read> Read for Reader<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.data).unwrap_or(usize::MAX).min(buf.len());
        if most == 0 {
            return Ok(0);
        }
        let count = self.source.read(&mut buf[..most])?;
        if count == 0 {
            let text = format!("the archive is cut off after {} bytes", self.at);
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
        }
        self.data -= count as u64;
        self.at += count as u64;
        Ok(count)
    }
}

fn is_extension(kind: EntryType) -> bool {
    kind.is_gnu_longname()
        || kind.is_gnu_longlink()
        || kind.is_pax_local_extensions()
        || kind.is_pax_global_extensions()
}

fn kind_of(header: &Header, path: &[u8], link: Vec<u8>, at: u64) -> Result<MemberKind, TarError> {
    let device = || {
        let major = header.device_major().map_err(|_bad| field(at, "device"))?;
        let minor = header.device_minor().map_err(|_bad| field(at, "device"))?;
        Ok((major.unwrap_or(0), minor.unwrap_or(0)))
    };
    Ok(match header.entry_type().as_byte() {
        // Before POSIX a directory was told by its name.
        b'0' | 0 | b'7' if path.ends_with(b"/") => MemberKind::Directory,
        b'0' | 0 | b'7' | b'S' => MemberKind::File,
        b'1' => MemberKind::Hardlink(link),
        b'2' => MemberKind::Symlink(link),
        b'3' => device().map(|(major, minor)| MemberKind::Char(major, minor))?,
        b'4' => device().map(|(major, minor)| MemberKind::Block(major, minor))?,
        b'5' => MemberKind::Directory,
        b'6' => MemberKind::Fifo,
        other => return Err(TarError::Unknown { kind: char::from(other), at }),
    })
}

fn field(at: u64, field: &'static str) -> TarError {
    TarError::Field { at, field }
}

/// GNU long names end with a NUL that is not part of them.
fn until_nul(mut record: Vec<u8>) -> Vec<u8> {
    let end = record.iter().position(|byte| *byte == 0).unwrap_or(record.len());
    record.truncate(end);
    record
}

/// A field that was never written means 0, as to Go's archive/tar: some writers leave owners blank.
fn blank_is_root(field: &[u8], read: io::Result<u64>) -> io::Result<u64> {
    if field.iter().all(|byte| matches!(byte, 0 | b' ')) { Ok(0) } else { read }
}
