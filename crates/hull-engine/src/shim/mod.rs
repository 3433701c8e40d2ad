//! The engine's end of a shim: starting the program, and talking to it.

pub(crate) mod control;
pub(crate) mod program;
pub(crate) mod stream;
