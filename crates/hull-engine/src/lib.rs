//! Makes guests live: takes requests, asks `hull-model` what comes next, and has it done.
//!
//! Each guest has a task of its own (in `guest`), the only place where its state changes. Everybody
//! else sends messages and looks at views. The kernel's work is blocking code in other crates and
//! runs on threads that may block.

mod advice;
mod archive;
mod borrow;
mod cdi;
mod config;
mod create;
mod engine;
pub mod error;
mod events;
mod explain;
mod failure;
mod files;
mod guest;
mod id_ranges;
mod images;
mod index;
mod logs;
mod networks;
mod open;
mod partners;
mod paths;
mod planning;
mod pull;
mod random;
mod records;
mod scope;
mod shim;
mod stats;
mod top;
mod users;
mod volumes;

pub use archive::{Commit, Files, PathStat, Unpack};
pub use config::{Bridge, CgroupDriver, Config};
pub use create::{Create, Created};
pub use engine::{Engine, Guests};
pub use error::{Error, Kind, Result};
pub use events::{Events, Watcher};
pub use guest::{AttachRequest, ExecView, Guest, Progress, Size, View, WaitFor};
pub use hull_container::host::HostFacts;
pub use hull_model::record;
pub use hull_registry::{Config as RegistryConfig, Credentials};
pub use hull_store::image::{About, Force, HistoryRow, Image, Loaded, Named, Removed};
pub use hull_store::tree::{Change, ChangeKind};
pub use images::Images;
pub use logs::{LogLine, LogQuery, LogStream, Source};
pub use networks::{BRIDGE, BridgeNet, Defaults};
pub use pull::{Listener, Progress as PullProgress, Pull, Step};
pub use shim::stream::Streams;
pub use stats::{Earlier, Reading, Span, Usages};
pub use top::Processes;
pub use volumes::{Volume, Volumes};
