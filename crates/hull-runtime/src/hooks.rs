//! Hooks that run in the runtime's own namespaces.

use hull_container::hook;
use serde_json::Value;

use crate::config::Hook;
use crate::failure::Failure;
use crate::log::Log;
use crate::plan;

/// Runs `hooks` in order; the first that fails ends it.
pub(crate) fn run(hooks: &[Hook], name: &str, state: &Value, log: &Log) -> Result<(), Failure> {
    let state = state.to_string();
    for (at, wanted) in hooks.iter().enumerate() {
        log.debug(&format!("run hook {name}[{at}]: {}", wanted.path));
        hook::run(&plan::hook(wanted), &state)
            .map_err(|failure| Failure::from(failure).during(format!("hook {name}[{at}]")))?;
    }
    Ok(())
}

/// Runs all of `hooks`; failures are only told, as the specification wants for those that come
/// after the fact.
pub(crate) fn run_all(hooks: &[Hook], name: &str, state: &Value, log: &Log) {
    for hook in hooks {
        if let Err(failure) = run(std::slice::from_ref(hook), name, state, log) {
            log.warning(&failure.to_string());
        }
    }
}
