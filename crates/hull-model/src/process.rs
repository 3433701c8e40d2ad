//! The first process of a guest, and processes added to it.

use serde::{Deserialize, Serialize};

/// What to run, and as whom. Paths and users are looked up inside the guest.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Process {
    /// Docker's `Entrypoint`; `None` takes the image's.
    pub entrypoint: Option<Vec<String>>,
    /// Docker's `Cmd`; `None` takes the image's.
    pub cmd: Option<Vec<String>>,
    /// `KEY=VALUE`, later ones win.
    pub env: Vec<String>,
    /// Absolute; `None` takes the image's, or `/`.
    pub cwd: Option<String>,
    /// `user`, `uid`, `user:group`, `uid:gid`; empty takes the image's, or root.
    pub user: String,
    /// Further groups, by name or number.
    pub groups: Vec<String>,
}

impl Process {
    /// The words to execute: entrypoint, then command.
    pub fn args(&self) -> Vec<String> {
        let words = |part: &Option<Vec<String>>| part.clone().unwrap_or_default();
        [words(&self.entrypoint), words(&self.cmd)].concat()
    }
}

/// How a process is connected to the outside.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Streams {
    /// A pseudo-terminal in place of three pipes.
    pub tty: bool,
    /// Keep standard input open; otherwise it is `/dev/null`.
    pub stdin: bool,
    /// Close standard input when the first attached client goes.
    pub stdin_once: bool,
    /// What the creator announced it would attach to; shown in `inspect`, no more.
    pub attach: [bool; 3],
    /// Size the terminal begins with; `None` until a client says it.
    pub window: Option<WindowSize>,
}

/// Size of a terminal in characters.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[expect(missing_docs, reason = "the names say it all")]
pub struct WindowSize {
    pub rows: u16,
    pub columns: u16,
}

/// A further process in a running guest.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct ExecSpec {
    /// The words to execute; never empty.
    pub args: Vec<String>,
    /// Added to the guest's own environment.
    pub env: Vec<String>,
    /// `None` takes the guest's.
    pub cwd: Option<String>,
    /// Empty takes the guest's.
    pub user: String,
    /// How it is connected.
    pub streams: Streams,
    /// All capabilities, no seccomp filter.
    pub privileged: bool,
    /// Keys that detach a client, in Docker's notation; empty for the default.
    pub detach_keys: String,
}
