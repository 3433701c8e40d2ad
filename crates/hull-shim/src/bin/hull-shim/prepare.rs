//! Making the process a supervisor: alone, unkillable by accident, listening.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;

use hull_shim::plan::{LISTENING, SOCKET_FILE};
use rustix::fs::{AtFlags, Mode, OFlags};

/// Signals whose default action would end the guest's supervisor: `HUP`, `INT`, `QUIT`, `PIPE`,
/// `TERM` (`signal(7)`). A guest is stopped by asking for it, or with `KILL`.
const IGNORED: [i32; 5] = [1, 2, 3, 13, 15];

/// What the daemon should be killed after, when memory is short; as containerd's shims do.
const OOM_SCORE: &str = "-999";

/// Cuts the process loose from whoever started it.
pub(crate) fn isolate() -> io::Result<()> {
    hull_sys::descriptor::close_all_except(&[])?;
    for signal in IGNORED {
        hull_sys::supervise::ignore(signal)?;
    }
    // Fails for a process that leads a group already, which then is as alone as we want it.
    rustix::process::setsid().map(drop).unwrap_or_default();
    rustix::thread::set_name(c"hull-shim")?;
    // Not permitted without CAP_SYS_RESOURCE; then the shim is killed like any other process.
    fs::write("/proc/self/oom_score_adj", OOM_SCORE).unwrap_or_default();
    rustix::process::chdir("/")?;
    rustix::process::umask(Mode::from_raw_mode(0o022));
    Ok(())
}

/// Tells the starter that the socket is there, and gives its three descriptors back. Keeps the first
/// one open: it is the plan, and its lock says that a shim lives ([`hull_shim::plan::is_held`]).
pub(crate) fn announce_and_let_go() -> io::Result<OwnedFd> {
    // A starter that is gone is no reason to stop: the next daemon finds the socket.
    rustix::io::write(rustix::stdio::stdout(), LISTENING).map(drop).unwrap_or_default();
    let held = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?;
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    Ok(held)
}

/// The socket in the run directory, removed when dropped.
#[derive(Debug)]
pub(crate) struct Socket {
    run_dir: OwnedFd,
    pub(crate) listener: UnixListener,
}

impl Socket {
    pub(crate) fn bind(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let run_dir = rustix::fs::open(path, flags, Mode::empty())?;
        // Left by a shim that was killed; the daemon starts at most one for a guest.
        match rustix::fs::unlinkat(&run_dir, SOCKET_FILE, AtFlags::empty()) {
            Err(error) if error != rustix::io::Errno::NOENT => return Err(error.into()),
            _ => {}
        }
        // An address has 108 bytes; a run directory's path may be longer.
        let umask = rustix::process::umask(Mode::from_raw_mode(0o177));
        let bound =
            UnixListener::bind(format!("/proc/self/fd/{}/{SOCKET_FILE}", run_dir.as_raw_fd()));
        rustix::process::umask(umask);
        let listener = bound?;
        listener.set_nonblocking(true)?;
        Ok(Self { run_dir, listener })
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Gone already, with the whole directory: the daemon was faster.
        rustix::fs::unlinkat(&self.run_dir, SOCKET_FILE, AtFlags::empty()).unwrap_or_default();
    }
}
