//! Where, when and how preferably a process runs.

use std::io;
use std::mem::size_of;

use rustix::process::Pid;

/// What `sched_setattr(2)` sets.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Attributes {
    /// `SCHED_*`.
    pub policy: u32,
    /// `SCHED_FLAG_*`.
    pub flags: u64,
    /// For `SCHED_OTHER` and `SCHED_BATCH`.
    pub nice: i32,
    /// For `SCHED_FIFO` and `SCHED_RR`.
    pub priority: u32,
    /// For `SCHED_DEADLINE`, nanoseconds.
    pub runtime: u64,
    /// Likewise.
    pub deadline: u64,
    /// Likewise.
    pub period: u64,
}

/// `struct sched_attr` of `linux/sched/types.h`, version 0.
#[repr(C)]
struct Raw {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
}

/// Sets the scheduling of the thread `pid`.
pub fn set(pid: Pid, attributes: Attributes) -> io::Result<()> {
    let Attributes { policy, flags, nice, priority, runtime, deadline, period } = attributes;
    let size = u32::try_from(size_of::<Raw>()).unwrap_or(0);
    let raw = Raw { size, policy, flags, nice, priority, runtime, deadline, period };
    let pid = pid.as_raw_nonzero().get();
    // SAFETY: the structure outlives the call, which reads as many bytes as `size` says.
    let returned = unsafe { libc::syscall(libc::SYS_sched_setattr, pid, &raw const raw, 0) };
    crate::checked(returned).map(drop)
}

/// Sets the disk priority of the thread `pid`: 1 real time, 2 best effort, 3 idle, each 0 to 7.
pub fn set_io_priority(pid: Pid, class: u8, priority: u8) -> io::Result<()> {
    /// `linux/ioprio.h`.
    const IOPRIO_WHO_PROCESS: libc::c_int = 1;
    let value = libc::c_int::from(class) << 13 | libc::c_int::from(priority);
    let pid = pid.as_raw_nonzero().get();
    // SAFETY: the call takes numbers and touches no memory of ours.
    let returned = unsafe { libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, pid, value) };
    crate::checked(returned).map(drop)
}

/// Lets the thread `pid`, or the calling one, run on these processors only.
///
/// The kernel leaves out those that do not exist or that the cpuset forbids, and refuses with
/// `EINVAL` if none remains. Numbers above [`NUMBER_MAX`] are refused too.
pub fn set_affinity(pid: Option<Pid>, processors: &[u32]) -> io::Result<()> {
    let mask = mask(processors)?;
    let pid = pid.map_or(0, |pid| pid.as_raw_nonzero().get());
    let length = mask.len() * size_of::<u64>();
    // SAFETY: the mask outlives the call and is as long as said.
    let returned =
        unsafe { libc::syscall(libc::SYS_sched_setaffinity, pid, length, mask.as_ptr()) };
    crate::checked(returned).map(drop)
}

/// Sets from which memory nodes the calling thread, and what it executes, takes its memory.
///
/// `mode` is `MPOL_*` with `MPOL_F_*` of `linux/mempolicy.h`.
pub fn set_memory_policy(mode: u32, nodes: &[u32]) -> io::Result<()> {
    let mask = if nodes.is_empty() { Vec::new() } else { mask(nodes)? };
    // The kernel takes one bit fewer than it is told.
    let bits = if mask.is_empty() { 0 } else { mask.len() * 64 + 1 };
    let pointer = if mask.is_empty() { std::ptr::null() } else { mask.as_ptr() };
    // SAFETY: the mask is null with no bits, or outlives the call and has all bits that are read.
    let returned = unsafe { libc::syscall(libc::SYS_set_mempolicy, mode, pointer, bits) };
    crate::checked(returned).map(drop)
}

/// Sets the execution domain of the calling process (`personality(2)`), kept through exec.
pub fn set_personality(persona: u32) -> io::Result<()> {
    // SAFETY: the call takes a number and touches no memory of ours.
    let returned = unsafe { libc::personality(persona.into()) };
    crate::checked(returned.into()).map(drop)
}

/// The highest number of a processor or node: the kernel's largest `NR_CPUS`.
pub const NUMBER_MAX: u32 = 8_191;

/// A bit for each number, in the kernel's words.
fn mask(numbers: &[u32]) -> io::Result<Vec<u64>> {
    let highest = numbers.iter().copied().max().unwrap_or(0);
    if highest > NUMBER_MAX {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // A processor's number is an index below 8,192, which fits.
    let word = |number: u32| (number / 64) as usize;
    let mut mask = vec![0_u64; word(highest) + 1];
    for number in numbers {
        mask[word(*number)] |= 1 << (number % 64);
    }
    Ok(mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_have_a_bit_for_each_number() {
        assert_eq!(mask(&[0, 2, 64]).unwrap(), [5, 1]);
        assert_eq!(mask(&[]).unwrap(), [0]);
        assert!(mask(&[NUMBER_MAX + 1]).is_err());
        assert!(mask(&[u32::MAX]).is_err());
    }
}
