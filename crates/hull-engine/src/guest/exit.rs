//! The end of a guest, and what comes after it.

use std::time::Duration;

use hull_model::exit::Exit;
use hull_model::life::{Event, State};
use hull_model::restart::Ending;
use hull_model::time::Timestamp;
use hull_shim::exit::ExitRecord;
use tokio::time::Instant;

use super::task::{Task, now};
use crate::error::Error;

impl Task {
    /// The guest ended. Without a record its shim ended first: what the shim wrote to disk counts,
    /// and if that is nothing, the guest is ended now and its exit unseen.
    pub(super) async fn on_exit(&mut self, seen: Option<ExitRecord>) {
        if let Some(live) = self.live.take() {
            self.reap(live).await;
        }
        let recorded = match seen {
            Some(record) => Some(record),
            None => self.engine.paths.exit_record(&self.record.id),
        };
        self.record.error = match recorded.as_ref().and_then(|record| record.failure.as_ref()) {
            Some(failure) => failure.message.clone(),
            None => String::new(),
        };
        let exit = recorded.as_ref().map_or_else(|| unseen(now()), exit_of);
        self.end(exit).await;
    }

    /// The shim's last word was its end, or the end of the connection: give it back to the kernel.
    async fn reap(&mut self, live: super::task::Live) {
        let Some(mut child) = live.child else { return };
        drop(live.control);
        let reaped = tokio::task::spawn_blocking(move || {
            // A shim that lost its connection without ending is of no use to anybody.
            match child.try_wait() {
                Ok(None) => end_soon(&mut child),
                Ok(Some(_)) => Ok(()),
                Err(error) => Err(error),
            }
        });
        if let Ok(Err(error)) = reaped.await {
            tracing::warn!(guest = %self.record.id, %error, "cannot reap the guest's shim");
        }
    }

    /// Records the end, gives back what only a living guest needs, and does what comes next: a new
    /// start, or removal.
    pub(super) async fn end(&mut self, exit: Exit) {
        let delay = self.restart_delay(exit);
        self.record_end(exit, delay).await;
        if self.record.spec.auto_remove && delay.is_none() {
            self.remove_automatically().await;
        }
    }

    /// The end of a start that failed: whoever asked for it decides what comes next.
    pub(super) async fn record_end(&mut self, exit: Exit, delay: Option<Duration>) {
        let Ok((state, _release)) = hull_model::life::step(self.record.state, Event::Died(exit))
        else {
            tracing::warn!(guest = %self.record.id, "ended more than once");
            return;
        };
        self.exits += 1;
        self.execs.end_all();
        self.release().await;
        self.record.state = state;
        self.record.exit = Some(exit);
        self.record.restarting = delay.is_some();
        if let Err(error) = self.save().await {
            // Full disk: the exit file keeps the end for the next daemon, the view for this one.
            tracing::error!(guest = %self.record.id, %error, "cannot record the guest's end");
            self.show();
        }
        if exit.oom_killed {
            self.publish("oom", &[]);
        }
        self.publish("die", &[("exitCode", exit.code.to_string())]);
        tracing::info!(guest = %self.record.id, code = exit.code, "ended");
        self.restart_at = delay.map(|delay| Instant::now() + delay);
    }

    /// After a start that failed, what the guest's own end would have brought about.
    pub(super) async fn consider_restart(&mut self) {
        if let State::Exited(exit) = self.record.state {
            let delay = self.restart_delay(exit);
            self.record.restarting = delay.is_some();
            self.restart_at = delay.map(|delay| Instant::now() + delay);
            if let Err(error) = self.save().await {
                tracing::error!(guest = %self.record.id, %error, "cannot record the guest");
                self.show();
            }
        }
    }

    pub(super) async fn remove_if_failed_and_automatic(&mut self) {
        let failed = matches!(self.record.state, State::Exited(_)) && !self.record.error.is_empty();
        if failed && self.record.spec.auto_remove && !self.removed {
            self.remove_automatically().await;
        }
    }

    pub(super) async fn remove_automatically(&mut self) {
        if let Err(error) = self.remove(true).await {
            tracing::error!(guest = %self.record.id, %error, "cannot remove the ended guest");
        }
    }

    fn restart_delay(&mut self, exit: Exit) -> Option<Duration> {
        if self.engine.is_closing() {
            return None;
        }
        let started = self.record.started.unwrap_or(exit.at);
        let ran = exit.at.since(started);
        if ran >= hull_model::restart::RAN_WELL {
            self.record.restarts = 0;
        }
        let delay = self.record.spec.restart.after(&Ending {
            exit,
            stopped_by_user: self.record.stopped_by_user,
            restarts: self.record.restarts,
            ran,
            last_delay: self.last_delay,
        });
        self.last_delay = delay.unwrap_or_default();
        delay
    }

    /// Gives back address, ids and cgroup. Goes on whatever fails: the next daemon looks again.
    pub(super) async fn release(&mut self) {
        if let Some(endpoint) = self.record.endpoint.take() {
            self.engine.detach_later(self.record.id, endpoint);
        }
        if let Err(error) = self.remove_cgroup().await {
            tracing::warn!(guest = %self.record.id, %error, "cannot remove the guest's cgroup");
        }
        if let Some(range) = self.record.id_range.take() {
            self.engine.id_ranges.give_back(range);
        }
        self.record.pid = None;
        self.engine.paths.remove_run_dir(&self.record.id);
    }

    /// The shim removes it; this is for shims that were killed. Ends what is left inside.
    async fn remove_cgroup(&self) -> Result<(), Error> {
        const PATIENCE: Duration = Duration::from_secs(5);
        let cgroup = self.engine.cgroup_of(&self.record)?;
        let removed = tokio::task::spawn_blocking(move || cgroup.remove(PATIENCE)).await;
        removed
            .map_err(Error::internal("remove the cgroup"))?
            .map_err(Error::internal("remove the cgroup"))
    }
}

/// A shim ends by itself at once after its last word; one that does not is killed.
fn end_soon(child: &mut std::process::Child) -> std::io::Result<()> {
    const LOOKS: u32 = 200;
    for _ in 0..LOOKS {
        std::thread::sleep(Duration::from_millis(1));
        if child.try_wait()?.is_some() {
            return Ok(());
        }
    }
    child.kill()?;
    child.wait().map(drop)
}

fn exit_of(record: &ExitRecord) -> Exit {
    Exit {
        code: record.code,
        oom_killed: record.oom_killed,
        at: Timestamp::from_nanos(record.finished_at),
    }
}

/// The end of a guest that nobody saw.
fn unseen(at: Timestamp) -> Exit {
    Exit { code: Exit::UNSEEN, oom_killed: false, at }
}
