//! `setrlimit(2)`, set by the launcher: raising a limit takes a privilege of the host's.

use rustix::process::{Pid, Resource, Rlimit, prlimit};

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
        prlimit(Some(pid), *resource, new)
            .doing(format!("set rlimit {resource:?} to {:?}:{:?}", limit.soft, limit.hard))?;
    }
    Ok(())
}
