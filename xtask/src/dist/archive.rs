//! The archive: sorted, owned by root, of one time, so that equal files give equal bytes.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use flate2::{Compression, GzBuilder};

use super::tree::EXPECTED;
use crate::Outcome;

/// Writes everything below `root` as `name/…`.
pub(crate) fn write(path: &Path, name: &str, root: &Path, time: u64) -> Outcome {
    // No time and no name in the gzip header either.
    let encoder = GzBuilder::new().mtime(0).write(File::create(path)?, Compression::best());
    let mut archive = tar::Builder::new(encoder);
    for file in sorted(root)? {
        let inside = Path::new(name).join(file.strip_prefix(root)?);
        let metadata = fs::symlink_metadata(&file)?;
        let mut header = tar::Header::new_gnu();
        header.set_metadata_in_mode(&metadata, tar::HeaderMode::Deterministic);
        header.set_mtime(time);
        if metadata.is_symlink() {
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            archive.append_link(&mut header, inside, fs::read_link(&file)?)?;
        } else if metadata.is_dir() {
            header.set_size(0);
            archive.append_data(&mut header, inside, std::io::empty())?;
        } else {
            archive.append_data(&mut header, inside, File::open(&file)?)?;
        }
    }
    archive.into_inner()?.finish()?.flush()?;
    Ok(())
}

/// Whether the archive has what it should.
pub(crate) fn check(path: &Path, name: &str) -> Outcome {
    let mut found = BTreeSet::new();
    for entry in tar::Archive::new(GzDecoder::new(File::open(path)?)).entries()? {
        let entry = entry?;
        if entry.header().uid()? != 0 || entry.header().gid()? != 0 {
            return Err(format!("{} is not root's", entry.path()?.display()).into());
        }
        found.insert(entry.path()?.into_owned());
    }
    for expected in EXPECTED {
        if !found.contains(&Path::new(name).join(expected)) {
            return Err(format!("{} lacks {expected}", path.display()).into());
        }
    }
    Ok(())
}

fn sorted(dir: &Path) -> Outcome<Vec<PathBuf>> {
    let mut found = vec![dir.to_owned()];
    let mut entries: Vec<_> = fs::read_dir(dir)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    entries.sort();
    for path in entries {
        if path.is_dir() && !path.is_symlink() {
            found.extend(sorted(&path)?);
        } else {
            found.push(path);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_files_give_the_same_bytes_and_a_missing_one_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        for path in EXPECTED {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "text").unwrap();
        }
        let [first, second] = ["a", "b"].map(|name| {
            let path = dir.path().join(name);
            write(&path, "hull-1", &root, 1_700_000_000).unwrap();
            check(&path, "hull-1").unwrap();
            fs::write(root.join("usr/bin/hull"), "text").unwrap();
            fs::read(path).unwrap()
        });
        assert_eq!(first, second);
        fs::remove_file(root.join("usr/bin/hull")).unwrap();
        let path = dir.path().join("c");
        write(&path, "hull-1", &root, 0).unwrap();
        assert!(check(&path, "hull-1").unwrap_err().to_string().ends_with("lacks usr/bin/hull"));
    }
}
