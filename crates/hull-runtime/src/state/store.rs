//! The directories that records are kept in.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{ErrorKind, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags, flock, fstat, openat, unlinkat};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use super::{Id, Phase, Record, Status};
use crate::config;
use crate::failure::{Doing, Failure};

const RECORD: &str = "state.json";
const CONFIG: &str = "config.json";
const START: &str = "start";
/// How long another process may change a container before this one gives up.
const LOCK_MAX: Duration = Duration::from_secs(10);

/// All containers below one root directory.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    root: PathBuf,
}

/// One container's directory.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Kept open: it holds the lock, if one was taken.
    dir: OwnedFd,
    path: PathBuf,
}

impl Store {
    /// The store below `root`, which is made when first needed.
    pub(crate) fn new(root: &Path) -> Result<Self, Failure> {
        let root = std::path::absolute(root).doing_at("find", root)?;
        Ok(Self { root })
    }

    /// A new directory for `id`, locked.
    pub(crate) fn create(&self, id: &Id) -> Result<Entry, Failure> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(&self.root).doing_at("make", &self.root)?;
        let path = self.root.join(id.as_str());
        match fs::DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                return Err(Failure::new(format!("container with id {id} exists already")));
            }
            made => made.doing_at("make", &path)?,
        }
        let entry = self.open(id)?;
        entry.lock()?;
        Ok(entry)
    }

    /// The directory of `id`, for reading.
    pub(crate) fn open(&self, id: &Id) -> Result<Entry, Failure> {
        let path = self.root.join(id.as_str());
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match openat(CWD, &path, flags, Mode::empty()) {
            Ok(dir) => Ok(Entry { dir, path }),
            Err(Errno::NOENT) => Err(Failure::new(format!("container {id} does not exist"))),
            Err(error) => Err(error).doing_at("open", &path),
        }
    }

    /// The directory of `id`, for changing.
    pub(crate) fn lock(&self, id: &Id) -> Result<Entry, Failure> {
        let entry = self.open(id)?;
        entry.lock()?;
        // Deleted, and perhaps made anew, while this waited.
        let now = self.open(id)?;
        let same = |one: &Entry| fstat(&one.dir).map(|stat| (stat.st_dev, stat.st_ino));
        if same(&now).ok() == same(&entry).ok() {
            return Ok(entry);
        }
        Err(Failure::new(format!("container {id} does not exist")))
    }

    /// The names of all containers.
    pub(crate) fn ids(&self) -> Result<Vec<Id>, Failure> {
        let entries = match fs::read_dir(&self.root) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.doing_at("read", &self.root)?,
        };
        let mut ids: Vec<Id> = entries
            .flatten()
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
            .filter_map(|entry| Id::new(&entry.file_name().to_string_lossy()).ok())
            .collect();
        ids.sort();
        Ok(ids)
    }
}

impl Entry {
    /// What is remembered; `None` if its making did not get that far.
    pub(crate) fn record(&self) -> Result<Option<Record>, Failure> {
        let path = self.path.join(RECORD);
        if !path.exists() {
            return Ok(None);
        }
        let text = config::read(&path)?;
        config::from_json(&text).map(Some).map_err(|failure| failure.during(path.display()))
    }

    /// Remembers `record` from now on.
    pub(crate) fn remember(&self, record: &Record) -> Result<(), Failure> {
        let text = serde_json::to_vec(record).doing("encode the state")?;
        self.write(RECORD, &text)
    }

    /// Keeps the configuration's text.
    pub(crate) fn keep_config(&self, text: &str) -> Result<(), Failure> {
        self.write(CONFIG, text.as_bytes())
    }

    /// The configuration's text.
    pub(crate) fn config(&self) -> Result<String, Failure> {
        config::read(&self.path.join(CONFIG))
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), Failure> {
        write_atomically(&self.path.join(name), bytes)
    }

    /// What the container is doing now.
    pub(crate) fn status(&self, record: &Record) -> Status {
        let alive = record.init.is_some_and(|init| init.lives());
        match (record.phase, alive) {
            // Until there is a process, who makes it holds the lock.
            (Phase::Creating, _) if self.is_locked() => Status::Creating,
            (_, false) => Status::Stopped,
            (Phase::Creating, true) => Status::Creating,
            (Phase::Made, true) if self.is_waiting() => Status::Created,
            (Phase::Made, true) if record.cgroup.is_frozen() => Status::Paused,
            (Phase::Made, true) => Status::Running,
        }
    }

    /// Where the socket is on which the first process waits to be started.
    pub(crate) fn gate(&self) -> PathBuf {
        self.path.join(START)
    }

    /// Whether a process waits to be started. One that executes closes its socket.
    fn is_waiting(&self) -> bool {
        if !self.gate().exists() {
            return false;
        }
        // By descriptor: paths of sockets are at most 107 bytes long.
        let path = format!("/proc/self/fd/{}/{START}", self.dir.as_raw_fd());
        let connected = SocketAddrUnix::new(path)
            .and_then(|address| start_socket().and_then(|socket| connect(&socket, &address)));
        connected.is_ok()
    }

