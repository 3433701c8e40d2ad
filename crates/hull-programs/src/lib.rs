//! The three static programs that hull carries inside: the shim, process 1 for `--init`, and the
//! program of the built-in hello image.

mod image;

use std::fs;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

pub use image::{HELLO_NAME, hello_image};

mod digests {
    include!(concat!(env!("OUT_DIR"), "/digests.rs"));
}

/// A static program for this architecture.
#[derive(Clone, Copy)]
pub struct Program {
    /// `hull-shim`, `hull-init` or `hull-hello`.
    pub name: &'static str,
    /// The ELF file.
    pub bytes: &'static [u8],
    /// SHA-256 of `bytes`, in hexadecimal.
    pub digest: &'static str,
}

/// The parent of a guest's processes.
pub const SHIM: Program = Program {
    name: "hull-shim",
    bytes: include_bytes!(concat!(env!("OUT_DIR"), "/hull-shim")),
    digest: digests::SHIM_DIGEST,
};

/// Process 1 of guests started with `--init`.
pub const INIT: Program = Program {
    name: "hull-init",
    bytes: include_bytes!(concat!(env!("OUT_DIR"), "/hull-init")),
    digest: digests::INIT_DIGEST,
};

/// The program of the hello image.
pub const HELLO: Program = Program {
    name: "hull-hello",
    bytes: include_bytes!(concat!(env!("OUT_DIR"), "/hull-hello")),
    digest: digests::HELLO_DIGEST,
};

impl Program {
    /// Puts the program into a directory as `<name>-<start of digest>`, unless it is there, and
    /// gives its path. Another version's file stays as it is: it may be running.
    pub fn install(&self, dir: &Path) -> io::Result<PathBuf> {
        let path = dir.join(format!("{}-{}", self.name, &self.digest[..16]));
        match fs::metadata(&path) {
            Ok(found) if found.is_file() && found.len() == self.bytes.len() as u64 => {
                return Ok(path);
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::create_dir_all(dir)?;
        // Under a name of our own first: several daemons may share the directory.
        let draft = tempfile::Builder::new()
            .prefix(self.name)
            .permissions(fs::Permissions::from_mode(0o755))
            .tempfile_in(dir)?;
        draft.as_file().write_all(self.bytes)?;
        let draft = draft.into_temp_path();
        wait_until_executable(&draft)?;
        draft.persist(&path).map_err(|error| error.error)?;
        Ok(path)
    }
}

/// Waits until no process holds the file open for writing: it could not be executed.
fn wait_until_executable(path: &Path) -> io::Result<()> {
    let file = fs::File::open(path)?;
    let deadline = Instant::now() + Duration::from_secs(10);
    while hull_sys::descriptor::unwritten(file.as_fd())? == Some(false) {
        if Instant::now() > deadline {
            return Err(io::ErrorKind::ExecutableFileBusy.into());
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({} bytes, sha256:{})", self.name, self.bytes.len(), self.digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_installed_once_and_mended_when_cut_short() {
        let dir = tempfile::tempdir().unwrap();
        let bin = dir.path().join("bin");
        let path = INIT.install(&bin).unwrap();
        assert_eq!(fs::read(&path).unwrap(), INIT.bytes);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o755);
        fs::write(&path, "short").unwrap();
        assert_eq!(INIT.install(&bin).unwrap(), path);
        assert_eq!(fs::read(&path).unwrap(), INIT.bytes);
        assert_eq!(fs::read_dir(&bin).unwrap().count(), 1);
    }

    #[test]
    fn a_program_can_be_run_at_once_by_many() {
        let dir = tempfile::tempdir().unwrap();
        thread::scope(|scope| {
            for number in 0..16 {
                let bin = dir.path().join((number % 4).to_string());
                scope.spawn(move || {
                    for program in [HELLO, INIT, SHIM] {
                        let path = program.install(&bin).unwrap();
                        hull_sys::spawn::command(path).output().unwrap();
                    }
                });
            }
        });
    }

    #[test]
    fn programs_are_static() {
        for program in [SHIM, INIT, HELLO] {
            assert_eq!(&program.bytes[..4], b"\x7fELF");
            // e_type 2: ET_EXEC. A dynamic or position-independent one is 3.
            assert_eq!(program.bytes[16], 2, "{program:?}");
        }
    }
}
