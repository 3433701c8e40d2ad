//! One member of an archive.

/// What an archive says of one file.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Member {
    /// Its name as written, neither checked nor cleaned.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: MemberKind,
    /// Permission bits with setuid, setgid and sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Seconds since 1970, and nanoseconds.
    pub mtime: (i64, u32),
    /// Length of the file that comes of it.
    pub size: u64,
    /// Extended attributes, as written.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Where the data goes, as offset and length, if the file has holes. In order, not
    /// overlapping, within `size`.
    pub sparse: Option<Vec<(u64, u64)>>,
    /// Where its header begins in the plain archive.
    pub offset: u64,
}

/// What a member is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum MemberKind {
    /// A file with contents.
    File,
    /// A directory.
    Directory,
    /// A symbolic link to this.
    Symlink(Vec<u8>),
    /// Another name of this earlier member.
    Hardlink(Vec<u8>),
    /// A character device.
    Char(u32, u32),
    /// A block device.
    Block(u32, u32),
    /// A named pipe.
    Fifo,
}
