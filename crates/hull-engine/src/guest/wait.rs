//! Waiting for a guest's end.

use crate::error::Result;

use super::view::{View, Watch};

/// What to wait for, as in Docker's `condition`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum WaitFor {
    /// That it does not run; at once if so.
    #[default]
    NotRunning,
    /// Its next end, also if it does not run now.
    NextExit,
    /// That it is removed.
    Removed,
}

/// How the waiting ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Waited {
    /// The exit code; 0 for a guest that never ran.
    pub code: u8,
    /// Why it could not be started, if that is how it ended.
    pub error: Option<String>,
}

/// Waits from the moment of the call, not of the first poll: an end in between is not missed.
pub(super) fn wait(
    mut watch: Watch,
    until: WaitFor,
) -> impl Future<Output = Result<Waited>> + Send + 'static {
    let exits = watch.now().exits;
    async move {
        let view = watch
            .until(|view| {
                view.removed
                    || match until {
                        WaitFor::NotRunning => !view.is_running(),
                        WaitFor::NextExit => view.exits > exits,
                        WaitFor::Removed => false,
                    }
            })
            .await;
        Ok(outcome(&view))
    }
}

fn outcome(view: &View) -> Waited {
    let error = &view.record.error;
    Waited {
        code: view.record.exit.map_or(0, |exit| exit.code),
        error: (!error.is_empty()).then(|| error.clone()),
    }
}
