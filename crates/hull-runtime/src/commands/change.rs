//! `pause` and `resume`.

use std::time::Duration;

use super::{Session, expect_status};
use crate::arguments::Options;
use crate::failure::Failure;
use crate::state::Status;

/// How long processes may take to stand still, or to go on.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Stops every process where it is.
pub(super) fn pause(session: &Session<'_>, options: &Options) -> Result<u8, Failure> {
    let (entry, record) = session.lock(options.operand(0))?;
    expect_status(&record, entry.status(&record), &[Status::Created, Status::Running], "pause")?;
    record.cgroup.freeze(PATIENCE)?;
    Ok(0)
}

/// Lets them go on.
pub(super) fn resume(session: &Session<'_>, options: &Options) -> Result<u8, Failure> {
    let (entry, record) = session.lock(options.operand(0))?;
    // A created one that is frozen still counts as created.
    let fitting = [Status::Paused, Status::Created];
    expect_status(&record, entry.status(&record), &fitting, "resume")?;
    record.cgroup.thaw(PATIENCE)?;
    Ok(0)
}
