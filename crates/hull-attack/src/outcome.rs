//! How far an attack came.

use std::io;

/// What to say, or what stopped it.
pub(crate) type Outcome = io::Result<String>;

/// What a raw system call returned, as a result.
pub(crate) fn checked(returned: libc::c_long) -> io::Result<libc::c_long> {
    if returned < 0 { Err(io::Error::last_os_error()) } else { Ok(returned) }
}

/// The error's name, for those that tests look at.
pub(crate) fn name(error: &io::Error) -> String {
    let number = error.raw_os_error().unwrap_or(0);
    let known = [
        (libc::EPERM, "EPERM"),
        (libc::ENOENT, "ENOENT"),
        (libc::ESRCH, "ESRCH"),
        (libc::EBADF, "EBADF"),
        (libc::EAGAIN, "EAGAIN"),
        (libc::EACCES, "EACCES"),
        (libc::EFAULT, "EFAULT"),
        (libc::ENODEV, "ENODEV"),
        (libc::EINVAL, "EINVAL"),
        (libc::ENFILE, "ENFILE"),
        (libc::EMFILE, "EMFILE"),
        (libc::ETXTBSY, "ETXTBSY"),
        (libc::ENOSPC, "ENOSPC"),
        (libc::EROFS, "EROFS"),
        (libc::ENOSYS, "ENOSYS"),
        (libc::E2BIG, "E2BIG"),
        (libc::EAFNOSUPPORT, "EAFNOSUPPORT"),
        (libc::ENOKEY, "ENOKEY"),
    ];
    let found = known.iter().find(|(known, _)| *known == number);
    found.map_or_else(|| format!("error {number}"), |(_, name)| (*name).to_owned())
}
