//! What each command does.

mod cgroup;
mod change;
mod create;
mod delete;
mod descriptors;
mod events;
mod exec;
mod list;
mod make;
mod ps;
mod signal;
mod start;
mod update;

pub(crate) use cgroup::Scope;

use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hull_container::host::HostFacts;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::arguments::Options;
use crate::failure::{Doing, Failure};
use crate::log::Log;
use crate::state::{Entry, Id, Record, Status, Store};
use crate::{features, help, template};

/// What all commands are given.
#[derive(Debug)]
pub(crate) struct Session<'a> {
    pub(crate) store: Store,
    pub(crate) log: &'a Log,
    /// Whether systemd makes the cgroups.
    pub(crate) systemd: bool,
    /// Whether to go on where cgroups are not ours to make.
    pub(crate) rootless: bool,
}

impl<'a> Session<'a> {
    /// As the global flags say.
    pub(crate) fn new(global: &Options, log: &'a Log) -> Result<Self, Failure> {
        let is_root = rustix::process::geteuid().is_root();
        let rootless = match global.value("rootless").unwrap_or("auto") {
            "auto" => !is_root || in_user_namespace(),
            "true" => true,
            "false" => false,
            other => {
                return Err(Failure::new(format!(
                    "invalid value {other:?} for --rootless: it is true, false or auto"
                )));
            }
        };
        let root = match global.value("root").filter(|root| !root.is_empty()) {
            Some(root) => PathBuf::from(root),
            None => default_root(is_root),
        };
        let systemd = global.is("systemd-cgroup");
        Ok(Self { store: Store::new(&root)?, log, systemd, rootless })
    }

    /// The container `name` with a lock on it.
    pub(crate) fn lock(&self, name: &str) -> Result<(Entry, Record), Failure> {
        let id = Id::new(name)?;
        let entry = self.store.lock(&id)?;
        let record = entry.record()?.ok_or_else(|| half_made(&id))?;
        Ok((entry, record))
    }

    /// The container `name`, only to be looked at.
    pub(crate) fn open(&self, name: &str) -> Result<(Entry, Record), Failure> {
        let id = Id::new(name)?;
        let entry = self.store.open(&id)?;
        let record = entry.record()?.ok_or_else(|| half_made(&id))?;
        Ok((entry, record))
    }
}

fn half_made(id: &Id) -> Failure {
    Failure::new(format!(
        "container {id} was not made to its end; hint: hull runtime delete --force {id}"
    ))
}

/// Facts about the host that plans depend on.
pub(crate) fn host() -> Result<HostFacts, Failure> {
    HostFacts::read().doing("read facts about the host")
}

fn default_root(is_root: bool) -> PathBuf {
    match std::env::var_os("XDG_RUNTIME_DIR") {
        Some(dir) if !is_root && Path::new(&dir).is_absolute() => {
            PathBuf::from(dir).join("hull-runtime")
        }
        _ => PathBuf::from("/run/hull-runtime"),
    }
}

/// Whether this process is root of a user namespace only: not all ids are mapped to themselves.
fn in_user_namespace() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    !map.is_empty() && map.split_whitespace().collect::<Vec<_>>() != ["0", "0", "4294967295"]
}

/// Runs the command called `name`.
pub(crate) fn run(name: &str, session: &Session<'_>, options: &Options) -> Result<u8, Failure> {
    match name {
        "create" => create::create(session, options),
        "run" => create::run(session, options),
        "start" => start::start(session, options),
        "exec" => exec::exec(session, options),
        "state" => list::state(session, options),
        "list" => list::list(session, options),
        "kill" => signal::kill(session, options),
        "delete" => delete::delete(session, options),
        "pause" => change::pause(session, options),
        "resume" => change::resume(session, options),
        "update" => update::update(session, options),
        "ps" => ps::ps(session, options),
        "events" => events::events(session, options),
        "spec" => template::write(options),
        "features" => help::say(&features::document()),
        // The tables name no others.
        _ => Err(Failure::new(format!(
            "{name} is not supported: hull makes no checkpoints of processes yet"
        ))),
    }
}

/// Refuses a container that is not in one of the states `fitting`.
pub(crate) fn expect_status(
    record: &Record,
    status: Status,
    fitting: &[Status],
    doing: &str,
) -> Result<(), Failure> {
    if fitting.contains(&status) {
        return Ok(());
    }
    let (id, status) = (&record.id, status.name());
    // In runc's words, for which callers look.
    let running = if status == "stopped" { ": container not running" } else { "" };
    Err(Failure::new(format!("cannot {doing} container {id} that is {status}{running}")))
}

/// Waits until the process that `pidfd` refers to has ended; whether it did in time.
pub(crate) fn ended_within(pidfd: BorrowedFd<'_>, patience: Duration) -> Result<bool, Failure> {
    let deadline = std::time::Instant::now() + patience;
    loop {
        let left = deadline.saturating_duration_since(std::time::Instant::now());
        let left = Timespec::try_from(left).doing("wait for a process")?;
        let mut watched = [PollFd::from_borrowed_fd(pidfd.as_fd(), PollFlags::IN)];
        match poll(&mut watched, Some(&left)) {
            Ok(0) => return Ok(false),
            Ok(_) => return Ok(true),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).doing("wait for a process"),
        }
    }
}
