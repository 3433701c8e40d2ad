//! Processes by number and start time: numbers are used again.

use std::fs;
use std::os::fd::OwnedFd;

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};

use crate::failure::{Doing, Failure};

/// One process and no other.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Identity {
    /// Its number.
    pub(crate) pid: i32,
    /// When it started, in clock ticks since boot (field 22 of `proc_pid_stat(5)`).
    pub(crate) start_time: u64,
}

impl Identity {
    /// The process that has this number now.
    pub(crate) fn of(pid: Pid) -> Result<Self, Failure> {
        let pid = pid.as_raw_nonzero().get();
        let path = format!("/proc/{pid}/stat");
        let text = fs::read_to_string(&path).doing(format!("read {path}"))?;
        let (_, start_time) =
            parse(&text).ok_or_else(|| Failure::new(format!("read {path}: not understood")))?;
        Ok(Self { pid, start_time })
    }

    /// Whether it lives; one that only waits to be reaped does not.
    pub(crate) fn lives(&self) -> bool {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        parse(&text).is_some_and(|(state, start_time)| {
            start_time == self.start_time && !matches!(state, 'Z' | 'X')
        })
    }
}

/// A descriptor of `identity`, or `None` if it has ended.
pub(crate) fn open(identity: &Identity) -> Result<Option<OwnedFd>, Failure> {
    let Some(pid) = Pid::from_raw(identity.pid) else { return Ok(None) };
    let opened = match pidfd_open(pid, PidfdFlags::empty()) {
        Err(rustix::io::Errno::SRCH) => return Ok(None),
        opened => opened.doing(format!("open process {}", identity.pid))?,
    };
    // Opened first, then looked at: what has the right start time now is what was opened.
    Ok(identity.lives().then_some(opened))
}

/// State and start time. The name before them is in parentheses and may contain anything.
fn parse(stat: &str) -> Option<(char, u64)> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?.chars().next()?;
    // State is field 3, start time field 22.
    let start_time = fields.nth(18)?.parse().ok()?;
    Some((state, start_time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_do_not_hide_the_fields() {
        let numbers: Vec<String> = (4..=52).map(|n| n.to_string()).collect();
        let line = format!("7 (a) R 1 (b)) S {}", numbers.join(" "));
        assert_eq!(parse(&line), Some(('S', 22)));
        assert_eq!(parse("7 (x"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn another_process_of_the_same_number_is_not_it() {
        let own = Identity::of(rustix::process::getpid()).unwrap();
        assert!(own.lives());
        assert!(open(&own).unwrap().is_some());
        let other = Identity { start_time: own.start_time + 1, ..own };
        assert!(!other.lives());
        assert!(open(&other).unwrap().is_none());
    }
}
