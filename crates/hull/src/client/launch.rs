//! Starts hull's own daemon when nobody answers on its socket.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

/// How long a daemon may take until it answers: it may have many guests to take over.
const READY_TIMEOUT: Duration = Duration::from_secs(30);
/// How often the socket is tried meanwhile.
const POLL_INTERVAL: Duration = Duration::from_millis(3);
/// How much of the daemon's log is shown when it does not come up.
const TAIL_BYTES: u64 = 2048;

/// The first descriptor behind the standard streams.
const FIRST_INHERITED: i32 = 3;

/// Why no daemon could be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LaunchError {
    #[error("start the daemon: {doing} {}", path.display())]
    File { doing: &'static str, path: PathBuf, source: io::Error },
    #[error("start the daemon: run {} daemon", program.display())]
    Spawn { program: PathBuf, source: io::Error },
    #[error("start the daemon: it ended at once with {status}\nits log, {}:\n{tail}", log.display())]
    Ended { status: ExitStatus, log: PathBuf, tail: String },
    #[error(
        "start the daemon: no answer on {} within {} s\nits log, {}:\n{tail}",
        socket.display(), READY_TIMEOUT.as_secs(), log.display()
    )]
    Silent { socket: PathBuf, log: PathBuf, tail: String },
    #[error("start the daemon: somebody else has held {} for {} s", path.display(), READY_TIMEOUT.as_secs())]
    Locked { path: PathBuf },
}

/// Whether a failed connect means that no daemon is there.
pub(crate) fn nobody_listens(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

/// Starts `hull daemon` detached and returns when its socket answers.
///
/// Of several CLIs at once one starts the daemon; the others wait for it and find it answering.
///
/// # Errors
/// When the daemon cannot be started, ends, or stays silent; the log's end is in the message.
pub(crate) fn daemon(socket: &Path) -> Result<(), LaunchError> {
    let root = socket.parent().unwrap_or(Path::new("/"));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(root).map_err(|source| {
        LaunchError::File { doing: "make the directory", path: root.to_owned(), source }
    })?;
    let deadline = Instant::now() + READY_TIMEOUT;
    let lock = lock(&root.join("start.lock"), deadline)?;
    if answers(socket) {
        return Ok(());
    }
    let log = root.join("hulld.log");
    let mut child = spawn(&log)?;
    let ready = wait(&mut child, socket, &log, deadline);
    drop(lock);
    ready
}

fn answers(socket: &Path) -> bool {
    UnixStream::connect(socket).is_ok()
}

/// Holds the lock of daemon starts; the kernel lets go of it with the file, however we end.
fn lock(path: &Path, deadline: Instant) -> Result<File, LaunchError> {
    let failed = |doing, source| LaunchError::File { doing, path: path.to_owned(), source };
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)
        .map_err(|source| failed("open", source))?;
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(failed("lock", errno.into())),
        }
        if Instant::now() >= deadline {
            return Err(LaunchError::Locked { path: path.to_owned() });
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// Runs ourselves as the daemon, away from our terminal and streams.
#[expect(
    clippy::disallowed_methods,
    reason = "the daemon inherits the user's environment on purpose; std opens files close-on-exec"
)]
fn spawn(log: &Path) -> Result<Child, LaunchError> {
    let failed = |source| LaunchError::File { doing: "open its log", path: log.to_owned(), source };
    let output =
        OpenOptions::new().create(true).append(true).mode(0o600).open(log).map_err(failed)?;
    let errors = output.try_clone().map_err(failed)?;
    let program = std::env::current_exe().map_err(|source| LaunchError::Spawn {
        program: PathBuf::from("/proc/self/exe"),
        source,
    })?;
    // What we inherited (a test's or a script's pipe, say) would stay open as long as the daemon.
    hull_sys::descriptor::close_on_exec_from(FIRST_INHERITED)
        .map_err(|source| LaunchError::Spawn { program: program.clone(), source })?;
    Command::new(&program)
        .args(["daemon", "--detached"])
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        .spawn()
        .map_err(|source| LaunchError::Spawn { program, source })
}

fn wait(
    child: &mut Child,
    socket: &Path,
    log: &Path,
    deadline: Instant,
) -> Result<(), LaunchError> {
    while !answers(socket) {
        let ended = child.try_wait().map_err(|source| LaunchError::File {
            doing: "wait for the process behind",
            path: socket.to_owned(),
            source,
        })?;
        if let Some(status) = ended {
            return Err(LaunchError::Ended { status, log: log.to_owned(), tail: tail(log) });
        }
        if Instant::now() >= deadline {
            let (socket, log) = (socket.to_owned(), log.to_owned());
            let tail = tail(&log);
            return Err(LaunchError::Silent { socket, log, tail });
        }
        std::thread::sleep(POLL_INTERVAL);
    }
    Ok(())
}

/// The end of the log, or why it cannot be read: this is already the text of an error.
fn tail(log: &Path) -> String {
    let read = || -> io::Result<String> {
        let mut file = File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
    };
    read().unwrap_or_else(|error| format!("(unreadable: {error})"))
}
