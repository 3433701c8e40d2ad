//! The life of a guest, as a table.
//!
//! ```text
//!    ┌───── Failed ──────┐
//!    ▼                   │
//! Created ──Start──▶ Starting ──Started──▶ Running ──Pause──▶ Paused
//!    │        ▲          │                  │   ▲─────Resume─────┘
//!    │        │          └─────── Died ─────┴──────▶ Exited ──Start──▶ Starting
//!    └────────┴── Remove ──▶ Removing ◀── Remove ──────┘
//! ```
//!
//! Containers, system containers and VMs share this life; what differs is how an [`Action`] is
//! carried out, which is not this module's business.

use serde::{Deserialize, Serialize};

use crate::exit::Exit;

/// Where a guest is in its life.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum State {
    /// Has a root filesystem and a record, no process yet.
    Created,
    /// Being launched; not yet heard from.
    Starting,
    /// Its first process runs.
    Running,
    /// Frozen by us; resumes where it stopped.
    Paused,
    /// Its first process is gone.
    Exited(Exit),
    /// Its files are being deleted; only the end of that is left.
    Removing,
}

/// Something that happened: a request from outside or news from the guest.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Event {
    /// A user (or a restart policy) asks to start.
    Start,
    /// The guest reports that it runs.
    Started,
    /// A user asks to freeze.
    Pause,
    /// A user asks to thaw.
    Resume,
    /// A guest that has never run could not be started.
    Failed,
    /// The guest's first process ended, or could not be started again.
    Died(Exit),
    /// A user asks to delete it.
    Remove,
}

/// What the engine must now do to the machine.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// Launch the guest's first process.
    Launch,
    /// Stop scheduling it.
    Freeze,
    /// Schedule it again.
    Thaw,
    /// Give back what only a living guest needs: address, id range, cgroup.
    Release,
    /// Delete its files and its record.
    Delete,
}

/// The request makes no sense in this state. Becomes HTTP 409 or 304 at the edge.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("cannot {} a guest that is {}", event.verb(), state.name())]
pub struct Refused {
    /// Where the guest is.
    pub state: State,
    /// What was asked of it.
    pub event: Event,
}

impl State {
    /// Docker's word for it (`State.Status` of `inspect`).
    pub fn name(&self) -> &'static str {
        match self {
            Self::Created | Self::Starting => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Exited(_) => "exited",
            Self::Removing => "removing",
        }
    }

    /// Whether the guest has, or is about to have, a living first process.
    pub fn is_alive(&self) -> bool {
        matches!(self, Self::Starting | Self::Running | Self::Paused)
    }
}

impl Event {
    fn verb(&self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Started => "report as started",
            Self::Pause => "pause",
            Self::Resume => "unpause",
            Self::Failed => "report as not started",
            Self::Died(_) => "report as ended",
            Self::Remove => "remove",
        }
    }
}

/// What comes after `state` when `event` happens, and what must be done about it.
pub fn step(state: State, event: Event) -> Result<(State, Option<Action>), Refused> {
    use {Action as A, Event as E, State as S};
    match (event, state) {
        (E::Start, S::Created | S::Exited(_)) => Ok((S::Starting, Some(A::Launch))),
        (E::Started, S::Starting) => Ok((S::Running, None)),
        (E::Pause, S::Running) => Ok((S::Paused, Some(A::Freeze))),
        (E::Resume, S::Paused) => Ok((S::Running, Some(A::Thaw))),
        (E::Failed, S::Starting) => Ok((S::Created, Some(A::Release))),
        (E::Died(exit), S::Starting | S::Running | S::Paused) => {
            Ok((S::Exited(exit), Some(A::Release)))
        }
        (E::Remove, S::Created | S::Exited(_) | S::Removing) => Ok((S::Removing, Some(A::Delete))),
        // Names every event, so that a new one does not compile until it has its rows.
        (E::Start | E::Started | E::Pause | E::Resume | E::Failed | E::Died(_) | E::Remove, _) => {
            Err(Refused { state, event })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    const EXIT: Exit = Exit { code: 137, oom_killed: false, at: Timestamp::EPOCH };

    #[test]
    fn an_exited_guest_can_start_again() {
        let next = step(State::Exited(EXIT), Event::Start);
        assert_eq!(next, Ok((State::Starting, Some(Action::Launch))));
    }

    #[test]
    fn every_living_state_ends_in_release() {
        for state in [State::Starting, State::Running, State::Paused] {
            let next = step(state, Event::Died(EXIT));
            assert_eq!(next, Ok((State::Exited(EXIT), Some(Action::Release))));
        }
    }

    #[test]
    fn a_first_start_that_fails_leaves_a_created_guest() {
        let next = step(State::Starting, Event::Failed);
        assert_eq!(next, Ok((State::Created, Some(Action::Release))));
        for state in [State::Created, State::Running, State::Paused, State::Exited(EXIT)] {
            assert!(step(state, Event::Failed).is_err(), "{state:?}");
        }
    }

    #[test]
    fn nothing_comes_back_from_removing() {
        let others = [Event::Start, Event::Started, Event::Pause, Event::Resume, Event::Died(EXIT)];
        for event in others {
            assert!(step(State::Removing, event).is_err(), "{event:?}");
        }
        // A deletion that failed half-way is tried again.
        assert!(step(State::Removing, Event::Remove).is_ok());
    }

    #[test]
    fn refusals_name_state_and_request() {
        let refused = step(State::Created, Event::Pause).unwrap_err();
        assert_eq!(refused.to_string(), "cannot pause a guest that is created");
        assert!(step(State::Running, Event::Remove).is_err());
    }
}
