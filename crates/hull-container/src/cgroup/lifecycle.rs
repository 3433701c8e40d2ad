//! Making a guest's cgroup, and taking it away with everything in it.

use std::fs;
use std::io::ErrorKind;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal};

use super::{Cgroup, CgroupError, Directory, Hierarchy, Missing, Write, tree, write_all};

/// How a process just made gets into the cgroup.
#[derive(Debug)]
pub(crate) struct Entrance {
    /// The v2 directory, for `CLONE_INTO_CGROUP`.
    pub(crate) unified: Option<OwnedFd>,
    /// `tasks` of each v1 hierarchy, open for writing; for v2 `cgroup.procs` where that is full.
    pub(crate) tasks: Vec<OwnedFd>,
}

/// Whether the two processes of an exec have no room below the limit of a v2 cgroup.
fn is_full(directory: &Path) -> bool {
    let read = |file: &str| -> Option<u64> {
        fs::read_to_string(directory.join(file)).ok()?.trim().parse().ok()
    };
    // `max` is no number, and no limit.
    read("pids.max").zip(read("pids.current")).is_some_and(|(max, current)| current + 2 > max)
}

impl Cgroup {
    /// Makes all directories and writes their limits.
    ///
    /// A directory that already exists is a leftover and is used as it is. After an error, what was
    /// made is removed again.
    pub(crate) fn make(&self) -> Result<(), CgroupError> {
        let made = self.directories.iter().try_for_each(make_one);
        if made.is_err() {
            for directory in &self.directories {
                // Best effort: the first error is the one to report.
                fs::remove_dir(directory.full()).unwrap_or_default();
            }
        }
        made
    }

    /// Opens what a new process needs to be put inside.
    pub(crate) fn entrance(&self) -> Result<Entrance, CgroupError> {
        let mut entrance = Entrance { unified: None, tasks: Vec::new() };
        for directory in &self.directories {
            match directory.hierarchy {
                // Being made there counts against the limit, moving there does not: it must be
                // possible to look into a guest that has all the processes it may have.
                Hierarchy::V2 if is_full(&directory.full()) => {
                    let path = directory.full().join("cgroup.procs");
                    entrance.tasks.push(open(&path, OFlags::WRONLY | OFlags::CLOEXEC)?);
                }
                Hierarchy::V2 => {
                    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
                    entrance.unified = Some(open(&directory.full(), flags)?);
                }
                // A thread that writes 0 to `tasks` moves itself, for which the kernel skips a lock
                // whose price is an RCU grace period (cgroup_procs_write_start of Linux 6.18; some
                // 10 ms on an idle machine). The launched process has one thread, so that is all.
                Hierarchy::V1(_) => {
                    let path = directory.full().join("tasks");
                    entrance.tasks.push(open(&path, OFlags::WRONLY | OFlags::CLOEXEC)?);
                }
            }
        }
        Ok(entrance)
    }

    /// The processes in the guest's cgroup and below, by their numbers on the host.
    pub fn processes(&self) -> Result<Vec<Pid>, CgroupError> {
        let Some(directory) = self.authority() else { return Ok(Vec::new()) };
        let mut found = tree::processes(&directory.full())?;
        found.sort_unstable_by_key(|pid| pid.as_raw_nonzero());
        found.dedup();
        Ok(found)
    }

    /// Sends SIGKILL to everything inside, once.
    pub fn kill(&self) -> Result<(), CgroupError> {
        let unified = self.unified().map(|directory| directory.full().join("cgroup.kill"));
        let killed = unified.is_some_and(|file| fs::write(file, "1").is_ok());
        let v1 = |one: &&Directory| matches!(one.hierarchy, Hierarchy::V1(_));
        if killed && !self.directories.iter().any(|one| v1(&one)) {
            return Ok(());
        }
        // What stands still cannot fork away. Whether all do already does not matter: what is
        // missed now is killed the next time.
        self.freeze_quietly();
        let killed = self.kill_each();
        self.thaw_quietly();
        killed
    }

