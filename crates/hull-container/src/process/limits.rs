//! `setrlimit(2)`, set by the launcher: raising a limit takes a privilege of the host's.

use rustix::io::Errno;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};

use crate::failure::{Doing, Failure};
use crate::plan;

/// The kernel's numbers, in its order on x86 and ARM.
const RESOURCES: [Resource; 16] = [
    Resource::Cpu,
    Resource::Fsize,
    Resource::Data,
    Resource::Stack,
    Resource::Core,
    Resource::Rss,
    Resource::Nproc,
    Resource::Nofile,
    Resource::Memlock,
    Resource::As,
    Resource::Locks,
    Resource::Sigpending,
    Resource::Msgqueue,
    Resource::Nice,
    Resource::Rtprio,
    Resource::Rttime,
];

/// Sets `limits` for the process `pid`.
pub(crate) fn apply(pid: Pid, limits: &[plan::Rlimit]) -> Result<(), Failure> {
    for limit in limits {
        let resource = RESOURCES
            .get(usize::from(limit.resource))
            .ok_or_else(|| Failure::other(format!("no resource has number {}", limit.resource)))?;
        let new = Rlimit { current: limit.soft, maximum: limit.hard };
        match prlimit(Some(pid), *resource, new) {
            // A launcher without CAP_SYS_RESOURCE may not change another user's process. That process
            // sets what it may, and tells of what it may not.
            Ok(_) | Err(Errno::PERM) => {}
            Err(error) => return Err(error).doing(doing(*resource, limit)),
        }
    }
    Ok(())
}

/// In the process itself, at its end: sets what the launcher could not.
pub(crate) fn apply_own(limits: &[plan::Rlimit]) -> Result<(), Failure> {
    for limit in limits {
        let Some(resource) = RESOURCES.get(usize::from(limit.resource)) else { continue };
        let new = Rlimit { current: limit.soft, maximum: limit.hard };
        if getrlimit(*resource) != new {
            setrlimit(*resource, new).doing(doing(*resource, limit))?;
        }
    }
    Ok(())
}

fn doing(resource: Resource, limit: &plan::Rlimit) -> String {
    format!("set rlimit {resource:?} to {:?}:{:?}", limit.soft, limit.hard)
}
