//! The nouns of hull: what a guest is, before any kernel or protocol is involved.
//!
//! Everything here is a plain value. Constructors check; once a value exists it is valid, and no
//! other crate checks it again. Wire formats live in `hull-api`, kernel formats in
//! `hull-container` and `hull-net`; neither leaks in here. The `serde` forms are for hull's own
//! records on disk and may gain fields with defaults, never lose any.

pub mod block;
pub mod bytes;
pub mod cpu;
pub mod event;
pub mod exit;
pub mod explain;
pub mod guest;
pub mod health;
pub mod id;
pub mod id_range;
pub mod image;
pub mod life;
pub mod limits;
pub mod log;
pub mod manifest;
pub mod memory;
pub mod merge;
pub mod mount;
pub mod name;
pub mod namespace;
pub mod process;
pub mod record;
pub mod reference;
pub mod restart;
pub mod security;
pub mod signal;
pub mod subordinate;
pub mod time;
pub mod usage;
