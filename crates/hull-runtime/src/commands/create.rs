//! `create` and `run`.

use hull_container::launch::Gate;

use super::make::{Made, make, prepare};
use super::{Session, delete, start};
use crate::arguments::Options;
use crate::failure::{Doing, Failure};
use crate::foreground::{Foreground, Reap};
use crate::sealed;

/// Makes a container whose process waits for `start`.
pub(super) fn create(session: &Session<'_>, options: &Options) -> Result<u8, Failure> {
    sealed::ensure()?;
    let prepared = prepare(session, options, true)?;
    let gate = Gate::bind(&prepared.entry().gate())?;
    let Made { assembled, record, .. } = make(session, &prepared, Some(gate))?;
    // First, so that a failure still takes all away.
    prepared.entry().remember(&record)?;
    assembled.leave()?;
    prepared.keep();
    Ok(0)
}

/// Makes a container, starts it and, unless detached, waits for it and takes it away.
pub(super) fn run(session: &Session<'_>, options: &Options) -> Result<u8, Failure> {
    sealed::ensure()?;
    let detached = options.is("detach");
    // Before the process is made: it would else not know of signals that come meanwhile.
    let foreground = if detached { None } else { Some(Foreground::begin()?) };
    let prepared = prepare(session, options, detached)?;
    if foreground.is_some() && !options.is("no-subreaper") {
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
            .doing("become a subreaper")?;
    }
    let Made { assembled, terminal, record } = make(session, &prepared, None)?;
    prepared.entry().remember(&record)?;
    let running = assembled.start()?;
    let (entry, _, config) = prepared.keep();
    start::poststart(&config, &record, session.log);
    let Some(foreground) = foreground else { return Ok(0) };
    // Others may change the container while it runs.
    drop(entry);
    let status = foreground.wait(&running, terminal, Reap::All)?;
    if !options.is("keep") {
        let (entry, record) = session.lock(&record.id)?;
        delete::destroy(entry, &record, session.log)?;
    }
    Ok(status)
}
