//! Trees on their way out: renamed at once, removed when there is time, at the latest at the next
//! start.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::remove::remove;
use crate::disk::{At, DiskError, make_dir, names, unique_name};

/// A directory on the same file system whose contents are removed by a thread of their own.
#[derive(Clone)]
pub struct Trash {
    shared: Arc<Shared>,
}

struct Shared {
    path: PathBuf,
    /// Whether the thread runs.
    busy: Mutex<bool>,
    idle: Condvar,
}

impl Trash {
    /// Opens the directory `path`, and begins to remove what an earlier process left there.
    pub(crate) fn open(path: PathBuf) -> Result<Self, DiskError> {
        make_dir(&path, 0o700)?;
        let shared = Shared { path, busy: Mutex::new(false), idle: Condvar::new() };
        let trash = Self { shared: Arc::new(shared) };
        trash.empty();
        Ok(trash)
    }

    /// Makes `path` vanish at once; a missing one has vanished already. Its contents go later.
    pub fn discard(&self, path: &Path) -> Result<(), DiskError> {
        let aside = self.shared.path.join(unique_name("gone"));
        match rustix::fs::rename(path, &aside) {
            Ok(()) => {
                self.empty();
                Ok(())
            }
            Err(rustix::io::Errno::NOENT) => Ok(()),
            // Somebody mounted another file system there: slower, and not at once.
            Err(rustix::io::Errno::XDEV) => remove(path),
            // An immutable directory cannot be renamed, but `remove` can deal with it.
            Err(rustix::io::Errno::PERM) => remove(path),
            Err(e) => Err(e).at("move to the trash", path),
        }
    }

    /// Waits until everything discarded so far is removed, or could not be.
    pub fn wait(&self) {
        let mut busy = self.shared.busy.lock().unwrap_or_else(PoisonError::into_inner);
        while *busy {
            busy = self.shared.idle.wait(busy).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn empty(&self) {
        let mut busy = self.shared.busy.lock().unwrap_or_else(PoisonError::into_inner);
        if *busy {
            return;
        }
        let shared = Arc::clone(&self.shared);
        let thread = std::thread::Builder::new().name("hull-trash".into());
        match thread.spawn(move || shared.run()) {
            Ok(_runs_until_empty) => *busy = true,
            Err(e) => tracing::warn!(error = %e, "cannot empty the trash before the next start"),
        }
    }
}

impl Shared {
    fn run(&self) {
        let mut stuck = Vec::new();
        loop {
            let left = match names(&self.path) {
                Ok(all) => all.into_iter().filter(|name| !stuck.contains(name)).collect(),
                Err(e) => {
                    tracing::warn!(error = %e, "cannot list the trash");
                    Vec::new()
                }
            };
            if left.is_empty() {
                // Under the lock: whoever discards after this look starts another thread.
                let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
                if names(&self.path).map_or(true, |all| all.iter().all(|n| stuck.contains(n))) {
                    *busy = false;
                    self.idle.notify_all();
                    return;
                }
                continue;
            }
            for name in left {
                if let Err(e) = remove(&self.path.join(&name)) {
                    tracing::warn!(error = %e, "cannot remove from the trash, trying at next start");
                    stuck.push(name);
                }
            }
        }
    }
}
