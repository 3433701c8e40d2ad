//! Namespaces: which there are, leaving and joining them.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// A set of kinds of namespace.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Kinds(u64);

impl Kinds {
    /// None.
    pub const NONE: Self = Self(0);
    /// User and group ids, capabilities.
    pub const USER: Self = Self(0x1000_0000);
    /// Processes.
    pub const PID: Self = Self(0x2000_0000);
    /// Mounts.
    pub const MOUNT: Self = Self(0x0002_0000);
    /// Host name.
    pub const UTS: Self = Self(0x0400_0000);
    /// System V IPC, POSIX message queues.
    pub const IPC: Self = Self(0x0800_0000);
    /// Network.
    pub const NET: Self = Self(0x4000_0000);
    /// View of the cgroup tree.
    pub const CGROUP: Self = Self(0x0200_0000);
    /// Clocks.
    pub const TIME: Self = Self(0x80);

    /// Both sets together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` is in this set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The `CLONE_NEW*` bits.
    pub const fn bits(self) -> u64 {
        self.0
    }
}

/// Joins the namespaces `kinds` of the process a pidfd refers to (Linux 5.8), or the single
/// namespace of that kind which a descriptor of `/proc/PID/ns` refers to.
///
/// For [`Kinds::PID`] only children made later are moved.
pub fn join(target: BorrowedFd<'_>, kinds: Kinds) -> io::Result<()> {
    // SAFETY: setns takes numbers and touches no memory of ours.
    let returned = unsafe { libc::syscall(libc::SYS_setns, target.as_raw_fd(), kinds.bits()) };
    crate::checked(returned).map(drop)
}

/// Leaves the namespaces `kinds` for new ones.
pub fn leave(kinds: Kinds) -> io::Result<()> {
    // SAFETY: only CLONE_NEW* bits can be in `kinds`, none of which affects memory or descriptors.
    let returned = unsafe { libc::syscall(libc::SYS_unshare, kinds.bits()) };
    crate::checked(returned).map(drop)
}
