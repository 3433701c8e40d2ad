//! Stopping and resuming everything in a guest at once.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::{Cgroup, CgroupError, Missing, Write, write_all};

/// The files of one generation and what they say.
struct Switch {
    directory: PathBuf,
    write: &'static str,
    read: &'static str,
    frozen: (&'static str, &'static str),
    thawed: (&'static str, &'static str),
}

impl Cgroup {
    /// Stops everything inside; returns when it stands still or `patience` is over.
    ///
    /// When time runs out it is thawed again, so that a guest is never left half frozen.
    pub fn freeze(&self, patience: Duration) -> Result<(), CgroupError> {
        let switch = self.freezer()?;
        let frozen = switch.turn(switch.frozen, patience);
        if frozen.is_err() {
            self.thaw_quietly();
        }
        frozen
    }

    /// Lets everything inside go on.
    pub fn thaw(&self, patience: Duration) -> Result<(), CgroupError> {
        let switch = self.freezer()?;
        switch.turn(switch.thawed, patience)
    }

    /// Whether everything inside stands still.
    pub fn is_frozen(&self) -> bool {
        self.freezer().is_ok_and(|switch| {
            let now = fs::read_to_string(switch.directory.join(switch.read)).unwrap_or_default();
            now.lines().any(|line| line == switch.frozen.1)
        })
    }

    pub(super) fn thaw_quietly(&self) {
        self.write_quietly(|switch| switch.thawed.0);
    }

    pub(super) fn freeze_quietly(&self) {
        self.write_quietly(|switch| switch.frozen.0);
    }

    fn write_quietly(&self, value: fn(&Switch) -> &'static str) {
        if let Ok(switch) = self.freezer() {
            // Best effort, where an error would hide a more useful one.
            fs::write(switch.directory.join(switch.write), value(&switch)).unwrap_or_default();
        }
    }

    fn freezer(&self) -> Result<Switch, CgroupError> {
        if let Some(v1) = self.v1("freezer") {
            return Ok(Switch {
                directory: v1.full(),
                write: "freezer.state",
                read: "freezer.state",
                frozen: ("FROZEN", "FROZEN"),
                thawed: ("THAWED", "THAWED"),
            });
        }
        let unified = self.unified().ok_or(CgroupError::NoController("freezer"))?;
        Ok(Switch {
            directory: unified.full(),
            write: "cgroup.freeze",
            read: "cgroup.events",
            frozen: ("1", "frozen 1"),
            thawed: ("0", "frozen 0"),
        })
    }
}

impl Switch {
    fn turn(&self, (value, shown): (&str, &str), patience: Duration) -> Result<(), CgroupError> {
        let deadline = Instant::now() + patience;
        let mut pause = Duration::from_micros(100);
        let write = Write { file: self.write.into(), value: value.into(), missing: Missing::Fail };
        loop {
            // v1 can miss a process that forks while it freezes and stays FREEZING until the value
            // is written again (runc `libcontainer/cgroups/fs/freezer.go` found out how often).
            write_all(&self.directory, std::slice::from_ref(&write))?;
            let path = self.directory.join(self.read);
            let now = fs::read_to_string(&path).map_err(|source| CgroupError::Path {
                doing: "read",
                path: path.clone(),
                source,
            })?;
            if now.lines().any(|line| line == shown) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(CgroupError::Late { doing: "freeze or thaw", path });
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(10));
        }
    }
}
