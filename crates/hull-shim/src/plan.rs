//! The file a shim is started with.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use hull_container::plan::LaunchPlan;
use hull_sys::lock::Hold;
use rustix::fs::FlockOperation;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::protocol::{Streams, VERSION};

/// The name of the plan in the guest's run directory.
pub const PLAN_FILE: &str = "plan";

/// The name of the socket in the guest's run directory.
pub const SOCKET_FILE: &str = "shim.sock";

/// Instead of a run directory: only be there, until standard input ends.
pub const HOLD: &str = "--hold";

/// What a shim writes to its standard output as soon as its socket can be connected to.
pub const LISTENING: &[u8] = b"listening\n";

/// All a shim must know.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct ShimPlan {
    /// The guest's first process and its world.
    pub launch: LaunchPlan,
    /// How the first process is connected.
    pub streams: Streams,
    /// Where its output is kept; `None` keeps nothing.
    pub log: Option<LogPlan>,
    /// Where its end is recorded.
    pub exit_file: PathBuf,
    /// The host ids it uses, which nobody else may get while this shim lives.
    pub ids: Option<IdLock>,
}

/// Host ids, as a range of offsets of a file to be locked ([`hull_sys::lock`]).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct IdLock {
    /// The file.
    pub path: PathBuf,
    /// The first id.
    pub start: u64,
    /// How many.
    pub length: u64,
}

impl IdLock {
    /// Uses the ids beside the engine, and the other shims of guests that share them, until what this
    /// gives is dropped.
    ///
    /// Fails if an engine is just taking them for another guest: then this one's engine is gone, and
    /// its guest can never start.
    pub fn hold(&self) -> io::Result<fs::File> {
        let file = fs::File::open(&self.path)?;
        if hull_sys::lock::hold(file.as_fd(), self.start, self.length, Hold::Shared)? {
            return Ok(file);
        }
        let last = self.start + self.length.saturating_sub(1);
        Err(io::Error::other(format!("host ids {} - {last} are another guest's", self.start)))
    }
}

/// A log file in Docker's `json-file` format.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct LogPlan {
    /// The current file; older ones are beside it as `.1`, `.2`, ….
    pub path: PathBuf,
    /// A file that reached this many bytes is put aside; `None` never.
    pub size_max: Option<u64>,
    /// Files kept, the current one included. At least 1.
    pub files_max: u32,
}

/// Opens the plan and locks it, to be a shim's standard input: the lock is then the shim's, from
/// before it executes until it is gone.
pub fn hold(run_dir: &Path) -> io::Result<fs::File> {
    let plan = fs::File::open(run_dir.join(PLAN_FILE))?;
    rustix::fs::flock(&plan, FlockOperation::NonBlockingLockExclusive)?;
    Ok(plan)
}

/// Whether a shim of this run directory lives, also one that does not listen yet or any more.
pub fn is_held(run_dir: &Path) -> io::Result<bool> {
    let plan = match fs::File::open(run_dir.join(PLAN_FILE)) {
        // The plan comes before the shim.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        opened => opened?,
    };
    match rustix::fs::flock(&plan, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(false),
        Err(Errno::WOULDBLOCK) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// The plan file cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// Reading or writing failed.
    #[error("{doing} {}", path.display())]
    File {
        /// `read` or `write`.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The content is not a plan.
    #[error("plan {} cannot be read", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// Why.
        source: postcard::Error,
    },
    /// The plan was written by another version.
    #[error("plan {} has version {found}, this shim reads {VERSION}", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// What it says.
        found: u32,
    },
}

impl ShimPlan {
    /// Writes the plan into a guest's run directory, readable by its owner only: it holds the
    /// guest's environment, which may hold passwords.
    pub fn write(&self, run_dir: &Path) -> Result<(), PlanError> {
        use std::io::Write;
        use std::os::unix::fs::OpenOptionsExt;
        let path = run_dir.join(PLAN_FILE);
        let bytes = postcard::to_extend(self, VERSION.to_be_bytes().to_vec())
            .map_err(|source| PlanError::Content { path: path.clone(), source })?;
        fs::OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(&bytes))
            .map_err(|source| PlanError::File { doing: "write", path, source })
    }

    /// Reads the plan from a guest's run directory.
    pub fn read(run_dir: &Path) -> Result<Self, PlanError> {
        let path = run_dir.join(PLAN_FILE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(source) => return Err(PlanError::File { doing: "read", path, source }),
        };
        let (version, content) = bytes.split_first_chunk().unwrap_or((&[0; 4], &[]));
        let found = u32::from_be_bytes(*version);
        if found != VERSION {
            return Err(PlanError::Version { path, found });
        }
        postcard::from_bytes(content).map_err(|source| PlanError::Content { path, source })
    }
}
