//! Taking over a guest: from the daemon that was there before, or after its connection broke.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use hull_model::id::ExecId;
use hull_model::life::State;
use hull_model::time::Timestamp;
use hull_shim::protocol::{Event, Phase, State as Seen};
use tokio::time::Instant;

use super::change::FREEZE_MAX;
use super::task::Task;
use crate::shim::control::{Control, ControlError};

/// How soon a shim that lives and cannot be talked to is tried again.
const REACH_AGAIN: Duration = Duration::from_secs(1);

impl Task {
    /// Brings record and reality together; the record says what was meant, the shim what is.
    pub(crate) async fn adopt(&mut self) {
        match self.record.state {
            State::Starting | State::Running | State::Paused => self.adopt_living().await,
            State::Removing => {
                if let Err(error) = self.remove_recorded().await {
                    tracing::error!(guest = %self.record.id, %error, "cannot finish removing");
                }
            }
            State::Created | State::Exited(_) => {}
        }
        if !self.removed && !self.record.state.is_alive() {
            self.adopt_ended().await;
        }
    }

    /// Finds out what became of a guest that lived when its shim was last heard of.
    pub(super) async fn adopt_living(&mut self) {
        self.control = None;
        self.out_of_reach = None;
        match find(&self.run_dir()).await {
            Found::Shim(control, seen) => self.adopt_seen(*control, seen).await,
            Found::Nothing => {
                tracing::info!(guest = %self.record.id, "its shim is gone");
                let ended = self.engine.paths.exit_record(&self.record.id);
                if self.record.state == State::Starting && ended.is_none() {
                    return self.undo_start().await;
                }
                self.on_exit(ended).await;
            }
            Found::Silence(error) => {
                // The guest lives as far as anybody knows, so it is left alone.
                tracing::warn!(guest = %self.record.id, %error, "its shim cannot be talked to");
                self.out_of_reach = Some((error, Instant::now() + REACH_AGAIN));
            }
        }
    }

    /// The connection to the shim broke while something was asked. What the shim had said before
    /// counts; else it is asked what became of the guest.
    pub(super) async fn on_broken(&mut self) {
        const LAST_WORDS_MAX: Duration = Duration::from_secs(1);
        while let Some(control) = &mut self.control {
            match tokio::time::timeout(LAST_WORDS_MAX, control.event()).await {
                Ok(Ok(Event::Exited(exit))) => return self.on_exit(Some(exit)).await,
                Ok(Ok(Event::ExecExited { id, exit })) => self.exec_ended(id, &exit).await,
                Ok(Ok(Event::OutOfMemory)) => self.on_out_of_memory().await,
                Ok(Ok(Event::Started { .. })) => {}
                Ok(Err(_)) | Err(_) => break,
            }
        }
        self.adopt_living().await;
    }

    async fn adopt_seen(&mut self, control: Control, seen: Seen) {
        match seen.phase {
            Phase::Running { pid, started_at } => {
                tracing::info!(guest = %self.record.id, pid, "taken over");
                self.record.pid = Some(pid);
                self.record.started = Some(Timestamp::from_nanos(started_at));
                if self.record.state == State::Starting {
                    self.record.state = State::Running;
                    self.record.restarting = false;
                }
                self.control = Some(control);
                self.limit_again().await;
                if self.record.state == State::Paused {
                    self.freeze_again().await;
                }
                self.adopt_memory().await;
                self.adopt_execs(&seen.execs).await;
                if self.record.state == State::Running {
                    self.watch_health();
                }
                self.save_logged().await;
            }
            Phase::Exited(exit) => {
                drop(control);
                self.on_exit(Some(exit)).await;
            }
            Phase::Created | Phase::Ready { .. } => {
                control.end_shim().await;
                self.undo_start().await;
            }
        }
    }

    /// The other daemon died while it started the guest, whose program has not run: as if nobody
    /// had asked.
    async fn undo_start(&mut self) {
        tracing::info!(guest = %self.record.id, "undoing a start that was cut short");
        let held = self.release().await;
        self.record.state = match (self.record.exit, self.record.started) {
            (Some(exit), Some(_)) => State::Exited(exit),
            // Never started, or with an exit that is the failure of the start before.
            (None | Some(_), _) => State::Created,
        };
        self.save_logged().await;
        self.give_back(held);
    }

    /// The other daemon may have died between its record and the freezing.
    async fn freeze_again(&mut self) {
        if let Err(error) = self.turn(move |cgroup| cgroup.freeze(FREEZE_MAX)).await {
            tracing::warn!(guest = %self.record.id, %error, "cannot freeze the paused guest");
        }
    }

    /// Nobody was there when the guest ran out of memory: then it is told now.
    async fn adopt_memory(&mut self) {
        if self.record.out_of_memory {
            return;
        }
        let Ok(cgroup) = self.engine.cgroup_of(&self.record) else { return };
        let kills = tokio::task::spawn_blocking(move || cgroup.oom_kills()).await;
        if kills.is_ok_and(|kills| kills > 0) {
            self.on_out_of_memory().await;
        }
    }

    /// Takes over those that run, remembers how others ended, and has the shim forget the rest.
    async fn adopt_execs(&mut self, execs: &[(ExecId, Phase)]) {
        for (id, phase) in execs {
            match phase {
                Phase::Running { .. } if self.is_check(*id) => {
                    self.adopt_check(*id).await;
                    continue;
                }
                Phase::Exited(exit) if self.is_check(*id) => self.check_ended(*id, exit).await,
                Phase::Running { pid, .. } => {
                    self.execs.adopt(*id, super::Progress::Running(*pid));
                    continue;
                }
                Phase::Exited(exit) => {
                    self.execs.adopt(*id, super::Progress::Ended { code: exit.code, pid: 0 });
                }
                // Whoever wanted to start it has gone with the other daemon.
                Phase::Created | Phase::Ready { .. } => {}
            }
            self.forget_exec(*id).await;
        }
    }

    /// Starts it again if its policy wants that: it was waiting for it, or it always runs.
    async fn adopt_ended(&mut self) {
        let policy = self.record.spec.restart;
        let ran = self.record.started.is_some();
        if self.record.restarting || (ran && policy.at_daemon_start(self.record.stopped_by_user)) {
            self.record.restarting = true;
            self.restart_at = Some(Instant::now());
            self.show();
        } else if self.record.spec.auto_remove && self.record.exit.is_some() {
            self.remove_automatically().await;
        }
    }
}

/// What there is where a shim should be.
enum Found {
    Shim(Box<Control>, Seen),
    Nothing,
    /// One that cannot be talked to, for this reason.
    Silence(ControlError),
}

/// Looks for the shim of a run directory. One that begins or ends just now is waited for: it holds
/// the plan's lock while it does not listen, and it must be gone before its guest is started again.
async fn find(run_dir: &Path) -> Found {
    const PATIENCE: Duration = Duration::from_secs(2);
    const LOOK_AGAIN: Duration = Duration::from_millis(5);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let error = match Control::connect(run_dir).await {
            Ok((control, seen)) => return Found::Shim(Box::new(control), seen),
            Err(error) => error,
        };
        if let ControlError::Socket(cause) = &error {
            let absent = matches!(cause.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused);
            match hull_shim::plan::is_held(run_dir) {
                Ok(false) if absent => return Found::Nothing,
                Ok(_) | Err(_) => {}
            }
            if Instant::now() < deadline {
                tokio::time::sleep(LOOK_AGAIN).await;
                continue;
            }
        }
        return Found::Silence(error);
    }
}
