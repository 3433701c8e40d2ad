//! A guest's control group, in every hierarchy the host has.

mod apply;
mod freezer;
mod lifecycle;
mod oom;
mod stats;
mod tree;

pub use apply::Changed;
pub(crate) use apply::write_all;
pub(crate) use lifecycle::Entrance;
pub use oom::OomWatch;
pub use stats::Stats;

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// One guest's directories, what to write when they are made, and what to do with them later.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Cgroup {
    /// One for each hierarchy.
    pub directories: Vec<Directory>,
}

/// The guest's directory in one hierarchy.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Directory {
    /// The mount point of the hierarchy.
    pub mount: PathBuf,
    /// The guest's path below it, without leading slash.
    pub path: PathBuf,
    /// Which generation, and which controllers.
    pub hierarchy: Hierarchy,
    /// What to write into each directory above, from the mount down, unless it says so already.
    pub parents: Vec<Write>,
    /// Files that must not stay empty and take their content from the directory above: the v1
    /// cpuset refuses processes until these are set.
    pub inherit: Vec<String>,
    /// What to write into the guest's own directory before a process is in it.
    pub writes: Vec<Write>,
    /// A device program for v2; empty for none.
    pub devices: Vec<(u8, u8, i16, i32)>,
    /// A file that says how much is in use, and the most it may say before an update.
    pub keep_used: Option<(String, u64)>,
}

/// A cgroup hierarchy.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Hierarchy {
    /// Controllers, or `name=…`, of a v1 hierarchy.
    V1(Vec<String>),
    /// The unified one.
    V2,
}

/// One value for one file of a cgroup directory.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Write {
    /// File name.
    pub file: String,
    /// What to write, without newline.
    pub value: String,
    /// What a missing file means.
    pub missing: Missing,
}

/// What to do when the kernel lacks a file.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Missing {
    /// The limit cannot be kept: fail.
    Fail,
    /// There is nothing to limit.
    Ignore,
    /// Another file does the same.
    Instead(Box<Write>),
}

/// Something about a cgroup could not be done.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// A file would not take its value.
    #[error("write {value:?} to {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The value.
        value: String,
        /// Why.
        source: io::Error,
    },
    /// There is no such file.
    #[error("not supported by this kernel: {} does not exist, so {value:?} cannot be set", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What should have been written.
        value: String,
    },
    /// The file is there, but cannot do this; the weight of a disk whose scheduler weighs nothing.
    #[error("not supported by this kernel: {} does not take {value:?}; hint: weights of disks need the bfq scheduler", path.display())]
    Refused {
        /// The file.
        path: PathBuf,
        /// What should have been written.
        value: String,
    },
    /// An update would take away what is in use.
    #[error("{} says {used}, which is more than the new limit of {max}", path.display())]
    InUse {
        /// The file that says so.
        path: PathBuf,
        /// What is in use.
        used: u64,
        /// The limit.
        max: u64,
    },
    /// A directory or file could not be made, read or removed.
    #[error("{doing} {}: {source}", path.display())]
    Path {
        /// What was attempted.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The time given was not enough.
    #[error("{doing} {}: not done in time", path.display())]
    Late {
        /// What was attempted.
        doing: &'static str,
        /// On what.
        path: PathBuf,
    },
    /// The host has no hierarchy for it.
    #[error("this host's cgroups have no {0} controller")]
    NoController(&'static str),
}

impl Directory {
    /// The directory itself.
    pub fn full(&self) -> PathBuf {
        self.mount.join(&self.path)
    }

    /// Whether `controller` is one of a v1 hierarchy's.
    pub fn has(&self, controller: &str) -> bool {
        match &self.hierarchy {
            Hierarchy::V1(names) => names.iter().any(|name| name == controller),
            Hierarchy::V2 => false,
        }
    }
}

impl Cgroup {
    /// The unified hierarchy's directory, on v2 and on hybrid hosts.
    pub fn unified(&self) -> Option<&Directory> {
        self.directories.iter().find(|directory| directory.hierarchy == Hierarchy::V2)
    }

    /// The directory of a v1 controller.
    pub fn v1(&self, controller: &str) -> Option<&Directory> {
        self.directories.iter().find(|directory| directory.has(controller))
    }
}
