//! Named directories that outlive everybody who uses them: `volumes/<name>/_data`.

use std::path::{Path, PathBuf};

use hull_model::name::Name;

use crate::disk::{exists, make_dir, names, rename_new, unique_name};
use crate::error::{Kind, Result};
use crate::tree::{Trash, Usage, remove, usage};

/// A volume's directory is not there.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    /// None of this name.
    #[error("get {0}: no such volume")]
    Missing(Name),
}

impl VolumeError {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Missing(_) => Kind::Missing,
        }
    }
}

/// The volumes of one store. Who uses one is for the caller to know.
pub struct Volumes {
    root: PathBuf,
    trash: Trash,
}

impl Volumes {
    pub(crate) fn open(root: &Path, trash: &Trash) -> Result<Self> {
        make_dir(root, 0o700)?;
        for name in names(root)? {
            // No volume's name begins with a dot: this is one that was never finished.
            if name.as_encoded_bytes().starts_with(b".new-") {
                remove(&root.join(name))?;
            }
        }
        Ok(Self { root: root.to_owned(), trash: trash.clone() })
    }

    /// The directory of the volume, made if it is missing. Returns whether it was.
    pub fn create(&self, name: &Name) -> Result<(PathBuf, bool)> {
        let home = self.root.join(name.as_str());
        let mut made = false;
        if !exists(&home)? {
            // Both directories appear at once.
            let aside = self.root.join(unique_name(".new"));
            let finished = make_dir(&aside, 0o701)
                .and_then(|()| make_dir(&aside.join("_data"), 0o755))
                .and_then(|()| rename_new(&aside, &home));
            if !matches!(finished, Ok(true)) {
                remove(&aside)?;
            }
            made = finished?;
        }
        Ok((home.join("_data"), made))
    }

    /// Where the directory of the volume is or would be.
    pub fn place(&self, name: &Name) -> PathBuf {
        self.root.join(name.as_str()).join("_data")
    }

    /// The directory of the volume.
    pub fn path(&self, name: &Name) -> Result<PathBuf> {
        let path = self.place(name);
        if exists(&path)? { Ok(path) } else { Err(VolumeError::Missing(name.clone()).into()) }
    }

    /// Every volume, by name.
    pub fn list(&self) -> Result<Vec<Name>> {
        let all = names(&self.root)?;
        let mut all: Vec<_> =
            all.iter().filter_map(|name| Name::new(name.to_str()?).ok()).collect();
        all.sort();
        Ok(all)
    }

    /// What the volume takes.
    pub fn usage(&self, name: &Name) -> Result<Usage> {
        Ok(usage(&self.path(name)?)?)
    }

    /// Removes the volume with all that is in it.
    pub fn remove(&self, name: &Name) -> Result<()> {
        self.path(name)?;
        Ok(self.trash.discard(&self.root.join(name.as_str()))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_come_and_go() {
        let dir = tempfile::tempdir().unwrap();
        let trash = Trash::open(dir.path().join("trash")).unwrap();
        let volumes = Volumes::open(&dir.path().join("volumes"), &trash).unwrap();
        let name = Name::new("my-data").unwrap();
        assert_eq!(volumes.remove(&name).unwrap_err().kind(), Kind::Missing);
        let (path, made) = volumes.create(&name).unwrap();
        assert!(made && path.ends_with("volumes/my-data/_data"));
        std::fs::write(path.join("f"), "12345").unwrap();
        assert!(!volumes.create(&name).unwrap().1);
        assert_eq!(volumes.list().unwrap(), std::slice::from_ref(&name));
        assert_eq!(volumes.usage(&name).unwrap().bytes, 5);
        volumes.remove(&name).unwrap();
        assert!(volumes.list().unwrap().is_empty() && !path.exists());
        trash.wait();
    }
}
