//! Keeping the exit status, on a full disk too.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use hull_shim::exit::{ExitRecord, RESERVED};

/// The place for an exit record, reserved on disk while there is room.
#[derive(Debug)]
pub(crate) struct ExitFile {
    path: PathBuf,
    draft: PathBuf,
    reserved: Option<File>,
}

impl ExitFile {
    /// Reserves the space. That it cannot be is not reported: it only matters if the disk is
    /// still full when the guest ends, and then [`Self::write`] says so.
    pub(crate) fn reserve(path: &Path) -> Self {
        let mut draft = path.as_os_str().to_owned();
        draft.push(".new");
        let draft = PathBuf::from(draft);
        let reserved = create(&draft).ok();
        Self { path: path.to_owned(), draft, reserved }
    }

    /// Puts the record in place, whole or not at all.
    pub(crate) fn write(&mut self, record: &ExitRecord) -> io::Result<()> {
        let file = match self.reserved.take() {
            Some(file) => file,
            None => create(&self.draft)?,
        };
        // In place and of the same length: blocks that are there already are used.
        let mut text = record.to_text().into_bytes();
        text.resize(RESERVED.max(text.len()), b'\n');
        file.write_all_at(&text, 0)?;
        fs::rename(&self.draft, &self.path)
    }
}

fn create(draft: &Path) -> io::Result<File> {
    let mut file =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(draft)?;
    file.write_all(&[b'\n'; RESERVED])?;
    Ok(file)
}
