//! Scheduling of the process, set by the launcher: most of it takes a privilege of the host's.

use std::io;

use hull_sys::schedule;
use rustix::process::Pid;

use crate::failure::{Doing, Failure};
use crate::plan::{IoPriority, Process};

/// Sets processors, scheduler and disk priority of the process `pid`, which has one thread.
pub(crate) fn apply(pid: Pid, process: &Process) -> Result<(), Failure> {
    // A deadline task may not be moved any more, so processors come first.
    let last = &process.affinity.last;
    if !last.is_empty() {
        schedule::set_affinity(Some(pid), last).doing(format!("run on processors {last:?}"))?;
    }
    if let Some(wanted) = process.scheduler {
        let attributes = schedule::Attributes {
            policy: wanted.policy,
            flags: wanted.flags,
            nice: wanted.nice,
            priority: wanted.priority,
            runtime: wanted.runtime,
            deadline: wanted.deadline,
            period: wanted.period,
        };
        schedule::set(pid, attributes).map_err(|error| explain(&error, &wanted))?;
    }
    if let Some(IoPriority { class, priority }) = process.io_priority {
        schedule::set_io_priority(pid, class, priority)
            .doing(format!("set io priority {priority} of class {class}"))?;
    }
    Ok(())
}

fn explain(error: &io::Error, wanted: &crate::plan::Scheduler) -> Failure {
    let hint = if error.kind() == io::ErrorKind::PermissionDenied {
        "; hint: it takes CAP_SYS_NICE and, on cgroup v1, a share of cpu.rt_runtime_us"
    } else {
        "; hint: see sched(7) for what each policy takes"
    };
    Failure::other(format!("set scheduler {wanted:?}: {error}{hint}"))
}

/// What the process sets itself: its personality and where its memory comes from.
pub(crate) fn apply_own(process: &Process) -> Result<(), Failure> {
    if let Some(persona) = process.personality {
        schedule::set_personality(persona).doing(format!("set personality {persona:#x}"))?;
    }
    if let Some(policy) = &process.memory_policy {
        let (mode, nodes) = (policy.mode, &policy.nodes);
        schedule::set_memory_policy(mode, nodes).map_err(|error| {
            if error.kind() == io::ErrorKind::Unsupported {
                return Failure::other("not supported by this kernel: memory policies (NUMA)");
            }
            Failure::other(format!("set memory policy {mode:#x} for nodes {nodes:?}: {error}"))
        })?;
    }
    Ok(())
}
