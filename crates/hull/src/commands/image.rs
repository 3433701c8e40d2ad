//! Commands on images.

pub(crate) mod pull;