    /// Forgets the socket: nobody waits any more.
    pub(crate) fn started(&self) -> Result<(), Failure> {
        match unlinkat(&self.dir, START, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error).doing_at("remove", &self.path.join(START)),
        }
    }

    /// Forgets the container. The directory goes last, so that another try finds it.
    pub(crate) fn remove(self) -> Result<(), Failure> {
        for entry in fs::read_dir(&self.path).doing_at("read", &self.path)?.flatten() {
            fs::remove_file(entry.path()).doing_at("remove", &entry.path())?;
        }
        fs::remove_dir(&self.path).doing_at("remove", &self.path)
    }

    fn lock(&self) -> Result<(), Failure> {
        let deadline = Instant::now() + LOCK_MAX;
        loop {
            match flock(&self.dir, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(()),
                Err(Errno::WOULDBLOCK) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(Errno::WOULDBLOCK) => {
                    return Err(Failure::new(format!(
                        "{}: another process has been changing this container for {} s",
                        self.path.display(),
                        LOCK_MAX.as_secs()
                    )));
                }
                Err(error) => return Err(error).doing_at("lock", &self.path),
            }
        }
    }

    /// Whether another process is changing it.
    fn is_locked(&self) -> bool {
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
        // Its own open file: a lock of this process's other descriptor counts too.
        openat(&self.dir, ".", flags, Mode::empty()).is_ok_and(|probe| {
            flock(&probe, FlockOperation::NonBlockingLockShared) == Err(Errno::WOULDBLOCK)
        })
    }
}

impl AsFd for Entry {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }
}

fn start_socket() -> rustix::io::Result<OwnedFd> {
    socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
}

/// Writes `bytes` to `path` so that readers see all of it or what was there before.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}", std::process::id()));
    let fresh = path.with_file_name(name);
    let write = || -> std::io::Result<()> {
        // New: whatever somebody put there in advance is not followed.
        let mut file = OpenOptions::new().write(true).create_new(true).open(&fresh)?;
        file.write_all(bytes)?;
        file.set_permissions(Permissions::from_mode(0o644))?;
        fs::rename(&fresh, path)
    };
    let written = write();
    if written.is_err() {
        // The error is what matters; the leftover is one small file of ours.
        fs::remove_file(&fresh).unwrap_or_default();
    }
    written.doing_at("write", path)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use hull_container::cgroup::Cgroup;
    use rustix::net::{bind, listen};

    use super::super::Identity;
    use super::*;

    fn record(phase: Phase, init: Option<Identity>) -> Record {
        Record {
            id: "a".to_owned(),
            phase,
            init,
            bundle: "/b".into(),
            rootfs: "/b/rootfs".into(),
            created: String::new(),
            owner: 0,
            annotations: BTreeMap::new(),
            cgroup: Cgroup::default(),
            scope: None,
            rdt: None,
        }
    }

    #[test]
    fn what_is_remembered_is_read_again_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(&dir.path().join("deep/er")).unwrap();
        assert_eq!(store.ids().unwrap(), []);
        let id = Id::new("a").unwrap();
        assert!(store.open(&id).unwrap_err().to_string().contains("does not exist"));
        let entry = store.create(&id).unwrap();
        assert!(store.create(&id).unwrap_err().to_string().contains("exists already"));
        assert_eq!(entry.record().unwrap(), None);
        entry.remember(&record(Phase::Made, None)).unwrap();
        entry.keep_config("{}").unwrap();
        assert_eq!(entry.record().unwrap(), Some(record(Phase::Made, None)));
        assert_eq!(store.ids().unwrap(), std::slice::from_ref(&id));
        entry.remove().unwrap();
        assert_eq!(store.ids().unwrap(), []);
    }

    #[test]
    fn the_status_follows_lock_process_and_socket() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path()).unwrap();
        let id = Id::new("a").unwrap();
        let own = Identity::of(rustix::process::getpid()).unwrap();
        let maker = store.create(&id).unwrap();
        let reader = store.open(&id).unwrap();
        assert_eq!(reader.status(&record(Phase::Creating, None)), Status::Creating);
        let socket = start_socket().unwrap();
        bind(&socket, &SocketAddrUnix::new(maker.gate()).unwrap()).unwrap();
        listen(&socket, 8).unwrap();
        drop(maker);
        assert_eq!(reader.status(&record(Phase::Creating, None)), Status::Stopped);
        assert_eq!(reader.status(&record(Phase::Made, Some(own))), Status::Created);
        drop(socket);
        assert_eq!(reader.status(&record(Phase::Made, Some(own))), Status::Running);
        reader.started().unwrap();
        reader.started().unwrap();
        assert_eq!(reader.status(&record(Phase::Made, Some(own))), Status::Running);
        let gone = Identity { start_time: own.start_time + 1, ..own };
        assert_eq!(reader.status(&record(Phase::Made, Some(gone))), Status::Stopped);
    }

    #[test]
    fn files_are_replaced_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pid");
        write_atomically(&path, b"1").unwrap();
        write_atomically(&path, b"22").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"22");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(write_atomically(Path::new("/no/such/file"), b"").is_err());
    }
}
