//! When an ended guest is started again.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::exit::Exit;

/// Docker's restart policies.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub enum RestartPolicy {
    /// Never.
    #[default]
    No,
    /// Whenever it ends, unless a user stopped it; and when the daemon starts.
    Always,
    /// As `Always`, but not at daemon start if a user had stopped it before.
    UnlessStopped,
    /// When it ends with a code other than 0.
    OnFailure {
        /// How often in a row; 0 for without end.
        retries: u32,
    },
}

/// What is known of a guest when it ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ending {
    /// How it ended.
    pub exit: Exit,
    /// Whether a user asked it to stop.
    pub stopped_by_user: bool,
    /// How often the policy has started it in a row.
    pub restarts: u32,
    /// How long it had run.
    pub ran: Duration,
    /// How long the policy waited the last time.
    pub last_delay: Duration,
}

/// First wait before a restart, doubled each time (moby `restartmanager`).
pub const DELAY_FIRST: Duration = Duration::from_millis(100);
/// Longest wait before a restart.
pub const DELAY_MAX: Duration = Duration::from_secs(60);
/// A guest that ran this long had started well: the wait begins anew.
pub const RAN_WELL: Duration = Duration::from_secs(10);

impl RestartPolicy {
    /// How long to wait before the next start; `None` to leave it ended.
    pub fn after(self, ending: &Ending) -> Option<Duration> {
        if ending.stopped_by_user {
            return None;
        }
        let again = match self {
            Self::No => false,
            Self::Always | Self::UnlessStopped => true,
            Self::OnFailure { retries } => {
                ending.exit.code != 0 && (retries == 0 || ending.restarts < retries)
            }
        };
        let delay = if ending.ran >= RAN_WELL {
            DELAY_FIRST
        } else {
            (ending.last_delay * 2).clamp(DELAY_FIRST, DELAY_MAX)
        };
        again.then_some(delay)
    }

    /// Whether a guest that does not run is started when the daemon starts.
    pub fn at_daemon_start(self, stopped_by_user: bool) -> bool {
        match self {
            Self::Always => true,
            Self::UnlessStopped => !stopped_by_user,
            Self::No | Self::OnFailure { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    fn ending(code: u8, restarts: u32) -> Ending {
        Ending {
            exit: Exit { code, oom_killed: false, at: Timestamp::EPOCH },
            stopped_by_user: false,
            restarts,
            ran: Duration::from_secs(1),
            last_delay: Duration::ZERO,
        }
    }

    #[test]
    fn policies_restart_as_dockers_do() {
        let on_failure = RestartPolicy::OnFailure { retries: 2 };
        assert_eq!(RestartPolicy::No.after(&ending(1, 0)), None);
        assert_eq!(RestartPolicy::Always.after(&ending(0, 99)), Some(DELAY_FIRST));
        assert_eq!(on_failure.after(&ending(0, 0)), None);
        assert_eq!(on_failure.after(&ending(1, 1)), Some(DELAY_FIRST));
        assert_eq!(on_failure.after(&ending(1, 2)), None);
        let stopped = Ending { stopped_by_user: true, ..ending(1, 0) };
        assert_eq!(RestartPolicy::Always.after(&stopped), None);
    }

    #[test]
    fn waits_double_up_to_a_minute_and_begin_anew_after_a_good_run() {
        let after =
            |last_delay| RestartPolicy::Always.after(&Ending { last_delay, ..ending(1, 0) });
        assert_eq!(after(DELAY_FIRST), Some(Duration::from_millis(200)));
        assert_eq!(after(DELAY_MAX), Some(DELAY_MAX));
        let well = Ending { ran: RAN_WELL, last_delay: DELAY_MAX, ..ending(1, 0) };
        assert_eq!(RestartPolicy::Always.after(&well), Some(DELAY_FIRST));
    }
}
