//! Taking over a guest from the daemon that was there before.

use hull_model::life::State;
use hull_model::time::Timestamp;
use hull_shim::protocol::Phase;
use tokio::time::Instant;

use super::task::{Live, Task};
use crate::shim::control::Control;

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

    async fn adopt_living(&mut self) {
        let (control, state) = match Control::connect(&self.run_dir()).await {
            Ok(found) => found,
            Err(error) => {
                tracing::info!(guest = %self.record.id, %error, "its shim is gone");
                return self.on_exit(None).await;
            }
        };
        match state.phase {
            Phase::Running { pid, started_at } => {
                tracing::info!(guest = %self.record.id, pid, "taken over");
                self.record.pid = Some(pid);
                self.record.started = Some(Timestamp::from_nanos(started_at));
                if self.record.state == State::Starting {
                    self.record.state = State::Running;
                }
                self.live = Some(Live { control, child: None });
                self.adopt_execs(&state.execs);
                self.save_logged().await;
            }
            Phase::Exited(exit) => {
                drop(control);
                self.on_exit(Some(exit)).await;
            }
            Phase::Created | Phase::Ready { .. } => self.undo_start(control).await,
        }
    }

    /// The other daemon died while it started the guest, whose program has not run: as if nobody
    /// had asked.
    async fn undo_start(&mut self, control: Control) {
        tracing::info!(guest = %self.record.id, "undoing a start that was cut short");
        control.end_shim().await;
        self.release().await;
        self.record.state = match self.record.exit {
            Some(exit) => State::Exited(exit),
            None => State::Created,
        };
        self.save_logged().await;
    }

    fn adopt_execs(&mut self, execs: &[(hull_model::id::ExecId, Phase)]) {
        for (id, phase) in execs {
            let progress = match phase {
                Phase::Running { pid, .. } => super::Progress::Running(*pid),
                Phase::Exited(exit) => super::Progress::Ended { code: exit.code, pid: 0 },
                Phase::Created | Phase::Ready { .. } => super::Progress::Created,
            };
            self.execs.adopt(*id, progress);
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
        } else if self.record.spec.auto_remove && matches!(self.record.state, State::Exited(_)) {
            self.remove_automatically().await;
        }
    }

    async fn save_logged(&mut self) {
        if let Err(error) = self.save().await {
            tracing::error!(guest = %self.record.id, %error, "cannot record the guest");
            self.show();
        }
    }
}
