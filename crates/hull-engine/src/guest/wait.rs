//! Waiting for a guest's end.

use super::view::Watch;

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

/// Waits from the moment of the call, not of the first poll: an end in between is not missed. Gives the
/// exit code; 0 for a guest that never ran.
pub(super) fn wait(mut watch: Watch, until: WaitFor) -> impl Future<Output = u8> + Send + 'static {
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
        view.record.exit.map_or(0, |exit| exit.code)
    }
}
