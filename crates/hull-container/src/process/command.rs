//! Finding a program, with the words and the rules of Go's `os/exec`, which Docker's clients know.

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{Access, AtFlags, CWD, FileType, accessat, stat};
use rustix::io::Errno;

use crate::failure::{Failure, Kind, plain};

/// Docker's `PATH` for images without one (moby `pkg/system`).
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The file to execute for `name`: itself if it has a slash, else the first in `path` that fits.
pub(crate) fn find(name: &str, path: Option<&str>) -> Result<Vec<u8>, Failure> {
    let failure = |kind, why: &str| Failure::new(kind, format!("exec: {name:?}: {why}"));
    if name.contains('/') {
        return match judge(Path::new(name)) {
            Ok(()) => Ok(name.as_bytes().to_vec()),
            Err(Errno::NOENT) => {
                let why = format!("stat {name}: no such file or directory");
                Err(failure(Kind::CommandNotFound, &why))
            }
            Err(Errno::NOTDIR) => {
                Err(failure(Kind::NotExecutable, &format!("stat {name}: not a directory")))
            }
            Err(errno) => Err(failure(Kind::NotExecutable, &plain(&errno.into()))),
        };
    }
    let found = path.unwrap_or(DEFAULT_PATH).split(':').find_map(|directory| {
        // An empty entry is the working directory; Go refuses what is found through it.
        let file = Path::new(if directory.is_empty() { "." } else { directory }).join(name);
        (!name.is_empty() && judge(&file).is_ok()).then_some(file)
    });
    match found {
        Some(file) if file.is_absolute() => Ok(file.as_os_str().as_bytes().to_vec()),
        Some(_) => Err(failure(
            Kind::CommandNotFound,
            "cannot run executable found relative to current directory",
        )),
        None => Err(failure(Kind::CommandNotFound, "executable file not found in $PATH")),
    }
}

/// Whether this is a file that the calling process, with its effective rights, may execute.
fn judge(file: &Path) -> rustix::io::Result<()> {
    let name = CString::new(file.as_os_str().as_bytes()).map_err(|_nul| Errno::INVAL)?;
    if FileType::from_raw_mode(stat(&name)?.st_mode) == FileType::Directory {
        return Err(Errno::ISDIR);
    }
    accessat(CWD, OsStr::from_bytes(name.as_bytes()), Access::EXEC_OK, AtFlags::EACCESS)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn say(name: &str, path: Option<&str>) -> String {
        match find(name, path) {
            Ok(file) => String::from_utf8(file).unwrap(),
            Err(failure) => format!("{:?} {failure}", failure.kind),
        }
    }

    #[test]
    fn programs_are_found_and_missed_in_dockers_words() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        fs::write(at("run"), "").unwrap();
        fs::set_permissions(at("run"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(at("plain"), "").unwrap();
        let path = format!("/nonexistent:{}", dir.path().display());
        assert_eq!(say("run", Some(&path)), at("run"));
        assert_eq!(say(&at("run"), None), at("run"));
        let missing = "CommandNotFound exec: \"foo\": executable file not found in $PATH";
        assert_eq!(say("foo", Some(&path)), missing);
        assert_eq!(say("foo", Some("")), missing);
        assert!(say("plain", Some(&path)).starts_with("CommandNotFound"));
        assert_eq!(
            say("./x", None),
            "CommandNotFound exec: \"./x\": stat ./x: no such file or directory"
        );
        assert_eq!(
            say(&at("plain"), None),
            format!("NotExecutable exec: {:?}: permission denied", at("plain"))
        );
        assert_eq!(say("/etc", None), "NotExecutable exec: \"/etc\": is a directory");
        assert_eq!(say("", None), "CommandNotFound exec: \"\": executable file not found in $PATH");
    }
}
