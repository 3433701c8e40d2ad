//! Further processes in a running guest.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hull_container::plan::{self, ExecContext};
use hull_model::id::ExecId;
use hull_model::life::State;
use hull_model::process::ExecSpec;
use hull_shim::exit::ExitRecord;
use hull_shim::protocol::{self, Answer, Ask, Framing, Process, Stdin, WindowSize};
use tokio::sync::Notify;

use super::attach::AttachRequest;
use super::task::{StartExec, Task};
use crate::error::{Error, Kind, Result};
use crate::failure::NotStarted;
use crate::shim::control::out_of_turn;
use crate::shim::stream::{self, Streams};

/// An exec as clients see it.
#[derive(Clone, Debug)]
pub struct ExecView {
    /// Its id.
    pub id: ExecId,
    /// What it runs.
    pub spec: ExecSpec,
    /// Where it is.
    pub progress: Progress,
}

/// Where an exec is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Progress {
    /// Created.
    Created,
    /// Being started.
    Starting,
    /// Runs as this process of the host.
    Running(u32),
    /// Ended with this code; the process id is what it was, 0 if it never ran.
    Ended {
        /// 0–255.
        code: u8,
        /// On the host.
        pid: u32,
    },
}

/// The execs of one guest, oldest first. The task changes their progress; handles add new ones.
#[derive(Debug, Default)]
pub(crate) struct Execs {
    all: Mutex<Vec<ExecView>>,
    changed: Notify,
}

impl Execs {
    /// Execs remembered for one guest; the oldest ended ones are forgotten for new ones.
    const KEPT: usize = 256;

    pub(crate) fn add(&self, id: ExecId, spec: ExecSpec) -> Result<()> {
        let mut execs = self.lock();
        if execs.len() >= Self::KEPT {
            let ended = |view: &ExecView| matches!(view.progress, Progress::Ended { .. });
            let idle = |view: &ExecView| matches!(view.progress, Progress::Created);
            let victim = execs.iter().position(ended).or_else(|| execs.iter().position(idle));
            let Some(victim) = victim else {
                let text =
                    format!("{} processes run in this container by exec already", Self::KEPT);
                return Err(Error::new(Kind::Unavailable, text));
            };
            execs.remove(victim);
        }
        execs.push(ExecView { id, spec, progress: Progress::Created });
        Ok(())
    }

    pub(crate) fn view(&self, id: ExecId) -> Option<ExecView> {
        self.lock().iter().find(|view| view.id == id).cloned()
    }

    pub(crate) fn find(&self, prefix: &str) -> Option<ExecId> {
        let execs = self.lock();
        execs.iter().map(|view| view.id).find(|id| id.to_string().starts_with(prefix))
    }

    /// Those that Docker lists in `inspect`: created or running.
    pub(crate) fn current(&self) -> Vec<ExecId> {
        let execs = self.lock();
        let ended = |view: &&ExecView| !matches!(view.progress, Progress::Ended { .. });
        execs.iter().filter(ended).map(|view| view.id).collect()
    }

    /// Takes the right to start an exec: only one caller gets it.
    fn begin(&self, id: ExecId) -> Result<()> {
        let mut execs = self.lock();
        let missing = || Error::new(Kind::Missing, format!("No such exec instance: {id}"));
        let view = execs.iter_mut().find(|view| view.id == id).ok_or_else(missing)?;
        if view.progress != Progress::Created {
            let text = format!("exec command {id} is already running");
            return Err(Error::new(Kind::Conflict, text));
        }
        view.progress = Progress::Starting;
        Ok(())
    }

    /// An exec that the shim knows. What it runs is not known if another daemon started it.
    pub(super) fn adopt(&self, id: ExecId, progress: Progress) {
        if !self.set(id, progress) {
            self.lock().push(ExecView { id, spec: ExecSpec::default(), progress });
        }
    }

    /// False if there is no such exec.
    fn set(&self, id: ExecId, progress: Progress) -> bool {
        match self.lock().iter_mut().find(|view| view.id == id) {
            Some(view) => view.progress = progress,
            None => return false,
        }
        self.changed.notify_waiters();
        true
    }

    /// Waits until the exec has ended, or is not known any more.
    async fn ended(&self, id: ExecId) {
        loop {
            let changed = self.changed.notified();
            match self.view(id).map(|view| view.progress) {
                None | Some(Progress::Ended { .. }) => return,
                Some(Progress::Created | Progress::Starting | Progress::Running(_)) => {
                    changed.await;
                }
            }
        }
    }

