//! `delete`.

use std::os::fd::AsFd;
use std::time::Duration;

use super::{Session, ended_within, expect_status};
use crate::arguments::Options;
use crate::failure::Failure;
use crate::log::Log;
use crate::state::{self, Entry, Id, Record, Status};
use crate::{config, hooks};

/// How long a killed process may take to die, and a cgroup to become empty.
const PATIENCE: Duration = Duration::from_secs(10);

/// Removes a container that has ended or was not started; with `--force`, any.
pub(super) fn delete(session: &Session<'_>, options: &Options) -> Result<u8, Failure> {
    let force = options.is("force");
    let id = Id::new(options.operand(0))?;
    let entry = match session.store.lock(&id) {
        Err(_) if force && session.store.open(&id).is_err() => return Ok(0),
        locked => locked?,
    };
    let Some(record) = entry.record()? else {
        // Killed before it recorded what it would make: so there is nothing but the directory.
        entry.remove()?;
        return Ok(0);
    };
    let status = entry.status(&record);
    if !force {
        let fitting = [Status::Stopped, Status::Created, Status::Creating];
        expect_status(&record, status, &fitting, "delete")?;
    }
    if status != Status::Stopped {
        kill(&record)?;
    }
    destroy(entry, &record, session.log)?;
    Ok(0)
}

fn kill(record: &Record) -> Result<(), Failure> {
    let Some(init) = &record.init else { return Ok(()) };
    let Some(process) = state::open_process(init)? else { return Ok(()) };
    // It may end by itself meanwhile, which is as good.
    hull_sys::supervise::send(process.as_fd(), 9).unwrap_or_default();
    // The whole cgroup, thawed: frozen processes of cgroup v1 do not die.
    record.cgroup.thaw(PATIENCE).unwrap_or_default();
    if ended_within(process.as_fd(), PATIENCE)? {
        return Ok(());
    }
    Err(Failure::new(format!("container {}: its process does not die of SIGKILL", record.id)))
}

/// Takes away what a container without a living first process still has.
///
/// Goes on after an error, so that one stuck part does not keep the rest; the directory stays until
/// all is gone, so that another try finds it.
pub(super) fn destroy(entry: Entry, record: &Record, log: &Log) -> Result<(), Failure> {
    let mut outcome = record.cgroup.remove(PATIENCE).map_err(Failure::from);
    if let Some(rdt) = &record.rdt {
        outcome = outcome.and(hull_container::rdt::remove(rdt, &record.id).map_err(Failure::from));
    }
    outcome?;
    // Its configuration may be one that could not be used; then nothing was started by it.
    let wanted = entry.config().and_then(|text| config::parse(&text)).unwrap_or_default();
    let after = wanted.hooks.unwrap_or_default().poststop.unwrap_or_default();
    hooks::run_all(&after, "poststop", &record.oci(Status::Stopped), log);
    entry.remove()
}
