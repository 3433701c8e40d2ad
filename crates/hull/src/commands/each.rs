//! The same for each of several names: go on after a failure, and tell all of them.

use std::fmt::Display;

use crate::client::{Client, ClientError};
use crate::failure::{Failure, GENERAL};
use crate::output;

/// Collects what went wrong with single names.
#[derive(Default)]
pub(crate) struct Failures(bool);

impl Failures {
    /// Tells a failure and remembers that there was one.
    pub(crate) fn tell(&mut self, error: impl Into<Failure>) {
        self.0 = true;
        if let Failure::Message { text, .. } = error.into() {
            output::talk(text);
        }
    }

    /// Tells something that went wrong in words of its own.
    pub(crate) fn say(&mut self, text: impl Display) {
        self.0 = true;
        output::talk(text);
    }

    /// Ends the command.
    ///
    /// # Errors
    /// Status 1 when anything failed.
    pub(crate) fn end(self) -> Result<(), Failure> {
        if self.0 { Err(Failure::Status(GENERAL)) } else { Ok(()) }
    }
}

/// Sends one request per name and prints each name that succeeded.
///
/// # Errors
/// Status 1 when any failed; the reasons are told as they happen.
pub(crate) async fn name(
    client: &Client,
    names: &[String],
    call: impl Fn(&str) -> crate::client::call::Call,
) -> Result<(), Failure> {
    let mut failures = Failures::default();
    for name in names {
        let answer: Result<_, ClientError> = client.bytes(call(name)).await;
        match answer {
            Ok(_) => output::line(name)?,
            Err(error) => failures.tell(error),
        }
    }
    failures.end()
}