    /// The guest ended and took all of them along.
    pub(super) fn end_all(&self) {
        for view in self.lock().iter_mut() {
            let pid = match view.progress {
                Progress::Running(pid) => pid,
                Progress::Starting => 0,
                Progress::Created | Progress::Ended { .. } => continue,
            };
            view.progress = Progress::Ended { code: 137, pid };
        }
        self.changed.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, Vec<ExecView>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Task {
    /// Runs an exec: prepared first, then the client is connected, then it executes, so that no
    /// output is lost.
    pub(super) async fn start_exec(&mut self, exec: StartExec) -> Result<Option<Streams>> {
        let id = exec.id;
        match self.record.state {
            State::Running => {}
            State::Paused => {
                let text = format!(
                    "Container {} is paused, unpause the container before exec",
                    self.record.id
                );
                return Err(Error::new(Kind::Conflict, text));
            }
            State::Created | State::Starting | State::Exited(_) | State::Removing => {
                return Err(super::task::not_running(&self.record));
            }
        }
        self.execs.begin(id)?;
        let (words, tty) = (exec.spec.args.join(" "), exec.spec.streams.tty);
        match self.run_exec(exec, Framing::of(tty)).await {
            Ok((pid, streams)) => {
                self.execs.set(id, Progress::Running(pid));
                self.publish(format!("exec_start: {words}"), &[("execID", id.to_string())]);
                Ok(streams)
            }
            Err(NotStarted { error, code }) => {
                self.execs.set(id, Progress::Ended { code, pid: 0 });
                self.forget_exec(id).await;
                Err(error)
            }
        }
    }

    pub(super) async fn run_exec(
        &mut self,
        exec: StartExec,
        framing: Framing,
    ) -> Result<(u32, Option<Streams>), NotStarted> {
        let StartExec { id, spec, attach, size } = exec;
        let tty = spec.streams.tty;
        let plan = self.exec_plan(&spec)?;
        let stdin = match (spec.streams.stdin, attach) {
            (true, Some(AttachRequest { stdin: true, .. })) => Stdin::Once,
            _ => Stdin::Null,
        };
        let terminal = tty.then(|| size.unwrap_or_default());
        let exec = protocol::Exec { plan, streams: protocol::Streams { stdin, terminal } };
        self.ask(Ask::Exec { id, exec }).await?;
        let streams = match attach {
            Some(request) => {
                let request = request.to(Process::Exec(id), framing);
                let streams = Streams::connected(stream::attach(&self.run_dir(), request).await?);
                // Nobody asks for the code of a check, and its list is not this one.
                let execs = (!self.is_check(id)).then(|| Arc::clone(&self.execs));
                match execs {
                    Some(execs) => Some(streams.ending_after(async move { execs.ended(id).await })),
                    None => Some(streams),
                }
            }
            None => None,
        };
        let started = self.control()?.ask(Ask::StartExec { id }).await;
        match started.map_err(Error::internal("ask the guest's shim"))? {
            Answer::Started { pid } => Ok((pid, streams)),
            Answer::Failed(failure) => Err(failure.into()),
            other @ (Answer::Done | Answer::State(_)) => Err(out_of_turn(&other).into()),
        }
    }

    fn exec_plan(&self, spec: &ExecSpec) -> Result<Vec<u8>> {
        let cx = ExecContext {
            id: self.record.id,
            host: &self.engine.host,
            ids: self.record.id_range,
            cgroup_parent: &self.engine.config.cgroup_parent,
            seccomp: &self.engine.filters,
        };
        let guest = crate::planning::with_defaults(&self.record.spec, &self.engine.config);
        let plan = plan::exec(&guest, spec, &cx)
            .map_err(|source| Error::new(Kind::Invalid, crate::records::chain(&source)))?;
        postcard::to_allocvec(&plan).map_err(Error::internal("write the exec's plan"))
    }

    pub(super) async fn resize_exec(&mut self, id: ExecId, size: WindowSize) -> Result<()> {
        self.ask(Ask::Resize { process: Process::Exec(id), size }).await.map(drop)
    }

    /// Has the shim forget an exec that does not run: it remembers only so many.
    pub(super) async fn forget_exec(&mut self, id: ExecId) {
        // One that was never prepared is forgotten already, and a dead shim has forgotten all.
        self.ask(Ask::RemoveExec { id }).await.ok();
    }

    /// An exec ended: the shim may forget it, we remember its code for those who ask.
    pub(super) async fn on_exec_exit(&mut self, id: ExecId, exit: &ExitRecord) {
        self.exec_ended(id, exit).await;
        self.forget_exec(id).await;
    }

    pub(super) async fn exec_ended(&mut self, id: ExecId, exit: &ExitRecord) {
        if self.is_check(id) {
            return self.check_ended(id, exit).await;
        }
        let pid = match self.execs.view(id).map(|view| view.progress) {
            Some(Progress::Running(pid)) => pid,
            _ => 0,
        };
        self.execs.set(id, Progress::Ended { code: exit.code, pid });
        let extra = [("execID", id.to_string()), ("exitCode", exit.code.to_string())];
        self.publish("exec_die", &extra);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_ended_exec_is_forgotten_for_a_new_one() {
        let execs = Execs::default();
        // Newer ones have smaller ids.
        let ids: Vec<_> = (0..=u8::MAX).rev().map(|n| ExecId::from_random([n; 32])).collect();
        for id in &ids {
            execs.add(*id, ExecSpec::default()).unwrap();
            execs.set(*id, Progress::Running(1));
        }
        let new = ExecId::from_random([7; 32]);
        assert_eq!(execs.add(new, ExecSpec::default()).unwrap_err().kind, Kind::Unavailable);
        for id in &ids[10..] {
            execs.set(*id, Progress::Ended { code: 0, pid: 1 });
        }
        execs.add(new, ExecSpec::default()).unwrap();
        assert!(execs.view(ids[10]).is_none());
        assert!(execs.view(ids[9]).is_some() && execs.view(ids[255]).is_some());
    }
}
