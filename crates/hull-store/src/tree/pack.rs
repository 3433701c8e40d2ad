//! A tree into an archive, with the owners that its guest sees.
//!
//! The tree may be in use by somebody hostile. Nothing but a regular file is ever opened for reading,
//! and that only after it is held and looked at, so that a FIFO or a device that takes a file's
//! place neither blocks nor is touched.

use std::collections::HashMap;
use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    CWD, FileType, Mode, OFlags, Stat, fstat, fstatfs, major, minor, openat, readlinkat,
};
use rustix::io::Errno;

use super::attributes;
use super::ids::Ids;
use super::walk::{Visit, WalkError, Way, walk_by};
use crate::disk::DiskError;
use crate::tarball::{Member, MemberKind, Writer};

/// Writes files of trees into one archive.
pub(crate) struct Packer<W> {
    archive: Writer<W>,
    ids: Ids,
    /// Files with several names, by their inode: the first name in the archive.
    links: HashMap<(u64, u64), Vec<u8>>,
}

/// Writes the tree `root` as an archive whose names begin with `name`, with all that is mounted in it
/// except the kernel's own file systems, which are left empty. `check` is asked at each file whether
/// to go on.
pub fn pack_tree(
    root: OwnedFd,
    name: &[u8],
    ids: &Ids,
    out: impl Write,
    check: &mut dyn FnMut() -> io::Result<()>,
) -> Result<(), DiskError> {
    let failed = |e: WalkError| DiskError::new("archive", e.path, e.source);
    let own = |source| failed(WalkError { path: std::path::PathBuf::new(), source });
    let mut packer = Packer::new(out, ids.clone());
    let top = directory_name(name);
    packer.directory(root.as_fd(), &top).map_err(own)?;
    let mut tree = Tree { packer, path: top, ends: Vec::new(), check };
    walk_by(Way::AllMounts, root, &mut tree).map_err(failed)?;
    tree.packer.finish().map_err(own)
}

/// Writes the one file that `file` refers to (opened with `O_PATH`) as an archive.
pub fn pack_file(
    file: BorrowedFd<'_>,
    name: &[u8],
    ids: &Ids,
    out: impl Write,
) -> Result<(), DiskError> {
    let mut packer = Packer::new(out, ids.clone());
    let packed = packer.held(file, name).and_then(|()| packer.finish());
    packed.map_err(|e| DiskError::new("archive", String::from_utf8_lossy(name).as_ref(), e))
}

/// Whether `directory` is of a file system that is no storage but a view of the kernel: endless
/// files, files that do something when read, links that lead anywhere.
pub fn is_kernels(directory: BorrowedFd<'_>) -> io::Result<bool> {
    // linux/magic.h
    const KERNELS: [u32; 16] = [
        0x9fa0,      // proc
        0x6265_6572, // sysfs
        0x0027_e0eb, // cgroup
        0x6367_7270, // cgroup2
        0x1cd1,      // devpts
        0x1980_0202, // mqueue
        0x7363_6673, // securityfs
        0x6462_6720, // debugfs
        0x7472_6163, // tracefs
        0xcafe_4a11, // bpf
        0x6265_6570, // configfs
        0xde5e_81e4, // efivarfs
        0xf97c_ff8c, // selinux
        0x4249_4e4d, // binfmt_misc
        0x6e73_6673, // nsfs
        0x0187,      // autofs: looking into it mounts things
    ];
    let kind = fstatfs(directory)?.f_type;
    // The type's width differs between architectures; the numbers are 32 bits.
    Ok(KERNELS.iter().any(|known| i64::from(*known) == kind & 0xffff_ffff))
}

fn directory_name(name: &[u8]) -> Vec<u8> {
    let mut name = name.to_vec();
    if name.last() != Some(&b'/') {
        name.push(b'/');
    }
    name
}

/// One tree on its way into an archive.
struct Tree<'a, W> {
    packer: Packer<W>,
    /// The name of the directory the walk is in, with a slash at its end.
    path: Vec<u8>,
    /// How long the names of the directories above are.
    ends: Vec<usize>,
    check: &'a mut dyn FnMut() -> io::Result<()>,
}

