//! What daemon and shim say to each other. Every message is one frame (see [`crate::frame`]).
//!
//! Every connection begins with [`Request::Hello`], answered by [`Message::Welcome`]. After that it
//! is a *control* connection, on which each [`Ask`] gets one [`Answer`] with the same number and
//! [`Event`]s come unasked; or the client sends one [`Request::Attach`], and after
//! [`Message::Attached`] the connection is a plain stream: output in Docker's format towards the
//! client, input as it is towards the process. A client may send `Hello` and `Attach` together.
//!
//! `Welcome` comes once the guest is built, so its state is [`Phase::Ready`] or, if it could not
//! be, [`Phase::Exited`]; a new daemon may also find it running.
//!
//! Order: an exit is reported only after the output of the process was written to the log and to
//! the attached clients, and after those connections were closed.

pub use hull_container::{Failure, Kind};
use hull_model::id::ExecId;
use hull_model::signal::Signal;
use serde::{Deserialize, Serialize};

use crate::exit::ExitRecord;

/// The version of this protocol, the plan file included.
///
/// Both sides say theirs. `Hello`, `Welcome`, `Refused` and the two enums' first variants keep their
/// encoding for ever, so that a daemon can always tell why it cannot talk to an old shim.
pub const VERSION: u32 = 3;

/// The first bytes of every connection's first message.
pub const MAGIC: [u8; 4] = *b"hull";

/// From the client.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Request {
    /// The first message of every connection.
    Hello {
        /// [`MAGIC`].
        magic: [u8; 4],
        /// The client's [`VERSION`].
        version: u32,
    },
    /// Something to do or tell; control connections only.
    Ask {
        /// Chosen by the client, given back with the answer.
        number: u32,
        /// What is asked.
        ask: Ask,
    },
    /// Turns the connection into the streams of a process.
    Attach(Attach),
}

/// From the shim.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Message {
    /// Answers `Hello`.
    Welcome {
        /// The shim's [`VERSION`].
        version: u32,
        /// Where its guest is.
        state: State,
    },
    /// Says why the connection is closed now.
    Refused {
        /// For people.
        reason: String,
    },
    /// Answers `Ask`.
    Answer {
        /// The number of the `Ask`.
        number: u32,
        /// The outcome.
        answer: Answer,
    },
    /// Answers `Attach`: from here on the connection is a plain stream.
    Attached,
    /// Something happened.
    Event(Event),
}

/// A process of the guest that the shim is the parent of.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Process {
    /// The guest's first.
    Guest,
    /// One that was added.
    Exec(ExecId),
}

/// What a control connection can ask for.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Ask {
    /// Let the guest's first process execute its program; it must be `Ready`.
    Start,
    /// Send a signal.
    Signal {
        /// To whom.
        process: Process,
        /// Which.
        signal: Signal,
    },
    /// Change the size of the terminal. Before the process started: the size it starts with.
    Resize {
        /// Whose.
        process: Process,
        /// To what.
        size: WindowSize,
    },
    /// Prepare a process. It can be attached to from now on, and runs after `StartExec`.
    Exec {
        /// Its name from now on.
        id: ExecId,
        /// What to run.
        exec: Exec,
    },
    /// Run a prepared process. Answered once its program is being executed, or could not be.
    StartExec {
        /// Which.
        id: ExecId,
    },
    /// Forget a process that is prepared or has ended.
    RemoveExec {
        /// Which.
        id: ExecId,
    },
    /// End the input of a process.
    CloseStdin {
        /// Whose.
        process: Process,
    },
    /// Tell the state.
    State,
}

/// A process to add to the guest.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Exec {
    /// A `hull_container::exec::ExecPlan` in postcard. Opaque here: a plan that the shim's version
    /// cannot read fails this request and not the connection.
    pub plan: Vec<u8>,
    /// How it is connected.
    pub streams: Streams,
}

/// How a process is connected.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Streams {
    /// Its input.
    pub stdin: Stdin,
    /// A terminal of this size instead of pipes.
    pub terminal: Option<WindowSize>,
}

/// The input of a process.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Stdin {
    /// `/dev/null` (Docker's `OpenStdin=false`).
    Null,
    /// Stays open, whoever comes and goes.
    Open,
    /// Ends with the first attached client's input (Docker's `StdinOnce`).
    Once,
}

/// Character cells of a terminal.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct WindowSize {
    /// Lines; 0 for unknown.
    pub rows: u16,
    /// Characters in a line; 0 for unknown.
    pub columns: u16,
}

/// Which streams of which process a connection becomes.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Attach {
    /// Whose.
    pub process: Process,
    /// Whether the client's bytes go to its input.
    pub stdin: bool,
    /// Whether the client gets its output.
    pub stdout: bool,
    /// Whether the client gets its errors.
    pub stderr: bool,
    /// How output is written.
    pub framing: Framing,
}

/// How output is written to an attached client.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Framing {
    /// As it is.
    Raw,
    /// Each piece behind 8 bytes: stream (1 or 2), three zeros, length (big-endian).
    Multiplexed,
}

impl Framing {
    /// Docker's: a terminal's output comes as it is, since there is only one stream.
    pub fn of(terminal: bool) -> Self {
        if terminal { Self::Raw } else { Self::Multiplexed }
    }
}

/// The outcome of an [`Ask`].
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Answer {
    /// It is done.
    Done,
    /// It runs now.
    Started {
        /// Its process id, as the host sees it.
        pid: u32,
    },
    /// The state.
    State(State),
    /// It was not done.
    Failed(Failure),
}

/// What happened.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Event {
    /// The guest's program runs.
    Started {
        /// Its process id, as the host sees it.
        pid: u32,
    },
    /// The guest ended. The exit file is written and the cgroup removed; the shim ends now.
    Exited(ExitRecord),
    /// An exec ended.
    ExecExited {
        /// Which.
        id: ExecId,
        /// How.
        exit: ExitRecord,
    },
    /// The kernel found no memory for something in the guest, which may live on.
    OutOfMemory,
}

/// Where the guest is.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct State {
    /// Its first process.
    pub phase: Phase,
    /// The processes added to it that are not forgotten.
    pub execs: Vec<(ExecId, Phase)>,
    /// Lines of the log that could not be written, since the shim began.
    pub log_lines_lost: u64,
}

/// Where one process is.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Phase {
    /// Prepared (an exec), or being built (the guest).
    Created,
    /// Built, waits for `Start`.
    Ready {
        /// Its process id, as the host sees it.
        pid: u32,
    },
    /// Its program runs.
    Running {
        /// Its process id, as the host sees it.
        pid: u32,
        /// Nanoseconds since 1970.
        started_at: u64,
    },
    /// It ended, or could not be started.
    Exited(ExitRecord),
}
