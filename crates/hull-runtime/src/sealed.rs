//! The program as a thing that no container can change.
//!
//! A container in the host's user namespace has the host's root. Were its program `#!/proc/self/exe`,
//! or had it a descriptor of `/proc/PID/exe` of a process that entered it, it could write to the
//! runtime's file (CVE-2019-5736). So whatever enters a container runs from a read-only mount of its
//! own, or where that cannot be made, from a sealed copy in memory.

use std::ffi::CString;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags, SealFlags, StatVfsMountFlags, fcntl_get_seals, fstatvfs};

use crate::failure::{Doing, Failure};

const SELF: &str = "/proc/self/exe";

/// Executes the program anew from where it cannot be written, unless it already is there.
pub(crate) fn ensure() -> Result<(), Failure> {
    if is_sealed()? {
        return Ok(());
    }
    let program = read_only()?;
    let words = std::env::args_os().map(|word| CString::new(word.into_vec()));
    let words: Vec<CString> = words.collect::<Result<_, _>>().doing("read the command line")?;
    let variables = std::env::vars_os()
        .map(|(key, value)| CString::new([key.into_vec(), value.into_vec()].join(&b'=')));
    let variables: Vec<CString> =
        variables.collect::<Result<_, _>>().doing("read the environment")?;
    let path = CString::new(format!("/proc/self/fd/{}", program.as_raw_fd())).doing("name it")?;
    let error = hull_sys::process::execve(&path, &words, &variables);
    Err(error).doing("execute a protected copy of this program")
}

fn is_sealed() -> Result<bool, Failure> {
    let path = Path::new(SELF);
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let own = rustix::fs::open(path, flags, Mode::empty()).doing_at("open", path)?;
    let mount = fstatvfs(&own).doing_at("look at", path)?;
    if mount.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Ok(true);
    }
    // Only files in memory have seals.
    Ok(fcntl_get_seals(&own).is_ok_and(|seals| seals.contains(SealFlags::WRITE)))
}

fn read_only() -> Result<OwnedFd, Failure> {
    let path = Path::new(SELF);
    hull_sys::mount::read_only_program(path).or_else(|_no_new_mounts_here| {
        let program = std::fs::read(path).doing_at("read", path)?;
        hull_sys::memfd::sealed_program("hull-runtime", &program)
            .doing("copy this program into memory")
    })
}