impl<W: Write> Visit for Tree<'_, W> {
    fn file(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> io::Result<()> {
        (self.check)()?;
        let path = [self.path.as_slice(), name.to_bytes()].concat();
        match self.packer.entry(dir, name, &path) {
            // Removed since it was listed: the tree is in use.
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }

    fn enter(&mut self, name: &CStr, dir: BorrowedFd<'_>) -> io::Result<()> {
        self.ends.push(self.path.len());
        self.path.extend_from_slice(name.to_bytes());
        self.path.push(b'/');
        let path = std::mem::take(&mut self.path);
        let packed = self.packer.directory(dir, &path);
        self.path = path;
        packed
    }

    fn descends(&mut self, dir: BorrowedFd<'_>) -> io::Result<bool> {
        (self.check)()?;
        Ok(!is_kernels(dir)?)
    }

    fn leave(&mut self, _parent: BorrowedFd<'_>, _name: &CStr) -> io::Result<()> {
        self.path.truncate(self.ends.pop().unwrap_or(0));
        Ok(())
    }

    fn failed(&mut self, error: WalkError) -> Result<(), WalkError> {
        // A directory that was removed since it was listed was not entered either.
        if error.source.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
    }
}

impl<W: Write> Packer<W> {
    pub(crate) fn new(out: W, ids: Ids) -> Self {
        Self { archive: Writer::new(out), ids, links: HashMap::new() }
    }

    /// The open directory `dir`, as `path`, which ends with a slash.
    pub(crate) fn directory(&mut self, dir: BorrowedFd<'_>, path: &[u8]) -> io::Result<()> {
        let mut member = self.member(&fstat(dir)?, MemberKind::Directory, path);
        member.xattrs = attributes::read(dir, &self.ids)?;
        self.archive.member(&member)
    }

    /// What `dir` has at `name` and is no directory. Sockets are left out: nobody is behind one that
    /// was copied.
    pub(crate) fn entry(
        &mut self,
        dir: BorrowedFd<'_>,
        name: &CStr,
        path: &[u8],
    ) -> io::Result<()> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        self.held(openat(dir, name, flags, Mode::empty())?.as_fd(), path)
    }

    /// That `name` of the layers below is gone.
    pub(crate) fn gone(&mut self, directory: &[u8], name: &[u8]) -> io::Result<()> {
        let path = [directory, b".wh.", name].concat();
        self.archive.file(&plain(path), &mut io::empty())
    }

    pub(crate) fn finish(self) -> io::Result<()> {
        self.archive.finish().map(drop)
    }

    fn held(&mut self, file: BorrowedFd<'_>, path: &[u8]) -> io::Result<()> {
        let stat = fstat(file)?;
        let (high, low) = (major(stat.st_rdev), minor(stat.st_rdev));
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => MemberKind::File,
            FileType::Symlink => {
                MemberKind::Symlink(readlinkat(file, c"", Vec::new())?.into_bytes())
            }
            FileType::CharacterDevice => MemberKind::Char(high, low),
            FileType::BlockDevice => MemberKind::Block(high, low),
            FileType::Fifo => MemberKind::Fifo,
            // A directory that took a file's place is as good as one that came after.
            FileType::Socket | FileType::Directory | FileType::Unknown => return Ok(()),
        };
        let mut member = self.member(&stat, kind, path);
        if stat.st_nlink > 1 {
            let inode = (stat.st_dev, stat.st_ino);
            if let Some(first) = self.links.get(&inode) {
                member.kind = MemberKind::Hardlink(first.clone());
                return self.archive.member(&member);
            }
            self.links.insert(inode, path.to_vec());
        }
        if member.kind != MemberKind::File {
            return self.archive.member(&member);
        }
        let file = read_again(file)?;
        member.size = u64::try_from(fstat(&file)?.st_size).unwrap_or(0);
        member.xattrs = attributes::read(file.as_fd(), &self.ids)?;
        // No more than it was long: it may be a log that grows.
        self.archive.file(&member, &mut Read::take(file, member.size))
    }

    fn member(&self, stat: &Stat, kind: MemberKind, path: &[u8]) -> Member {
        Member {
            kind,
            mode: stat.st_mode & 0o7777,
            uid: self.ids.users.inside(stat.st_uid),
            gid: self.ids.groups.inside(stat.st_gid),
            // Whole seconds, as every builder of images writes them.
            mtime: (stat.st_mtime, 0),
            ..plain(path.to_vec())
        }
    }
}

