//! What users ask of a guest, apart from starting it.

use std::time::Duration;

use hull_container::cgroup::{Cgroup, CgroupError};
use hull_model::life::{Event, State};
use hull_model::name::Name;
use hull_model::signal::Signal;
use hull_shim::protocol::{Answer, Ask, Framing, Process, WindowSize};

use super::attach::AttachRequest;
use super::task::{Task, not_running};
use crate::error::{Error, Kind, Result};
use crate::shim::stream::{self, Streams};

/// How long the kernel may take to freeze every process of a guest.
pub(super) const FREEZE_MAX: Duration = Duration::from_secs(10);

impl Task {
    /// Sends `signal` to the first process.
    ///
    /// A signal that ends most programs is taken as the user's wish that the guest stays ended, and
    /// wakes a paused guest, which could not end otherwise. (moby `daemon/kill.go`)
    pub(super) async fn signal(&mut self, signal: Signal, ends: bool) -> Result<u64> {
        let deadly = ends || is_deadly(signal, self.record.spec.stop_signal);
        if deadly && self.record.restarting {
            self.restart_at = None;
            self.record.restarting = false;
            self.record.stopped_by_user = true;
            self.save_logged().await;
            return Ok(self.exits);
        }
        self.control()?;
        if deadly && !self.record.stopped_by_user && !self.engine.is_closing() {
            self.record.stopped_by_user = true;
            self.save().await?;
        }
        self.ask(Ask::Signal { process: Process::Guest, signal }).await?;
        self.publish("kill", &[("signal", signal.number().to_string())]);
        if deadly && self.record.state == State::Paused {
            self.resume().await?;
        }
        Ok(self.exits)
    }

    pub(super) async fn pause(&mut self) -> Result<()> {
        match self.record.state {
            State::Running => {}
            State::Paused => {
                let text = format!("Container {} is already paused", self.record.id);
                return Err(Error::new(Kind::Conflict, text));
            }
            State::Created | State::Starting | State::Exited(_) | State::Removing => {
                let text = format!("Container {} is not running", self.record.id);
                return Err(Error::new(Kind::Conflict, text));
            }
        }
        // Recorded first: a guest that is frozen and not known to be could not be thawed.
        self.step(Event::Pause).await?;
        if let Err(error) = self.turn(|cgroup| cgroup.freeze(FREEZE_MAX)).await {
            self.advance(Event::Resume)?;
            self.save_logged().await;
            return Err(error);
        }
        self.pause_health();
        self.publish("pause", &[]);
        Ok(())
    }

    pub(super) async fn resume(&mut self) -> Result<()> {
        if self.record.state != State::Paused {
            let text = format!("Container {} is not paused", self.record.id);
            return Err(Error::new(Kind::Conflict, text));
        }
        self.turn(|cgroup| cgroup.thaw(FREEZE_MAX)).await?;
        self.advance(Event::Resume)?;
        self.watch_health();
        self.save_logged().await;
        self.publish("unpause", &[]);
        Ok(())
    }

    /// Freezes or thaws the guest's cgroup.
    pub(super) async fn turn(
        &self,
        turn: impl FnOnce(&Cgroup) -> Result<(), CgroupError> + Send + 'static,
    ) -> Result<()> {
        let cgroup = self.engine.cgroup_of(&self.record)?;
        let turned = tokio::task::spawn_blocking(move || turn(&cgroup)).await;
        turned
            .map_err(Error::internal("freeze or thaw the guest"))?
            .map_err(Error::internal("freeze or thaw the guest"))
    }

    /// Takes `name`, which must be free, and gives the old one back.
    pub(super) async fn rename(&mut self, name: Name) -> Result<()> {
        if name == self.record.name {
            let text = "Renaming a container with the same name as its current name";
            return Err(Error::new(Kind::Invalid, text));
        }
        self.engine.index().take_name(&name, self.record.id)?;
        let old = std::mem::replace(&mut self.record.name, name);
        if let Err(error) = self.save().await {
            let name = std::mem::replace(&mut self.record.name, old);
            self.engine.index().give_name_back(&name);
            return Err(error);
        }
        self.engine.index().give_name_back(&old);
        self.publish("rename", &[("oldName", format!("/{old}"))]);
        Ok(())
    }

