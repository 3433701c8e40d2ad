//! Attributes of whole mounts, detached or not.

use std::ffi::CStr;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::CWD;
use rustix::mount::{OpenTreeFlags, open_tree};

/// `MOUNT_ATTR_*` of `linux/mount.h`.
pub mod attribute {
    /// No writing.
    pub const READ_ONLY: u64 = 0x1;
    /// Set-user-id bits and file capabilities mean nothing.
    pub const NO_SUID: u64 = 0x2;
    /// Device nodes cannot be opened.
    pub const NO_DEV: u64 = 0x4;
    /// Nothing can be executed.
    pub const NO_EXEC: u64 = 0x8;
    /// Every access updates the access time.
    pub const STRICT_ATIME: u64 = 0x20;
    /// No access updates the access time.
    pub const NO_ATIME: u64 = 0x10;
    /// All bits of the access time setting, to be cleared before one is set.
    pub const ATIME: u64 = 0x70;
    /// Access to directories does not update their access time.
    pub const NO_DIR_ATIME: u64 = 0x80;
    /// Symbolic links are not followed.
    pub const NO_SYMLINK_FOLLOW: u64 = 0x0020_0000;
}

/// `MOUNT_ATTR_IDMAP` of `linux/mount.h`.
const IDMAP: u64 = 0x0010_0000;

/// Whether a change reaches the mounts below the given one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Depth {
    /// This mount alone.
    One,
    /// It and all below it.
    Tree,
}

/// How mounts and unmounts travel between copies of a mount; the kernel's `MS_*` numbers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Propagation {
    /// Neither way.
    Private,
    /// From the original here.
    Slave,
    /// Both ways.
    Shared,
    /// Neither way, and it cannot be bind-mounted.
    Unbindable,
}

/// Sets and clears attributes (see [`attribute`]) of the mount `mount` refers to.
pub fn set_attributes(mount: BorrowedFd<'_>, depth: Depth, set: u64, clear: u64) -> io::Result<()> {
    setattr(mount, depth, Attr { set, clear, propagation: 0, user_namespace: 0 })
}

/// Changes the propagation of the mount `mount` refers to.
pub fn set_propagation(
    mount: BorrowedFd<'_>,
    depth: Depth,
    propagation: Propagation,
) -> io::Result<()> {
    let propagation = match propagation {
        Propagation::Private => libc::MS_PRIVATE,
        Propagation::Slave => libc::MS_SLAVE,
        Propagation::Shared => libc::MS_SHARED,
        Propagation::Unbindable => libc::MS_UNBINDABLE,
    };
    setattr(mount, depth, Attr { set: 0, clear: 0, propagation, user_namespace: 0 })
}

/// Shows the owners of the files below a *detached* mount through `user_namespace`'s id map.
pub fn map_ids(
    mount: BorrowedFd<'_>,
    depth: Depth,
    user_namespace: BorrowedFd<'_>,
) -> io::Result<()> {
    let user_namespace = u64::from(user_namespace.as_raw_fd().unsigned_abs());
    setattr(mount, depth, Attr { set: IDMAP, clear: 0, propagation: 0, user_namespace })
}

/// The program at `path` on a read-only mount of its own, which exists nowhere but in what is given.
///
/// To be executed through `/proc/self/fd`. A guest that runs in the host's user namespace and gets
/// hold of `/proc/PID/exe` of a process made so cannot write to it, though it is root and though the
/// file could be written elsewhere (CVE-2019-5736). Unlike a copy in memory
/// ([`crate::memfd::sealed_program`]) it shares the page cache with every other process of the file.
pub fn read_only_program(path: &Path) -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let program = open_tree(CWD, path, flags)?;
    set_attributes(program.as_fd(), Depth::One, attribute::READ_ONLY | attribute::NO_SUID, 0)?;
    set_propagation(program.as_fd(), Depth::One, Propagation::Private)?;
    Ok(program)
}

/// `struct mount_attr` of `linux/mount.h`.
#[repr(C)]
struct Attr {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

fn setattr(mount: BorrowedFd<'_>, depth: Depth, attr: Attr) -> io::Result<()> {
    const EMPTY: &CStr = c"";
    let recursive = if depth == Depth::Tree { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path and `attr` outlive the call and the size given is that of `attr`.
    let returned = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            EMPTY.as_ptr(),
            libc::AT_EMPTY_PATH | recursive,
            &raw const attr,
            size_of::<Attr>(),
        )
    };
    crate::checked(returned).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_made_read_only_cannot_be_written_through_its_process() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: not root");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sleep");
        std::fs::copy("/bin/sleep", &path).unwrap();
        let program = read_only_program(&path).unwrap();
        let link = format!("/proc/self/fd/{}", program.as_raw_fd());
        let mut child = crate::spawn::command(link).arg("30").spawn().unwrap();
        let exe = format!("/proc/{}/exe", child.id());
        let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::CLOEXEC;
        let exe = rustix::fs::open(exe, flags, rustix::fs::Mode::empty()).unwrap();
        drop(program);
        child.kill().unwrap();
        child.wait().unwrap();
        // Nobody runs it any more, so "text file busy" is not what keeps it safe.
        let write = |path: &Path| std::fs::OpenOptions::new().write(true).open(path);
        let error = write(Path::new(&format!("/proc/self/fd/{}", exe.as_raw_fd()))).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EROFS));
        assert!(write(&path).is_ok());
    }
}
