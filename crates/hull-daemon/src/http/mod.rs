//! HTTP/1 on one connection, and what takes a connection over. Knows no route.

pub(crate) mod answer;
pub(crate) mod body;
pub(crate) mod bridge;
pub(crate) mod connection;
pub(crate) mod guard;
mod held;
pub(crate) mod progress;
pub(crate) mod raw;
pub(crate) mod read;
pub(crate) mod socket;
#[cfg(test)]
mod tests;