fn plain(path: Vec<u8>) -> Member {
    let (uid, gid, mode, mtime, size, offset) = (0, 0, 0, (0, 0), 0, 0);
    let (kind, xattrs, sparse) = (MemberKind::File, Vec::new(), None);
    Member { path, kind, mode, uid, gid, mtime, size, xattrs, sparse, offset }
}

/// The regular file that `held` refers to, for reading. Does not wait, not even for one who holds a
/// lease on it (`F_SETLEASE`).
fn read_again(held: BorrowedFd<'_>) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let link = format!("/proc/self/fd/{}", held.as_raw_fd());
    match openat(CWD, link, flags, Mode::empty()) {
        Ok(file) => Ok(file.into()),
        Err(Errno::AGAIN) => Err(io::Error::other("a process holds a lease on the file")),
        Err(e) => Err(e.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tarball::{Limits, Reader};
    use std::os::unix::fs::symlink;

    fn packed(dir: &std::path::Path, name: &[u8]) -> Vec<(String, MemberKind, String)> {
        let mut bytes = Vec::new();
        let root = std::fs::File::open(dir).unwrap().into();
        let ids = Ids::default();
        pack_tree(root, name, &ids, &mut bytes, &mut || Ok(())).unwrap();
        let mut reader = Reader::new(bytes.as_slice(), Limits::default());
        let mut all = Vec::new();
        while let Some(member) = reader.next_member().unwrap() {
            let mut text = String::new();
            reader.read_to_string(&mut text).unwrap();
            all.push((String::from_utf8(member.path).unwrap(), member.kind, text));
        }
        all.sort_by(|one, other| one.0.cmp(&other.0));
        all
    }

    #[test]
    fn a_tree_with_everything_that_can_be_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::create_dir_all(at("a/b")).unwrap();
        std::fs::write(at("a/f"), "text").unwrap();
        std::fs::hard_link(at("a/f"), at("a/g")).unwrap();
        symlink("/etc/passwd", at("a/b/l")).unwrap();
        rustix::fs::mknodat(CWD, at("pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        let all = packed(dir.path(), b"top");
        let names: Vec<_> = all.iter().map(|(name, ..)| name.as_str()).collect();
        assert_eq!(
            names,
            ["top/", "top/a/", "top/a/b/", "top/a/b/l", "top/a/f", "top/a/g", "top/pipe"]
        );
        assert_eq!(all[3].1, MemberKind::Symlink(b"/etc/passwd".to_vec()));
        let links = (&all[4], &all[5]);
        let second = |one: &(String, MemberKind, String)| matches!(one.1, MemberKind::Hardlink(_));
        assert!(second(links.0) != second(links.1) && links.0.2.len() + links.1.2.len() == 4);
        assert_eq!(all[6].1, MemberKind::Fifo);
        // As Docker names what is in the root.
        assert_eq!(packed(&at("a/b"), b"/")[0].0, "/");
        assert_eq!(packed(&at("a/b"), b"/")[1].0, "/l");
    }

    #[test]
    fn the_kernels_own_files_are_left_out() {
        let root = std::fs::File::open("/proc").unwrap();
        assert!(is_kernels(root.as_fd()).unwrap());
        assert!(!is_kernels(tempfile::tempfile().unwrap().as_fd()).unwrap());
        assert_eq!(packed(std::path::Path::new("/proc"), b"proc").len(), 1);
    }
}