    pub(super) async fn resize(&mut self, size: WindowSize) -> Result<()> {
        self.ask(Ask::Resize { process: Process::Guest, size }).await?;
        let extra = [("height", size.rows.to_string()), ("width", size.columns.to_string())];
        self.publish("resize", &extra);
        Ok(())
    }

    /// Connects a client: now if the guest runs, else when it starts.
    pub(super) async fn attach(&mut self, request: AttachRequest) -> Result<Streams> {
        let request = request.to(Process::Guest, Framing::of(self.record.spec.streams.tty));
        let streams = match self.record.state {
            State::Running => Streams::connected(stream::attach(&self.run_dir(), request).await?),
            State::Paused => {
                let text = format!(
                    "container {} is paused, unpause the container before attach",
                    self.record.id
                );
                return Err(Error::new(Kind::Conflict, text));
            }
            State::Removing => return Err(not_running(&self.record)),
            State::Created | State::Starting | State::Exited(_) => {
                let text = "too many clients wait for this container to start";
                self.waiting.add(request).ok_or_else(|| Error::new(Kind::Unavailable, text))?
            }
        };
        self.publish("attach", &[]);
        Ok(streams)
    }

    /// Deletes an ended guest: its record last, so that a crash leaves nothing unknown behind.
    pub(super) async fn remove(&mut self, volumes: bool) -> Result<()> {
        if self.record.state.is_alive() || self.record.restarting {
            let restarting = self.record.restarting.then_some("restarting");
            let state = restarting.unwrap_or(self.record.state.name());
            let text = format!(
                "cannot remove container \"/{}\": container is {state}: stop the container before \
                 removing or force remove",
                self.record.name
            );
            return Err(Error::new(Kind::Conflict, text));
        }
        let before = self.record.mounts.clone();
        if !volumes {
            // What is still marked in the record goes: a daemon that is killed now leaves no doubt.
            self.record.mounts.iter_mut().for_each(|mount| mount.anonymous = false);
        }
        if let Err(error) = self.step(Event::Remove).await {
            self.record.mounts = before;
            return Err(error);
        }
        self.remove_recorded().await
    }

    /// Deletes what a record in state `Removing` says.
    pub(super) async fn remove_recorded(&mut self) -> Result<()> {
        self.waiting.clear();
        self.engine.delete_files(&self.record).await?;
        self.engine.records.delete(&self.record.id).await?;
        self.engine.forget(&self.record);
        self.removed = true;
        self.publish("destroy", &[]);
        self.show();
        Ok(())
    }

    /// Asks the shim for something that either is done or has a reason why not.
    pub(super) async fn ask(&mut self, ask: Ask) -> Result<Answer> {
        let answer = match self.control()?.ask(ask).await {
            Ok(answer) => answer,
            Err(error) => {
                // Boxed: to be taken over again may need asking again.
                Box::pin(self.on_broken()).await;
                // Most often the guest ended just now.
                self.control()?;
                return Err(Error::caused(Kind::Internal, "ask the guest's shim", error));
            }
        };
        match answer {
            Answer::Failed(failure) => Err(crate::failure::of_shim(failure)),
            answer @ (Answer::Done | Answer::Started { .. } | Answer::State(_)) => Ok(answer),
        }
    }
}

/// Whether `signal` is sent to end a guest.
fn is_deadly(signal: Signal, stop_signal: Option<Signal>) -> bool {
    const ENDING: [i32; 5] = [2, 3, 6, 9, 15];
    Some(signal) == stop_signal || ENDING.contains(&signal.number())
}
