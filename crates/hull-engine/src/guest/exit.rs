//! The end of a guest, and what comes after it.

use std::sync::Arc;
use std::time::Duration;

use hull_model::exit::Exit;
use hull_model::id_range::IdRange;
use hull_model::life::{Event, State};
use hull_model::restart::Ending;
use hull_model::time::Timestamp;
use hull_shim::exit::ExitRecord;
use tokio::time::Instant;

use super::task::{Task, now};
use crate::error::Error;
use crate::failure::CODE_ENGINE;
use crate::record::Endpoint;

impl Task {
    /// The guest ended, as the shim told or wrote to disk. Without a record its shim was killed: then
    /// the guest ended with it, and nobody has seen how.
    pub(super) async fn on_exit(&mut self, recorded: Option<ExitRecord>) {
        self.control = None;
        self.reap().await;
        self.record.error = match recorded.as_ref().and_then(|record| record.failure.as_ref()) {
            Some(failure) => failure.message.clone(),
            None => String::new(),
        };
        let exit = recorded.as_ref().map_or_else(|| unseen(now()), exit_of);
        self.end(exit).await;
    }

    /// The kernel found no memory for something in the guest, which may live on. Each time is told;
    /// that it happened is recorded once.
    pub(super) async fn on_out_of_memory(&mut self) {
        self.publish("oom", &[]);
        if !std::mem::replace(&mut self.record.out_of_memory, true) {
            tracing::info!(guest = %self.record.id, "out of memory");
            self.save_logged().await;
        }
    }

    /// The shim's last word was its end, or the end of the connection: give it back to the kernel.
    async fn reap(&mut self) {
        let Some(mut child) = self.shim.take() else { return };
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

    async fn record_end(&mut self, mut exit: Exit, delay: Option<Duration>) {
        let news = exit.oom_killed && !self.record.out_of_memory;
        exit.oom_killed |= self.record.out_of_memory;
        if self.advance(Event::Died(exit)).is_err() {
            tracing::warn!(guest = %self.record.id, "ended more than once");
            return;
        }
        let held = self.settle(exit, delay).await;
        // Told before it is shown: whoever waits for the end has then seen the news of it.
        if news {
            self.publish("oom", &[]);
        }
        self.publish_end(exit.code);
        self.save_logged().await;
        self.give_back(held);
        tracing::info!(guest = %self.record.id, code = exit.code, "ended");
        self.restart_at = delay.map(|delay| Instant::now() + delay);
    }

    /// A start failed: whoever asked for it decides what comes next. As in Docker, a guest that has
    /// never run stays `created`, with code and reason, and nobody is told that it died.
    pub(super) async fn record_failed_start(&mut self, code: u8) {
        let exit = Exit { code, oom_killed: false, at: now() };
        let ran_before = self.record.started.replace(exit.at);
        let delay = if self.record.restarting { self.restart_delay(exit) } else { None };
        self.record.started = ran_before;
        let event = if ran_before.is_some() { Event::Died(exit) } else { Event::Failed };
        if self.advance(event).is_err() {
            tracing::warn!(guest = %self.record.id, "failed to start, but does not start");
            return;
        }
        let held = self.settle(exit, delay).await;
        self.save_logged().await;
        self.give_back(held);
        tracing::info!(guest = %self.record.id, code, "not started");
        self.restart_at = delay.map(|delay| Instant::now() + delay);
    }

    /// What is the same after every end: nothing of the guest is left but what the record says.
    async fn settle(&mut self, exit: Exit, delay: Option<Duration>) -> Held {
        self.exits += 1;
        self.execs.end_all();
        self.end_health();
        let held = self.release().await;
        self.record.exit = Some(exit);
        self.record.restarting = delay.is_some();
        held
    }

    /// After a start of the policy that was refused before anything happened: as if it had failed.
    pub(super) async fn restart_later(&mut self) {
        let refused = Exit { code: CODE_ENGINE, oom_killed: false, at: now() };
        let delay = self.restart_delay(self.record.exit.unwrap_or(refused));
        self.record.restarting = delay.is_some();
        self.restart_at = delay.map(|delay| Instant::now() + delay);
        self.save_logged().await;
    }

    /// A guest that was to run once does not stay when it cannot be started.
    pub(super) async fn remove_if_automatic(&mut self) {
        let over = matches!(self.record.state, State::Created | State::Exited(_));
        if over && self.record.spec.auto_remove && !self.removed {
            self.remove_automatically().await;
        }
    }

    pub(super) async fn remove_automatically(&mut self) {
        if let Err(error) = self.remove(true).await {
            tracing::error!(guest = %self.record.id, %error, "cannot remove the ended guest");
        }
    }

    /// How long to wait before the next start. How often it was restarted counts on after a good run,
    /// as in Docker: `on-failure:3` means three restarts.
    pub(super) fn restart_delay(&mut self, exit: Exit) -> Option<Duration> {
        if self.engine.is_closing() {
            return None;
        }
        let started = self.record.started.unwrap_or(exit.at);
        let ran = exit.at.since(started);
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

    /// Removes cgroup and run directory, and takes what others may get next out of the record. Goes
    /// on whatever fails: the next daemon looks again.
    pub(super) async fn release(&mut self) -> Held {
        if let Err(error) = self.remove_remains().await {
            tracing::warn!(guest = %self.record.id, %error, "cannot remove the guest's cgroup");
        }
        self.record.pid = None;
        Held { endpoint: self.record.endpoint.take(), range: self.record.id_range.take() }
    }

    /// Lets others have address and ids, once no record names them any more: if a crash came in
    /// between, two records would name the same.
    pub(super) fn give_back(&self, held: Held) {
        if let Some(endpoint) = held.endpoint {
            self.engine.detach_later(self.record.id, endpoint);
        }
        if let Some(range) = held.range {
            self.engine.id_ranges.give_back(range);
        }
    }

    /// The shim removes its cgroup; this is for shims that were killed. Ends what is left inside.
    async fn remove_remains(&self) -> Result<(), Error> {
        const PATIENCE: Duration = Duration::from_secs(5);
        let (engine, id) = (Arc::clone(&self.engine), self.record.id);
        let cgroup = self.engine.cgroup_of(&self.record)?;
        let removed = tokio::task::spawn_blocking(move || {
            engine.paths.remove_run_dir(&id);
            cgroup.remove(PATIENCE)
        });
        removed
            .await
            .map_err(Error::internal("remove the cgroup"))?
            .map_err(Error::internal("remove the cgroup"))
    }
}

/// What only a living guest needs and others may get next.
#[must_use]
pub(super) struct Held {
    endpoint: Option<Endpoint>,
    range: Option<IdRange>,
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
