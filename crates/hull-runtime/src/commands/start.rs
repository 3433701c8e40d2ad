//! `start`.

use hull_container::launch::Gate;

use super::{Session, expect_status};
use crate::arguments::Options;
use crate::failure::Failure;
use crate::log::Log;
use crate::state::{Record, Status};
use crate::{config, hooks};

/// Starts the program of a container that was created.
pub(super) fn start(session: &Session<'_>, options: &Options) -> Result<u8, Failure> {
    let (entry, record) = session.lock(options.operand(0))?;
    expect_status(&record, entry.status(&record), &[Status::Created], "start")?;
    Gate::open(&entry.gate())?;
    entry.started()?;
    poststart(&config::parse(&entry.config()?)?, &record, session.log);
    Ok(0)
}

/// Runs the hooks for after the start; what fails there does not end the container.
pub(super) fn poststart(config: &config::Config, record: &Record, log: &Log) {
    let wanted = config.hooks.as_ref().and_then(|hooks| hooks.poststart.as_deref());
    hooks::run_all(wanted.unwrap_or_default(), "poststart", &record.oci(Status::Running), log);
}
