//! What the tests of the built binary share: daemons of their own, clients, images, clean-up.
//!
//! Nothing here is a stand-in: the daemon is the built `hull`, the clients are the real `docker`
//! CLI, docker-py, curl and hull's own CLI, the registry is Docker's. A test that cannot run here
//! says why (see [`mod@need`]); `cargo xtask test` installs what is missing and then allows no skips.

pub mod command;
pub mod daemon;
pub mod http;
pub mod images;
mod leaks;
pub mod need;
pub mod program;
pub mod python;
pub mod registry;
pub mod sandbox;
pub mod terminal;
pub mod wait;

pub use command::{Done, Running, Tool};
pub use daemon::{Daemon, Settings};
pub use http::{Answer, Connection};
pub use terminal::Terminal;
pub use wait::eventually;
