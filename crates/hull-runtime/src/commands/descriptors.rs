//! Descriptors of the caller's that the process is given: `--preserve-fds` and `LISTEN_FDS`.

use std::fs;
use std::os::fd::OwnedFd;

use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};

use crate::arguments::Options;
use crate::failure::{Doing, Failure};

/// The most that can be passed: more would be a mistake.
const COUNT_MAX: u32 = 1_024;
/// `O_CLOEXEC`, as `/proc/PID/fdinfo` shows it.
const CLOSE_ON_EXEC: u32 = 0o2_000_000;

/// How many, from descriptor 3 on.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Passed {
    /// Sockets from systemd, or who speaks its protocol.
    listening: u32,
    /// Others.
    further: u32,
}

impl Passed {
    /// As flags and environment say. Each must be open.
    pub(super) fn by(options: &Options) -> Result<Self, Failure> {
        let further = options.number("preserve-fds")?.unwrap_or(0);
        let ours = variable("LISTEN_PID") == Some(std::process::id());
        let listening = if ours { variable("LISTEN_FDS").unwrap_or(0) } else { 0 };
        let passed = Self { listening, further };
        if further > COUNT_MAX || listening > COUNT_MAX {
            return Err(Failure::new(format!(
                "--preserve-fds: {} descriptors are more than {COUNT_MAX}",
                further.saturating_add(listening)
            )));
        }
        for number in 3..3 + passed.count() {
            // Our own are all close-on-exec, and none of them may go inside.
            if fdinfo_flags(number).is_none_or(|flags| flags & CLOSE_ON_EXEC != 0) {
                return Err(Failure::new(format!(
                    "--preserve-fds: descriptor {number} was not passed to this program"
                )));
            }
        }
        Ok(passed)
    }

    /// Copies of them.
    pub(super) fn take(self) -> Result<Vec<OwnedFd>, Failure> {
        if self.count() == 0 {
            return Ok(Vec::new());
        }
        let own = pidfd_open(getpid(), PidfdFlags::empty()).doing("open this process")?;
        let copy = |number: u32| {
            let number = i32::try_from(number).doing("copy a descriptor")?;
            // Not by its path below /proc: that would open a file anew and fail for a socket.
            pidfd_getfd(&own, number, PidfdGetfdFlags::empty())
                .doing(format!("copy descriptor {number}"))
        };
        (3..3 + self.count()).map(copy).collect()
    }

    /// How many there are.
    pub(super) fn count(self) -> u32 {
        self.listening + self.further
    }

    /// What tells the process of the sockets.
    pub(super) fn variables(self) -> Vec<String> {
        if self.listening == 0 {
            return Vec::new();
        }
        // Its number inside, as runc says it too.
        vec![format!("LISTEN_FDS={}", self.listening), "LISTEN_PID=1".to_owned()]
    }
}

fn variable(name: &str) -> Option<u32> {
    std::env::var(name).ok()?.parse().ok()
}

fn fdinfo_flags(number: u32) -> Option<u32> {
    let text = fs::read_to_string(format!("/proc/self/fdinfo/{number}")).ok()?;
    let flags = text.lines().find_map(|line| line.strip_prefix("flags:"))?;
    u32::from_str_radix(flags.trim(), 8).ok()
}
