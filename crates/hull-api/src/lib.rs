//! The Docker Engine API's JSON, versions 1.24 to 1.55, to and from `hull-model`.
//!
//! Only this crate knows Docker's names, defaults and zero and -1 conventions. Each resource has
//! its file; what a function reads and what its sibling writes stand beside each other, so that
//! create, update and inspect cannot drift apart. A value of a request is mapped, proven harmless
//! or refused with its name, never dropped.
//!
//! Conventions of the wire, kept out of the model: sizes are bytes, durations nanoseconds unless a
//! field says seconds, 0 and absence are the same, -1 is "no limit".

pub mod auth;
pub mod container;
pub mod exec;
pub mod filters;
pub mod image;
pub mod json;
pub mod network;
pub mod own;
pub mod query;
pub mod refusal;
pub mod stream;
pub mod system;
pub mod version;
pub mod volume;
