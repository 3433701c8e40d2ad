//! The guest's first process and those added to it.

use std::time::Instant;

use hull_container::plan::ExecPlan;
use hull_model::id::ExecId;
use hull_shim::protocol::{Exec, Failure, Kind, Phase, Process};

use rustix::process::{WaitOptions, waitpid};

use crate::child::Child;

/// Processes that can be prepared or running at once, and not yet forgotten.
const EXECS_MAX: usize = 1024;

/// Children nobody asked for that are waited for in one turn, before others have theirs.
const STRAYS_MAX: usize = 256;

/// `SIGKILL` (`signal(7)`).
const KILL: i32 = 9;

/// All processes the shim is the parent of.
#[derive(Debug)]
pub(crate) struct Children {
    pub(crate) guest: Child,
    execs: Vec<Added>,
}

/// A process that was added.
#[derive(Debug)]
struct Added {
    id: ExecId,
    child: Child,
    /// Until it is started.
    plan: Option<Box<ExecPlan>>,
}

impl Children {
    pub(crate) fn new(guest: Child) -> Self {
        Self { guest, execs: Vec::new() }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Process, &Child)> {
        let execs = self.execs.iter().map(|added| (Process::Exec(added.id), &added.child));
        std::iter::once((Process::Guest, &self.guest)).chain(execs)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (Process, &mut Child)> {
        let execs = self.execs.iter_mut().map(|added| (Process::Exec(added.id), &mut added.child));
        std::iter::once((Process::Guest, &mut self.guest)).chain(execs)
    }

    pub(crate) fn get_mut(&mut self, process: Process) -> Result<&mut Child, Failure> {
        match process {
            Process::Guest => Ok(&mut self.guest),
            Process::Exec(id) => Ok(&mut self.exec_mut(id)?.child),
        }
    }

    /// Each added process and where it is.
    pub(crate) fn phases(&self) -> Vec<(ExecId, Phase)> {
        self.execs.iter().map(|added| (added.id, added.child.phase.clone())).collect()
    }

    /// Whether a process added to the guest runs, or its end is not reported yet.
    pub(crate) fn any_exec_runs(&self) -> bool {
        self.execs.iter().any(|added| matches!(added.child.phase, Phase::Running { .. }))
    }

    /// Waits for children that have ended and that nobody here asked for; gives whether it saw the
    /// last of them.
    ///
    /// A process that was added to the guest can make others whose parent is its own, which is the
    /// shim (`CLONE_PARENT`). One of those that nobody waits for would keep the guest's process
    /// namespace from ending, and with it the guest, for ever.
    pub(crate) fn reap_strays(&mut self, now: Instant) -> bool {
        for _ in 0..STRAYS_MAX {
            let Ok(Some(pid)) = hull_sys::supervise::ended_child() else { return true };
            let number = u32::try_from(pid.as_raw_nonzero().get()).ok();
            match self.iter_mut().find(|(_, child)| child.number() == number) {
                Some((_, known)) => known.reap(now),
                // It has ended, so this does not wait; its status is nobody's business.
                None => waitpid(Some(pid), WaitOptions::NOHANG).map(drop).unwrap_or_default(),
            }
        }
        false
    }

    /// Ends all added processes.
    pub(crate) fn kill_execs(&self) {
        for added in &self.execs {
            // One that is gone already is what we want.
            added.child.signal(KILL).unwrap_or_default();
        }
    }

    /// Prepares a process.
    pub(crate) fn add(&mut self, id: ExecId, exec: &Exec) -> Result<(), Failure> {
        let plan: ExecPlan = postcard::from_bytes(&exec.plan).map_err(|error| {
            let text = format!("exec {}: the plan cannot be read: {error}", id.short());
            Failure::other(text + "; hint: a guest started by another version must be restarted")
        })?;
        if plan.process.terminal != exec.streams.terminal.is_some() {
            return Err(Failure::other("the plan and the streams disagree on a terminal"));
        }
        if self.exec_mut(id).is_ok() {
            return Err(Failure::other(format!("exec {} exists already", id.short())));
        }
        if self.execs.len() >= EXECS_MAX {
            return Err(Failure::other(format!("there are {EXECS_MAX} execs already")));
        }
        let child = Child::new(exec.streams);
        self.execs.push(Added { id, child, plan: Some(Box::new(plan)) });
        Ok(())
    }

    /// Takes the plan of a prepared process, to be started once.
    pub(crate) fn take_plan(&mut self, id: ExecId) -> Result<Box<ExecPlan>, Failure> {
        self.exec_mut(id)?
            .plan
            .take()
            .ok_or_else(|| Failure::other(format!("exec {} was started before", id.short())))
    }

    /// Forgets a process that does not run.
    pub(crate) fn remove(&mut self, id: ExecId) -> Result<(), Failure> {
        let phase = &self.exec_mut(id)?.child.phase;
        if matches!(phase, Phase::Ready { .. } | Phase::Running { .. }) {
            return Err(Failure::other(format!("exec {} is running", id.short())));
        }
        self.execs.retain(|added| added.id != id);
        Ok(())
    }

    /// Records that a process could not be started.
    pub(crate) fn failed(&mut self, id: ExecId, failure: Failure) {
        if let Ok(added) = self.exec_mut(id) {
            added.child.failed(failure);
        }
    }

    fn exec_mut(&mut self, id: ExecId) -> Result<&mut Added, Failure> {
        self.execs
            .iter_mut()
            .find(|added| added.id == id)
            .ok_or_else(|| Failure::new(Kind::NotRunning, format!("no exec {}", id.short())))
    }
}
