//! Bringing processes to life, and cleaning up after them, through hull-container.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use hull_container::cgroup::{Cgroup, OomWatch};
use hull_container::launch::{Assembled, Stdio, WindowSize};
use hull_container::plan::ExecPlan;
use hull_shim::plan::ShimPlan;
use hull_shim::protocol::{Failure, Phase, Stdin, Streams};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pipe::PipeFlags;
use rustix::process::Pid;

use crate::child::{Child, Ends, nanos};

/// How long a cgroup may stay busy with processes that were killed.
const REMOVE_MAX: Duration = Duration::from_secs(5);

/// Builds the guest up to where its process waits to be started.
pub(crate) fn build<'plan>(
    plan: &'plan ShimPlan,
    child: &mut Child,
) -> Result<Assembled<'plan>, Failure> {
    let spawned = hull_container::launch::spawn(&plan.launch)?;
    let (pid, pidfd) = (number(spawned.pid()), clone(spawned.pidfd())?);
    let (theirs, mut ours) = streams(plan.streams)?;
    let mut assembled = spawned.assemble(theirs)?;
    ours.terminal = assembled.terminal.take();
    connect(child, ours)?;
    child.exists(pidfd, Phase::Ready { pid });
    Ok(assembled)
}

/// Starts a process beside the guest's first one, and gives its number on the host.
pub(crate) fn exec(plan: &ExecPlan, init: &OwnedFd, child: &mut Child) -> Result<u32, Failure> {
    let (theirs, mut ours) = streams(child.streams)?;
    let executed = hull_container::exec::exec(plan, init.as_fd(), theirs)?;
    let pid = number(executed.running.pid);
    ours.terminal = executed.terminal;
    child.exists(executed.running.pidfd, Phase::Running { pid, started_at: nanos() });
    if let Err(failure) = connect(child, ours) {
        // It runs, but nobody could ever talk to it.
        child.signal(9).unwrap_or_default();
        return Err(failure);
    }
    Ok(pid)
}

/// Watches for the kernel finding no memory for the guest.
pub(crate) fn watch_memory(cgroup: &Cgroup) -> Option<OomWatch> {
    // Without it nothing is told before the end, whose record is made from the kernel's counter.
    cgroup.watch_oom().ok().flatten()
}

/// Whether the kernel killed in the guest for want of memory. Only while its cgroup exists.
pub(crate) fn was_oom_killed(cgroup: &Cgroup) -> bool {
    cgroup.oom_kills() > 0
}

/// Ends what is left in the cgroup, and removes it.
pub(crate) fn remove_cgroup(cgroup: &Cgroup) {
    // What stays is found by the daemon, by the guest's id in the path, and removed with it.
    cgroup.remove(REMOVE_MAX).unwrap_or_default();
}

pub(crate) fn clone(fd: BorrowedFd<'_>) -> Result<OwnedFd, Failure> {
    fd.try_clone_to_owned()
        .map_err(|error| Failure::other(format!("duplicate a process descriptor: {error}")))
}

fn number(pid: Pid) -> u32 {
    pid.as_raw_nonzero().get().unsigned_abs()
}

fn connect(child: &mut Child, ends: Ends) -> Result<(), Failure> {
    child.connect(ends).map_err(|error| Failure::other(format!("connect streams: {error}")))
}

/// What the process gets, and our ends of it.
fn streams(streams: Streams) -> Result<(Stdio, Ends), Failure> {
    if let Some(size) = streams.terminal {
        let size = WindowSize { rows: size.rows, columns: size.columns };
        return Ok((Stdio::Terminal(size), Ends::default()));
    }
    pipes(streams.stdin).map_err(|error| Failure::other(format!("make pipes: {error}")))
}

fn pipes(stdin: Stdin) -> Result<(Stdio, Ends), Errno> {
    let (in_theirs, in_ours) = match stdin {
        Stdin::Null => {
            let flags = OFlags::RDONLY | OFlags::CLOEXEC;
            (rustix::fs::open("/dev/null", flags, Mode::empty())?, None)
        }
        Stdin::Open | Stdin::Once => {
            let (theirs, ours) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
            (theirs, Some(ours))
        }
    };
    let (out_ours, out_theirs) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    let (err_ours, err_theirs) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    let ends =
        Ends { stdin: in_ours, stdout: Some(out_ours), stderr: Some(err_ours), terminal: None };
    Ok((Stdio::Streams([in_theirs, out_theirs, err_theirs]), ends))
}
