//! The daemon itself: version, info, events, disk usage.

pub mod df;
pub mod events;
pub mod info;
pub mod version;
