//! The directory of each guest, with the writable layer in it: `guests/<id>/{upper,work}`.

use std::path::{Path, PathBuf};

use crate::disk::{exists, make_dir, names, rename_new, unique_name};
use crate::error::Result;
use crate::tree::{Trash, remove};

/// The directories of one store's guests, by whatever the caller calls them.
pub struct Writables {
    root: PathBuf,
    trash: Trash,
}

/// One of them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Writable {
    /// The directory itself, mode 0700; other files may be kept in it.
    pub home: PathBuf,
    /// What was changed: an overlay's `upperdir`. Mode 0755, as a root directory must be.
    pub upper: PathBuf,
    /// An overlay's `workdir`.
    pub work: PathBuf,
}

impl Writables {
    pub(crate) fn open(root: &Path, trash: &Trash) -> Result<Self> {
        make_dir(root, 0o700)?;
        for name in names(root)? {
            if name.as_encoded_bytes().starts_with(b".new-") {
                remove(&root.join(name))?;
            }
        }
        Ok(Self { root: root.to_owned(), trash: trash.clone() })
    }

    /// Where the directory of `id` is or would be. `id` is a plain name, as ids are.
    pub fn paths(&self, id: &str) -> Writable {
        debug_assert!(!id.is_empty() && !id.contains('/') && !id.starts_with('.'));
        let home = self.root.join(id);
        Writable { upper: home.join("upper"), work: home.join("work"), home }
    }

    /// Makes the directory of `id`. One that is there already is left as it is.
    pub fn create(&self, id: &str) -> Result<Writable> {
        let paths = self.paths(id);
        if exists(&paths.home)? {
            return Ok(paths);
        }
        let aside = self.root.join(unique_name(".new"));
        let made = make_dir(&aside, 0o700)
            .and_then(|()| make_dir(&aside.join("upper"), 0o755))
            .and_then(|()| make_dir(&aside.join("work"), 0o755))
            .and_then(|()| rename_new(&aside, &paths.home));
        if !matches!(made, Ok(true)) {
            remove(&aside)?;
        }
        made?;
        Ok(paths)
    }

    /// Removes the directory of `id`, however large and hostile. At once as far as anybody sees;
    /// a missing one is removed already.
    pub fn remove(&self, id: &str) -> Result<()> {
        Ok(self.trash.discard(&self.paths(id).home)?)
    }

    /// Whose directories there are.
    pub fn list(&self) -> Result<Vec<String>> {
        Ok(names(&self.root)?.into_iter().filter_map(|name| name.into_string().ok()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn directories_are_made_whole_and_removed_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let trash = Trash::open(dir.path().join("trash")).unwrap();
        let writables = Writables::open(&dir.path().join("guests"), &trash).unwrap();
        let made = writables.create("abc").unwrap();
        assert_eq!(writables.create("abc").unwrap(), made);
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode(&made.home), mode(&made.upper)), (0o700, 0o755));
        for n in 0..1_000 {
            std::fs::write(made.upper.join(n.to_string()), "x").unwrap();
        }
        writables.remove("abc").unwrap();
        assert!(!made.home.exists() && writables.list().unwrap().is_empty());
        writables.remove("abc").unwrap();
        trash.wait();
        assert_eq!(std::fs::read_dir(dir.path().join("trash")).unwrap().count(), 0);
    }
}
