//! What runs in a guest, as `ps(1)` shows it.
//!
//! `ps` is the host's, never the image's, and it is given so long and no longer: it hangs on a process
//! that holds its own memory's lock in an uninterruptible wait. Users are then put as the guest has
//! them: the host knows only numbers of the guest's range, or names of other users.

mod names;
mod ps;
mod table;

use crate::error::{Error, Kind, Result};
use crate::guest::Guest;

/// A table of processes.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Processes {
    /// Names of the columns.
    pub titles: Vec<String>,
    /// A row for each process; as many fields as titles.
    pub rows: Vec<Vec<String>>,
}

impl Guest {
    /// Its processes in the form that `ps` with `arguments` gives them on the host (Docker's
    /// default is `-ef`). The arguments never go through a shell.
    pub async fn processes(&self, arguments: &str) -> Result<Processes> {
        let record = self.record();
        if record.restarting {
            let text = format!(
                "container {} is restarting, wait until the container is running",
                record.id
            );
            return Err(Error::new(Kind::Conflict, text));
        }
        let (true, Some(first)) = (record.state.is_alive(), record.pid) else {
            let text = format!("container {} is not running", record.id);
            return Err(Error::new(Kind::Conflict, text));
        };
        table::check(arguments)?;
        let engine = self.engine()?;
        let cgroup = engine.cgroup_of(&record)?;
        let arguments: Vec<String> =
            arguments.split_ascii_whitespace().map(str::to_owned).collect();
        let listed = tokio::task::spawn_blocking(move || {
            let pids = cgroup.processes().map_err(Error::internal("list the guest's processes"))?;
            let pids: Vec<i32> = pids.iter().map(|pid| pid.as_raw_nonzero().get()).collect();
            let mut processes = table::select(&ps::list(&arguments, &pids)?, &pids)?;
            table::put_names(&mut processes, &names::Names::read(first));
            Ok(processes)
        });
        let listed = listed.await.map_err(Error::internal("list the guest's processes"))??;
        engine.publish(&record, "top", &[]);
        Ok(listed)
    }
}
