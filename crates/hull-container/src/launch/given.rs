//! What a launch needs beside its plan: descriptors of the caller's, and words in between.

use std::fmt;
use std::os::fd::OwnedFd;

use rustix::process::Pid;

use super::Gate;
use crate::failure::Failure;

/// What the process's standard streams are.
#[derive(Debug)]
pub enum Stdio {
    /// These three: input, output, errors.
    Streams([OwnedFd; 3]),
    /// A new terminal, made inside the guest. Needs `process.terminal` in the plan.
    Terminal(WindowSize),
}

/// The size of a terminal in characters; zeros mean unknown.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct WindowSize {
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub columns: u16,
}

/// What the caller does between mounting and entering, with the process's number on the host.
pub type BeforeEntering<'a> = &'a mut dyn FnMut(Pid) -> Result<(), Failure>;

/// What a process is given by its launcher. Streams alone are enough ([`From`]).
pub struct Given<'a> {
    /// Standard streams.
    pub stdio: Stdio,
    /// As many as the plan's `process.preserved`; they become 3, 4 and so on.
    pub preserved: Vec<OwnedFd>,
    /// Where it can be left waiting to be started by another program.
    pub gate: Option<Gate>,
    /// Called if the plan says so, for hooks of the runtime's own namespace.
    pub before_entering: Option<BeforeEntering<'a>>,
}

impl From<Stdio> for Given<'_> {
    fn from(stdio: Stdio) -> Self {
        Self { stdio, preserved: Vec::new(), gate: None, before_entering: None }
    }
}

impl fmt::Debug for Given<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stdio, preserved, gate, before_entering } = self;
        f.debug_struct("Given")
            .field("stdio", stdio)
            .field("preserved", preserved)
            .field("gate", gate)
            .field("before_entering", &before_entering.is_some())
            .finish()
    }
}
