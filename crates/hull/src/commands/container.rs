//! Commands on containers.

pub(crate) mod create;
pub(crate) mod foreground;
pub(crate) mod run;
