//! What is remembered of a container between two calls.
//!
//! Each container has a directory `<root>/<id>`, 0700, with:
//!
//! - `state.json`, written whole by rename: what [`Record`] says. It is written before anything is
//!   made, so whatever moment the runtime is killed at, `delete --force` finds what there is.
//! - `config.json`, a copy: the bundle may change meanwhile.
//! - `start`, a socket on which the container's first process waits to be started; as long as it
//!   answers, the container is *created*.
//!
//! Changes hold a lock on the directory, which vanishes with the process that holds it. Reading
//! takes none: hooks ask for the state of the container that is being created.

mod id;
mod process;
mod record;
mod store;

pub(crate) use id::Id;
pub(crate) use process::{Identity, open as open_process};
pub(crate) use record::{OCI_VERSION, Phase, Record, Status};
pub(crate) use store::{Entry, Store, write_atomically};
