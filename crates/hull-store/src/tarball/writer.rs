//! Members to an archive: POSIX headers, with PAX records for what does not fit into one.
//!
//! The form is the one Go's `archive/tar` writes and every tar of today reads. The same members give
//! the same bytes.

use std::io::{self, Read, Write};

use tar::{EntryType, Header};

use super::member::{Member, MemberKind};

/// Writes a plain archive.
pub struct Writer<W> {
    to: W,
    buffer: Vec<u8>,
}

const BLOCK: u64 = 512;

/// The largest numbers in a header's octal fields: 7 digits, and 11 for sizes and times.
const ID_MAX: u32 = 0o7_777_777;
const LONG_MAX: u64 = 0o77_777_777_777;

/// Longest names in the fields of a header.
const NAME_BYTES: usize = 100;

impl<W: Write> Writer<W> {
    /// Writes to `to`, in pieces as they come: it should have a buffer of its own.
    pub fn new(to: W) -> Self {
        Self { to, buffer: vec![0; 128 << 10] }
    }

    /// Writes a member that has no data.
    pub fn member(&mut self, member: &Member) -> io::Result<()> {
        debug_assert!(member.size == 0 || member.kind != MemberKind::File);
        self.head(member)
    }

    /// Writes a file with its data. Where `data` ends early, as a file that is cut off while it is
    /// read, the rest is zeros: its length is written already.
    pub fn file(&mut self, member: &Member, data: &mut impl Read) -> io::Result<()> {
        self.head(member)?;
        let mut left = member.size;
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
            let count = match data.read(&mut self.buffer[..most]) {
                Ok(0) => break,
                Ok(count) => count,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            };
            self.to.write_all(&self.buffer[..count])?;
            left -= count as u64;
        }
        self.zeros(left + member.size.wrapping_neg() % BLOCK)
    }

    /// Marks the end.
    pub fn finish(mut self) -> io::Result<W> {
        self.zeros(2 * BLOCK)?;
        self.to.flush()?;
        Ok(self.to)
    }

    fn head(&mut self, member: &Member) -> io::Result<()> {
        let records = records(member);
        if !records.is_empty() {
            let mut header = Header::new_ustar();
            header.set_entry_type(EntryType::XHeader);
            header.as_old_mut().name[..7].copy_from_slice(b"pax/pax");
            header.set_mode(0o644);
            header.set_size(records.len() as u64);
            header.set_cksum();
            self.to.write_all(header.as_bytes())?;
            self.to.write_all(&records)?;
            self.zeros((records.len() as u64).wrapping_neg() % BLOCK)?;
        }
        self.to.write_all(header(member)?.as_bytes())
    }

    fn zeros(&mut self, mut count: u64) -> io::Result<()> {
        const ZEROS: [u8; 4_096] = [0; 4_096];
        while count > 0 {
            let most = usize::try_from(count).unwrap_or(usize::MAX).min(ZEROS.len());
            self.to.write_all(&ZEROS[..most])?;
            count -= most as u64;
        }
        Ok(())
    }
}

/// The link of a member, if its kind has one.
fn link(kind: &MemberKind) -> Option<&[u8]> {
    match kind {
        MemberKind::Symlink(link) | MemberKind::Hardlink(link) => Some(link),
        MemberKind::File
        | MemberKind::Directory
        | MemberKind::Char(..)
        | MemberKind::Block(..)
        | MemberKind::Fifo => None,
    }
}

fn data_size(member: &Member) -> u64 {
    if member.kind == MemberKind::File { member.size } else { 0 }
}

/// What the header has no room for, as PAX records.
fn records(member: &Member) -> Vec<u8> {
    let mut records = Vec::new();
    let mut add = |key: &[u8], value: &[u8]| record(&mut records, key, value);
    if member.path.len() > NAME_BYTES {
        add(b"path", &member.path);
    }
    if let Some(link) = link(&member.kind).filter(|link| link.len() > NAME_BYTES) {
        add(b"linkpath", link);
    }
    let size = data_size(member);
    if size > LONG_MAX {
        add(b"size", size.to_string().as_bytes());
    }
    for (key, id) in [(&b"uid"[..], member.uid), (b"gid", member.gid)] {
        if id > ID_MAX {
            add(key, id.to_string().as_bytes());
        }
    }
    if !fits(member.mtime.0) {
        add(b"mtime", member.mtime.0.to_string().as_bytes());
    }
    for (name, value) in &member.xattrs {
        add(&[b"SCHILY.xattr.", name.as_slice()].concat(), value);
    }
    records
}

fn fits(seconds: i64) -> bool {
    u64::try_from(seconds).is_ok_and(|seconds| seconds <= LONG_MAX)
}

/// `LENGTH KEY=VALUE\n`, where the length counts its own digits.
fn record(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + digits(rest);
    if rest + digits(length) > length {
        length = rest + digits(length);
    }
    records.extend_from_slice(length.to_string().as_bytes());
    for part in [b" ", key, b"=", value, b"\n"] {
        records.extend_from_slice(part);
    }
}

fn digits(number: usize) -> usize {
    number.to_string().len()
}

