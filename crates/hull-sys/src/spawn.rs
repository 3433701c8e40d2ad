//! Starting programs on the host.

use std::ffi::OsStr;
use std::process::Command;

/// A command with an empty environment, to be filled by the caller.
///
/// `std` opens every descriptor close-on-exec and, as long as no `pre_exec` is set, starts the
/// program with `posix_spawn`, so a large or threaded caller is not forked.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    #[expect(clippy::disallowed_methods, reason = "this is the place the rule points to")]
    let mut command = Command::new(program);
    command.env_clear();
    command
}
