//! Waiting for a guest's end.

use super::view::Watch;
use crate::error::Result;

/// What to wait for, as in Docker's `condition`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum WaitFor {
    /// That it does not run; at once if so. One that ends and is started again has not run in between.
    #[default]
    NotRunning,
    /// Its next end, also if it does not run now.
    NextExit,
    /// That it is removed.
    Removed,
}

/// Waits from the moment of the call, not of the first poll: an end in between is not missed. Gives the
/// exit code, 0 for a guest that never ran; an error if the engine closes first.
pub(super) fn wait(
    mut watch: Watch,
    until: WaitFor,
) -> impl Future<Output = Result<u8>> + Send + 'static {
    let exits = watch.now().exits;
    async move {
        let view = watch
            .until(|view| {
                view.removed
                    || match until {
                        WaitFor::NotRunning => !view.is_running() || view.exits > exits,
                        WaitFor::NextExit => view.exits > exits,
                        WaitFor::Removed => false,
                    }
            })
            .await?;
        Ok(view.record.exit.map_or(0, |exit| exit.code))
    }
}
