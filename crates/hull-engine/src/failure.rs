//! Failures of a process to start, as clients see them.

use hull_container::{Failure, Kind as Cause};
use hull_shim::exit::ExitRecord;

use crate::error::{Error, Kind};

/// A process that was not started: the error for whoever asked, the code for its record.
///
/// The message is passed on as it is: Docker's clients look for "executable file not found" and
/// "permission denied" in it (docker/cli `cli/command/container/run.go`, `toStatusError`).
#[derive(Debug)]
pub(crate) struct NotStarted {
    pub(crate) error: Error,
    pub(crate) code: u8,
}

/// Docker's code for a container that failed to start for reasons of the engine (moby
/// `daemon/start.go`).
pub(crate) const CODE_ENGINE: u8 = 128;

impl From<Error> for NotStarted {
    fn from(error: Error) -> Self {
        Self { error, code: CODE_ENGINE }
    }
}

impl From<Failure> for NotStarted {
    fn from(failure: Failure) -> Self {
        let code = ExitRecord::of_failure(failure.clone(), 0).code;
        Self { error: of_shim(failure), code }
    }
}

/// A shim's refusal in the engine's terms.
pub(crate) fn of_shim(failure: Failure) -> Error {
    let kind = match failure.kind {
        Cause::CommandNotFound
        | Cause::NotExecutable
        | Cause::NoSuchUser
        | Cause::NoSuchDirectory
        | Cause::NoSuchSource => Kind::Invalid,
        Cause::NotRunning => Kind::Conflict,
        Cause::Other => Kind::Internal,
    };
    Error::new(kind, failure.message)
}