    fn kill_each(&self) -> Result<(), CgroupError> {
        let mut outcome = Ok(());
        let authority = self.authority().into_iter();
        // The others only matter for processes that something moved out of the first.
        for directory in authority.chain(&self.directories) {
            match tree::processes(&directory.full()) {
                Ok(found) => found.into_iter().for_each(|pid| {
                    // Gone is as good as killed.
                    rustix::process::kill_process(pid, Signal::KILL).unwrap_or_default();
                }),
                Err(error) if outcome.is_ok() => outcome = Err(error),
                Err(_further) => {}
            }
        }
        outcome
    }

    /// Kills what is left inside and removes all directories, nested ones too.
    ///
    /// What does not exist counts as removed, so two may do this at once. Dying processes keep a
    /// directory busy for a moment, so it is tried again until `patience` is over. Errors do not stop
    /// the rest.
    pub fn remove(&self, patience: Duration) -> Result<(), CgroupError> {
        let deadline = Instant::now() + patience;
        let mut outcome = Ok(());
        for directory in &self.directories {
            let removed = self.remove_one(&directory.full(), deadline);
            if outcome.is_ok() {
                outcome = removed;
            }
        }
        outcome
    }

    fn remove_one(&self, path: &Path, deadline: Instant) -> Result<(), CgroupError> {
        let mut pause = Duration::from_micros(200);
        loop {
            match tree::remove(path) {
                Ok(()) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
                Err(error) if error.kind() == ErrorKind::ResourceBusy => {}
                Err(source) => {
                    let path = path.to_owned();
                    return Err(CgroupError::Path { doing: "remove cgroup", path, source });
                }
            }
            if Instant::now() >= deadline {
                return Err(CgroupError::Late { doing: "remove cgroup", path: path.to_owned() });
            }
            self.kill()?;
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        }
    }

    /// The hierarchy whose list of processes is believed: one the guest's processes cannot leave.
    fn authority(&self) -> Option<&Directory> {
        self.v1("pids").or_else(|| self.v1("freezer")).or_else(|| self.directories.last())
    }
}

fn make_one(directory: &Directory) -> Result<(), CgroupError> {
    let mut path = directory.mount.clone();
    for part in directory.path.components() {
        write_changed(&path, directory)?;
        path.push(part);
        match fs::create_dir(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(source) => return Err(CgroupError::Path { doing: "make cgroup", path, source }),
        }
        inherit(&path, &directory.inherit)?;
    }
    write_all(&path, &directory.writes)?;
    if directory.devices.is_empty() {
        return Ok(());
    }
    let program: Vec<_> = directory
        .devices
        .iter()
        .map(|&(code, registers, offset, immediate)| hull_sys::device_filter::Instruction {
            code,
            registers,
            offset,
            immediate,
        })
        .collect();
    let fd = open(&path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC)?;
    hull_sys::device_filter::attach(fd.as_fd(), &program).map_err(|source| CgroupError::Path {
        doing: "attach device program to",
        path,
        source,
    })
}

/// Applies the parents' writes where they would change something: most starts find them done.
fn write_changed(path: &Path, directory: &Directory) -> Result<(), CgroupError> {
    for write in &directory.parents {
        let now = fs::read_to_string(path.join(&write.file)).unwrap_or_default();
        let wanted = write.value.trim_start_matches('+');
        if !now.split_whitespace().any(|word| word == wanted) {
            write_all(path, std::slice::from_ref(write))?;
        }
    }
    Ok(())
}

/// Fills files that are empty from those of the directory above.
fn inherit(path: &Path, files: &[String]) -> Result<(), CgroupError> {
    for file in files {
        let read = |at: &Path| fs::read_to_string(at.join(file)).unwrap_or_default();
        let above = path.parent().map(read).unwrap_or_default();
        let value = above.trim();
        if read(path).trim().is_empty() && !value.is_empty() {
            let (file, value) = (file.clone(), value.to_owned());
            write_all(path, &[Write { file, value, missing: Missing::Fail }])?;
        }
    }
    Ok(())
}

fn open(path: &Path, flags: OFlags) -> Result<OwnedFd, CgroupError> {
    rustix::fs::open(path, flags, Mode::empty()).map_err(|error| CgroupError::Path {
        doing: "open",
        path: path.to_owned(),
        source: error.into(),
    })
}
