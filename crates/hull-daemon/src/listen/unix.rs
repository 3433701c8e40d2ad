//! A unix socket in the file system: appears with its final mode and owner, or not at all.

use std::fs;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{
    DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _,
    PermissionsExt as _,
};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

/// Its owner and its group may connect.
const MODE: u32 = 0o660;

/// The name of a listening socket; removed when dropped, unless somebody else took the place.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    /// Device and inode number.
    identity: (u64, u64),
}

/// Why a unix socket cannot be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UnixError {
    /// Two daemons cannot share an address.
    #[error("listen on unix://{}: another daemon answers there", path.display())]
    Taken {
        /// The socket.
        path: PathBuf,
    },
    /// Something that is not ours to remove.
    #[error("listen on unix://{}: there is something that is not a socket", path.display())]
    NotASocket {
        /// What is there.
        path: PathBuf,
    },
    /// A step failed.
    #[error("listen on unix://{}: {doing}", path.display())]
    File {
        /// The socket.
        path: PathBuf,
        /// Which step.
        doing: &'static str,
        /// Why.
        source: io::Error,
    },
}

impl SocketFile {
    /// Listens on `path`, for root and `group`.
    ///
    /// A socket that nobody listens on is replaced. The new one is made in a directory of our own
    /// and moved into place, so nobody can connect before mode and owner are right, and there is no
    /// moment without a socket.
    ///
    /// # Errors
    /// If somebody listens there, if it is no socket, or if a file operation fails.
    pub(crate) fn bind(
        path: PathBuf,
        group: Option<u32>,
    ) -> Result<(UnixListener, Self), UnixError> {
        let failed = |doing| {
            let path = path.clone();
            move |source| UnixError::File { path, doing, source }
        };
        check_free(&path)?;
        let parent = path.parent().unwrap_or(Path::new("/"));
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(parent)
            .map_err(failed("make its directory"))?;
        let nursery = Nursery::make(parent).map_err(failed("make a directory for a new socket"))?;
        let socket = nursery.0.join("s");
        // By the descriptor: the name of the nursery may be too long for a socket's address.
        let directory = fs::OpenOptions::new()
            .read(true)
            .custom_flags(rustix::fs::OFlags::DIRECTORY.bits().cast_signed())
            .open(&nursery.0)
            .map_err(failed("open the directory of the new socket"))?;
        let listener = UnixListener::bind(format!("/proc/self/fd/{}/s", directory.as_raw_fd()))
            .map_err(failed("bind"))?;
        if group.is_some() {
            std::os::unix::fs::chown(&socket, None, group).map_err(failed("give it its group"))?;
        }
        fs::set_permissions(&socket, fs::Permissions::from_mode(MODE))
            .map_err(failed("set its mode"))?;
        let status = fs::symlink_metadata(&socket).map_err(failed("look at it"))?;
        fs::rename(&socket, &path).map_err(failed("move it into place"))?;
        Ok((listener, Self { path, identity: (status.dev(), status.ino()) }))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let ours = fs::symlink_metadata(&self.path)
            .is_ok_and(|status| (status.dev(), status.ino()) == self.identity);
        if ours && let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "remove the socket");
        }
    }
}

/// Whether the place is free, or taken by a socket that nobody listens on.
fn check_free(path: &Path) -> Result<(), UnixError> {
    let there = match fs::symlink_metadata(path) {
        Ok(status) => status,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => {
            return Err(UnixError::File { path: path.to_owned(), doing: "look at it", source });
        }
    };
    if !there.file_type().is_socket() {
        return Err(UnixError::NotASocket { path: path.to_owned() });
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        // Its queue may be full, or it may not be for us: somebody is there.
        Ok(_) | Err(_) => Err(UnixError::Taken { path: path.to_owned() }),
    }
}

/// A directory that only we can enter; removed when dropped.
struct Nursery(PathBuf);

impl Nursery {
    fn make(parent: &Path) -> io::Result<Self> {
        let process = std::process::id();
        for attempt in 0..100_u32 {
            let path = parent.join(format!(".hull-socket-{process}-{attempt}"));
            match fs::DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self(path)),
                // Of a process that died here with our number, or of another thread.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }
}

impl Drop for Nursery {
    fn drop(&mut self) {
        // Whatever is left in it is a socket that never came into place.
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "remove the directory of a socket");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().mode() & 0o7777
    }

    #[tokio::test]
    async fn sockets_have_their_mode_and_group_and_leave_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("made/hull.sock");
        let (_listener, file) = SocketFile::bind(path.clone(), Some(12_345)).unwrap();
        assert_eq!(mode(&path), 0o660);
        assert_eq!(fs::symlink_metadata(&path).unwrap().gid(), 12_345);
        UnixStream::connect(&path).unwrap();
        let names = fs::read_dir(path.parent().unwrap()).unwrap().count();
        assert_eq!(names, 1, "only the socket is left");
        drop(file);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_dead_socket_is_replaced_and_a_living_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hull.sock");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let (_listener, first) = SocketFile::bind(path.clone(), None).unwrap();
        let second = SocketFile::bind(path.clone(), None).unwrap_err();
        assert!(second.to_string().ends_with("another daemon answers there"), "{second}");
        UnixStream::connect(&path).unwrap();
        drop(first);
    }

    #[tokio::test]
    async fn files_and_links_are_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hull.sock");
        fs::write(&path, "precious").unwrap();
        assert!(matches!(SocketFile::bind(path.clone(), None), Err(UnixError::NotASocket { .. })));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(matches!(SocketFile::bind(link, None), Err(UnixError::NotASocket { .. })));
    }

    #[tokio::test]
    async fn a_successors_socket_survives_our_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hull.sock");
        let (_listener, file) = SocketFile::bind(path.clone(), None).unwrap();
        fs::remove_file(&path).unwrap();
        let _other = std::os::unix::net::UnixListener::bind(&path).unwrap();
        drop(file);
        assert!(path.exists());
    }

    #[tokio::test]
    async fn the_longest_path_works() {
        let dir = tempfile::tempdir().unwrap();
        let room = 107 - dir.path().as_os_str().len() - 1;
        let path = dir.path().join("s".repeat(room));
        let (_listener, _file) = SocketFile::bind(path.clone(), None).unwrap();
        UnixStream::connect(&path).unwrap();
    }
}
