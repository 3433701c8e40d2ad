//! A guest's files: its root, what is mounted below, its device nodes.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::IdMap;

/// The guest's root file system.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Root {
    /// Where it comes from.
    pub files: Rootfs,
    /// Whether it can be written (mounts below it are their own matter).
    pub read_only: bool,
    /// How owners on disk appear. A refusal is an error unless it says otherwise.
    pub owners: Owners,
    /// What becomes of mounts made on either side, set when all is mounted, in this order; empty for
    /// [`Propagation::Private`]. Shared means with namespaces made inside: nothing that a guest
    /// mounts in its root ever appears on the host.
    pub propagation: Vec<(Propagation, Reach)>,
}

/// Where a root file system comes from. All paths are the host's.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub enum Rootfs {
    /// Layers on top of each other.
    Overlay {
        /// Read-only layers, the uppermost first; at least one.
        lowers: Vec<PathBuf>,
        /// What the guest writes.
        upper: PathBuf,
        /// Overlayfs's own scratch directory, beside `upper` in the same directory.
        work: PathBuf,
    },
    /// A directory as it is, with what is mounted below it.
    Path(PathBuf),
}

impl Default for Rootfs {
    fn default() -> Self {
        Self::Path(PathBuf::new())
    }
}

/// One mount below the root.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Mount {
    /// Absolute path inside; made if missing.
    pub target: String,
    /// What appears there.
    pub source: Source,
    /// Attributes of the mount itself.
    pub attributes: Attributes,
    /// Attributes of it and of all that is mounted below it (`rro`, `rnosuid`, …), set before
    /// `attributes`.
    pub recursive: Attributes,
    /// Applied in this order. Empty: a bind mount is a slave of what it shows, anything else private.
    pub propagation: Vec<(Propagation, Reach)>,
    /// How owners on disk appear; bind mounts only.
    pub owners: Owners,
    /// Whether symbolic links in the target count.
    pub links: Links,
    /// Fill it with a copy of what it covers, with owners and modes; for a writable tmpfs
    /// (`tmpcopyup`).
    pub copy_up: bool,
}

/// What a mount shows.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Source {
    /// A file or directory of the host.
    Bind {
        /// Its path there.
        path: PathBuf,
        /// With what is mounted below it.
        recursive: bool,
    },
    /// A directory as another guest sees it, such as the `/dev/shm` of one whose IPC namespace is
    /// shared. Must be the root of a tmpfs there.
    Foreign {
        /// That guest's mount namespace, a file of `/proc/PID/ns`.
        namespace: PathBuf,
        /// Absolute path inside; symbolic links on the way are refused.
        path: String,
    },
    /// A new instance of a file system, made inside the guest's namespaces.
    New {
        /// Its type (`proc`, `tmpfs`, …).
        filesystem: String,
        /// Its options; an empty value is a flag. A device or the like is the option `source`; its
        /// path is the host's.
        options: Vec<(String, String)>,
    },
    /// A small tmpfs with [`super::LaunchPlan::devices`] and the usual symbolic links.
    Devices {
        /// Options of the tmpfs, in place of Docker's `mode=755,size=65536k`.
        options: Vec<(String, String)>,
    },
    /// A tmpfs with one directory for each cgroup v1 hierarchy.
    CgroupV1 {
        /// Directory names and what they show.
        hierarchies: Vec<(String, CgroupView)>,
        /// Symbolic links (`cpu` to `cpu,cpuacct`).
        links: Vec<(String, String)>,
    },
    /// What is mounted at the target already: only attributes change, and these options of its file
    /// system (`remount`); an empty value is a flag.
    Mounted {
        /// The options.
        options: Vec<(String, String)>,
    },
}

impl Default for Source {
    fn default() -> Self {
        Self::New { filesystem: "tmpfs".to_owned(), options: Vec::new() }
    }
}

/// What a directory of cgroup v1 shows.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum CgroupView {
    /// The hierarchy with these mount options (`memory`, or `none` and `name=systemd`), as the cgroup
    /// namespace shows it.
    Hierarchy(Vec<(String, String)>),
    /// This directory of the host: the guest's own, where it has no cgroup namespace.
    Directory(PathBuf),
}

/// [`hull_sys::mount::attribute`] bits to change.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Attributes {
    /// To set.
    pub set: u64,
    /// To clear, before others are set. An access time setting is cleared when another is set.
    pub clear: u64,
}

impl Attributes {
    /// Sets these bits and clears none.
    pub const fn set(set: u64) -> Self {
        Self { set, clear: 0 }
    }
}

/// Mount propagation, as in `mount_namespaces(7)`.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub enum Propagation {
    /// Neither way.
    #[default]
    Private,
    /// From the host to the guest.
    Slave,
    /// Both ways.
    Shared,
    /// Neither way, and it cannot be bind-mounted.
    Unbindable,
}

/// Which mounts a change is for.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub enum Reach {
    /// The mount itself.
    One,
    /// It and all below it.
    #[default]
    Tree,
}

/// How the owners of files on disk appear to the guest.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Owners {
    /// As the host's ids: in a user namespace, what is not mapped there belongs to nobody.
    Disk,
    /// The same numbers inside as on disk, through the guest's user namespace; in the host's user
    /// namespace they are that anyway.
    Guest {
        /// Which mounts.
        reach: Reach,
        /// What to do where the file system cannot.
        refusal: Refusal,
    },
    /// Through these maps.
    Mapped {
        /// Users.
        uids: Vec<IdMap>,
        /// Groups.
        gids: Vec<IdMap>,
        /// Which mounts.
        reach: Reach,
    },
}

impl Default for Owners {
    fn default() -> Self {
        Self::Guest { reach: Reach::Tree, refusal: Refusal::Fail }
    }
}

/// What to do about a file system that cannot map owners.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub enum Refusal {
    /// Refuse the guest.
    #[default]
    Fail,
    /// Map what can be mapped, let the rest belong to nobody, and say so
    /// ([`crate::launch::Assembled::warnings`]).
    Warn,
}

/// Whether symbolic links in a target count. None ever leads out of the guest's root.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub enum Links {
    /// Followed for bind mounts and tmpfs, for there they say where an image has things; refused for
    /// the kernel's own file systems, where they can only be an attack.
    #[default]
    Fitting,
    /// The last part of the target is not followed: the mount covers the link itself (`dest-nofollow`).
    LastCovered,
}

/// A device node or a named pipe.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Device {
    /// Absolute path inside.
    pub path: String,
    /// What it is.
    pub kind: NodeKind,
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
    /// Permission bits.
    pub mode: u32,
    /// Owner inside.
    pub uid: u32,
    /// Group inside.
    pub gid: u32,
}

/// Kinds of nodes.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum NodeKind {
    /// Character device.
    Character,
    /// Block device.
    Block,
    /// Named pipe; the numbers mean nothing.
    Fifo,
}
