//! Where things are.

use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use hull_model::id::GuestId;
use hull_shim::exit::ExitRecord;

/// The two roots, and what is where below them.
#[derive(Clone, Debug)]
pub(crate) struct Paths {
    pub(crate) data_root: PathBuf,
    pub(crate) exec_root: PathBuf,
}

impl Paths {
    /// What lasts of a guest, apart from its record and its writable layer.
    pub(crate) fn guest_dir(&self, id: &GuestId) -> PathBuf {
        self.data_root.join("guests").join(id.to_string())
    }

    /// Docker's name for it, which log shippers look for.
    pub(crate) fn log(&self, id: &GuestId) -> PathBuf {
        self.guest_dir(id).join(format!("{id}-json.log"))
    }

    pub(crate) fn exit_file(&self, id: &GuestId) -> PathBuf {
        self.guest_dir(id).join("exit")
    }

    /// Where a shim has its plan and its socket.
    pub(crate) fn run_dir(&self, id: &GuestId) -> PathBuf {
        self.run_dirs().join(id.to_string())
    }

    pub(crate) fn run_dirs(&self) -> PathBuf {
        self.exec_root.join("guests")
    }

    pub(crate) fn make_run_dir(&self, id: &GuestId) -> io::Result<PathBuf> {
        let dir = self.run_dir(id);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        Ok(dir)
    }

    /// Removes a run directory. What cannot be removed is found again at the next start.
    pub(crate) fn remove_run_dir(&self, id: &GuestId) {
        remove_logged(&self.run_dir(id), |path| fs::remove_dir_all(path));
    }

    /// How the guest last ended, if its shim wrote it down whole.
    pub(crate) fn exit_record(&self, id: &GuestId) -> Option<ExitRecord> {
        let text = fs::read_to_string(self.exit_file(id)).ok()?;
        text.parse().inspect_err(|error| tracing::warn!(guest = %id, %error, "exit file")).ok()
    }
}

/// Removes `path`; anything but its absence is logged.
pub(crate) fn remove_logged(path: &Path, remove: impl FnOnce(&Path) -> io::Result<()>) {
    match remove(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(path = %path.display(), %error, "cannot remove");
        }
        Ok(()) | Err(_) => {}
    }
}
