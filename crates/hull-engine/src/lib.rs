//! Makes guests live: takes requests, asks `hull-model` what comes next, and has it done.

pub mod error;
pub use hull_model::record;
