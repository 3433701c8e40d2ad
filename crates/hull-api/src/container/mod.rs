//! Containers: create, inspect, list and what else is said about them.

pub mod archive;
mod as_sent;
pub mod binds;
pub mod commit;
pub mod config;
pub mod create;
pub mod explain;
pub mod host_config;
pub mod inspect;
mod life;
mod limits;
pub mod list;
mod mounts;
mod namespaces;
mod network;
pub mod prune;
pub mod requests;
mod security;
mod settings;
pub mod stats;
pub mod top;
mod unsupported;
pub mod update;
pub mod view;
pub mod wait;
