//! The daemon's directories: made, checked, and held by one daemon at a time.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// A directory that no other daemon uses as long as this exists. The kernel lets go of it with the
/// process, however it ends.
#[derive(Debug)]
pub(crate) struct Root {
    _locked: File,
}

/// Why a directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RootError {
    /// A step failed.
    #[error("use {} as the {what}: {doing}", path.display())]
    File {
        /// Which root.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// Which step.
        doing: &'static str,
        /// Why.
        source: io::Error,
    },
    /// Two daemons would destroy each other's records.
    #[error("use {} as the {what}: another daemon is using it", path.display())]
    Taken {
        /// Which root.
        what: &'static str,
        /// Where.
        path: PathBuf,
    },
    /// Somebody else could replace what we keep there.
    #[error(
        "use {} as the {what}: its owner is user {owner} and its mode {mode:04o}; hint: it must be \
         ours, and nobody else may write to it", path.display()
    )]
    Open {
        /// Which root.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// Its mode.
        mode: u32,
    },
}

/// Who may pass through a root to what has a mode of its own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Passage {
    /// Nobody.
    Closed,
    /// Everybody, without seeing what is there: members of the group reach the socket so.
    Open,
}

impl Root {
    /// Makes the directory if need be, and takes it.
    ///
    /// # Errors
    /// If it is in use, or could be changed by others.
    pub(crate) fn take(
        what: &'static str,
        path: &Path,
        passage: Passage,
    ) -> Result<Self, RootError> {
        let failed = |doing| {
            move |source: io::Error| RootError::File { what, path: path.to_owned(), doing, source }
        };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(failed("make it"))?;
        let directory = File::open(path).map_err(failed("open it"))?;
        let status = directory.metadata().map_err(failed("look at it"))?;
        let (owner, mode) = (status.uid(), status.mode() & 0o7777);
        if owner != rustix::process::geteuid().as_raw() || mode & 0o022 != 0 {
            return Err(RootError::Open { what, path: path.to_owned(), owner, mode });
        }
        match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                return Err(RootError::Taken { what, path: path.to_owned() });
            }
            Err(errno) => return Err(failed("lock it")(errno.into())),
        }
        let mode = match passage {
            Passage::Closed => 0o700,
            Passage::Open => 0o711,
        };
        directory
            .set_permissions(fs::Permissions::from_mode(mode))
            .map_err(failed("set its mode"))?;
        Ok(Self { _locked: directory })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_daemon_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/root");
        let first = Root::take("data root", &path, Passage::Closed).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        let second = Root::take("data root", &path, Passage::Closed).unwrap_err();
        assert!(second.to_string().ends_with("another daemon is using it"), "{second}");
        drop(first);
        Root::take("data root", &path, Passage::Open).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o711);
    }

    #[test]
    fn directories_of_others_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let refused = Root::take("exec root", dir.path(), Passage::Closed);
        assert!(matches!(refused, Err(RootError::Open { mode: 0o777, .. })));
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        // Giving a directory away needs root, which tests of hull have.
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(dir.path(), Some(12_345), None).unwrap();
            let refused = Root::take("exec root", dir.path(), Passage::Closed);
            assert!(matches!(refused, Err(RootError::Open { owner: 12_345, .. })));
        }
    }
}
