//! The API's JSON as this client sends and reads it, with Docker's names.

pub(crate) mod create;
pub(crate) mod network;