fn header(member: &Member) -> io::Result<Header> {
    let mut header = Header::new_ustar();
    let cut = |name: &[u8]| name[..name.len().min(NAME_BYTES)].to_vec();
    let (name, target) = (cut(&member.path), cut(link(&member.kind).unwrap_or_default()));
    let fields = header.as_old_mut();
    fields.name[..name.len()].copy_from_slice(&name);
    fields.linkname[..target.len()].copy_from_slice(&target);
    header.set_mode(member.mode & 0o7777);
    header.set_uid(member.uid.min(ID_MAX).into());
    header.set_gid(member.gid.min(ID_MAX).into());
    header.set_size(data_size(member).min(LONG_MAX));
    let seconds = if fits(member.mtime.0) { member.mtime.0.unsigned_abs() } else { 0 };
    header.set_mtime(seconds);
    let (kind, device) = match &member.kind {
        MemberKind::File => (EntryType::Regular, None),
        MemberKind::Directory => (EntryType::Directory, None),
        MemberKind::Symlink(_) => (EntryType::Symlink, None),
        MemberKind::Hardlink(_) => (EntryType::Link, None),
        MemberKind::Char(major, minor) => (EntryType::Char, Some((*major, *minor))),
        MemberKind::Block(major, minor) => (EntryType::Block, Some((*major, *minor))),
        MemberKind::Fifo => (EntryType::Fifo, None),
    };
    header.set_entry_type(kind);
    if let Some((major, minor)) = device {
        header.set_device_major(major)?;
        header.set_device_minor(minor)?;
    }
    header.set_cksum();
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::super::{Limits, Reader};
    use super::*;
    use proptest::prelude::*;

    fn member(kind: MemberKind, path: &[u8]) -> Member {
        let (uid, gid, mode, mtime) = (1, 2, 0o644, (3, 0));
        let (size, xattrs, sparse, offset) = (0, Vec::new(), None, 0);
        Member { path: path.into(), kind, mode, uid, gid, mtime, size, xattrs, sparse, offset }
    }

    fn round(members: &[(Member, Vec<u8>)]) -> Vec<(Member, Vec<u8>)> {
        let mut writer = Writer::new(Vec::new());
        for (member, data) in members {
            match member.kind {
                MemberKind::File => writer.file(member, &mut data.as_slice()).unwrap(),
                MemberKind::Directory
                | MemberKind::Symlink(_)
                | MemberKind::Hardlink(_)
                | MemberKind::Char(..)
                | MemberKind::Block(..)
                | MemberKind::Fifo => writer.member(member).unwrap(),
            }
        }
        let bytes = writer.finish().unwrap();
        assert_eq!(bytes.len() % 512, 0);
        let mut reader = Reader::new(bytes.as_slice(), Limits::default());
        let mut read = Vec::new();
        while let Some(mut member) = reader.next_member().unwrap() {
            member.offset = 0;
            let mut data = Vec::new();
            reader.read_to_end(&mut data).unwrap();
            read.push((member, data));
        }
        assert!(reader.ended_with_mark());
        read
    }

    #[test]
    fn a_file_that_shrinks_while_it_is_read_keeps_its_length() {
        let member = Member { size: 1_000, ..member(MemberKind::File, b"f") };
        let mut writer = Writer::new(Vec::new());
        writer.file(&member, &mut &b"abc"[..]).unwrap();
        assert_eq!(writer.finish().unwrap().len(), 512 + 1_024 + 1_024);
    }

    #[test]
    fn lengths_count_their_own_digits() {
        for (key, value, text) in
            [("a", "b".repeat(4), "9 a=bbbb\n"), ("a", "b".repeat(5), "11 a=bbbbb\n")]
        {
            let mut records = Vec::new();
            record(&mut records, key.as_bytes(), value.as_bytes());
            assert_eq!(String::from_utf8(records).unwrap(), text);
        }
    }

    #[test]
    fn sizes_above_the_header_are_told_by_a_record() {
        let huge = Member { size: 1 << 40, ..member(MemberKind::File, b"f") };
        assert!(String::from_utf8(records(&huge)).unwrap().contains(" size=1099511627776\n"));
    }

    fn name() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(1_u8.., 1..300)
    }

    fn kind() -> impl Strategy<Value = MemberKind> {
        prop_oneof![
            Just(MemberKind::File),
            name().prop_map(MemberKind::Symlink),
            name().prop_map(MemberKind::Hardlink),
            (0..4_096_u32, 0..2_097_151_u32)
                .prop_map(|(major, minor)| MemberKind::Char(major, minor)),
            Just(MemberKind::Fifo),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            (kind, path) in (kind(), name()),
            ids in (0..u32::MAX, 0..u32::MAX),
            seconds in -5_i64..1 << 40,
            value in proptest::collection::vec(any::<u8>(), 0..60),
            data in proptest::collection::vec(any::<u8>(), 0..2_000),
        ) {
            // Old archives mean a directory by a slash at the end.
            prop_assume!(path.last() != Some(&b'/'));
            let file = kind == MemberKind::File;
            let data = if file { data } else { Vec::new() };
            let xattrs = vec![(b"user.a".to_vec(), value)];
            let (uid, gid) = ids;
            let size = data.len() as u64;
            let one = Member { uid, gid, mtime: (seconds, 0), size, xattrs, ..member(kind, &path) };
            let two = member(MemberKind::Directory, b"d/");
            let both = [(one, data), (two, Vec::new())];
            prop_assert_eq!(round(&both), both.to_vec());
        }
    }
}
