//! Terminals and the ownership of streams.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Gid, Mode, OFlags, Uid, fchown, fstat, fstatfs, openat};
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use super::WindowSize;
use crate::failure::{Doing, Failure};

/// `DEVPTS_SUPER_MAGIC` of `linux/magic.h`.
const DEVPTS_MAGIC: u32 = 0x1cd1;

/// Both sides of a terminal.
#[derive(Debug)]
pub(crate) struct Terminal {
    /// What the shim keeps.
    pub(crate) controller: OwnedFd,
    /// What the guest's process gets.
    pub(crate) process: OwnedFd,
}

/// A new terminal of the devpts mount `devpts`.
///
/// By descriptors alone: the process's side is reached from the controlling side, never by a path
/// such as `/dev/pts/0` that the guest could have replaced (CVE-2025-52565).
pub(crate) fn open(devpts: BorrowedFd<'_>, size: WindowSize) -> Result<Terminal, Failure> {
    let kind = fstatfs(devpts).doing("look at /dev/pts")?.f_type;
    if u32::try_from(kind).ok() != Some(DEVPTS_MAGIC) {
        return Err(Failure::other("make a terminal: /dev/pts is not a devpts file system"));
    }
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let controller =
        openat(devpts, "ptmx", flags, Mode::empty()).doing("make a terminal: open ptmx")?;
    unlockpt(&controller).doing("make a terminal: unlock")?;
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let process = ioctl_tiocgptpeer(&controller, flags).doing("make a terminal: open its peer")?;
    let size = Winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&controller, size).doing("make a terminal: set its size")?;
    Ok(Terminal { controller, process })
}

/// Makes a pipe or terminal belong to this user, so that `/dev/stdout` can be opened by it.
///
/// Everything else (files, sockets, `/dev/null`) keeps its owner.
pub(crate) fn give(stream: impl AsFd, uid: u32, gid: Option<u32>) -> Result<(), Failure> {
    let stat = fstat(&stream).doing("look at a stream")?;
    let is_terminal = rustix::termios::isatty(&stream);
    let is_pipe = FileType::from_raw_mode(stat.st_mode) == FileType::Fifo;
    if !is_pipe && !is_terminal || (stat.st_uid == uid && gid.is_none()) {
        return Ok(());
    }
    match fchown(&stream, Some(Uid::from_raw(uid)), gid.map(Gid::from_raw)) {
        // The stream is not ours to give, for example a file system that is read-only or that does
        // not know the user: the program still has the open descriptor.
        Ok(())
        | Err(rustix::io::Errno::PERM | rustix::io::Errno::ROFS | rustix::io::Errno::INVAL) => {
            Ok(())
        }
        Err(error) => Err(error).doing(format!("give a stream to user {uid}")),
    }
}

/// [`give`], for pipes only: the launcher's own terminal must stay its own.
pub(super) fn give_pipe(stream: BorrowedFd<'_>, uid: u32, gid: u32) -> Result<(), Failure> {
    let stat = fstat(stream).doing("look at a stream")?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Fifo {
        return Ok(());
    }
    give(stream, uid, Some(gid))
}
