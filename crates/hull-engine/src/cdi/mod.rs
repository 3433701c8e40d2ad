//! The Container Device Interface: files of a device's vendor that say what a guest needs to use it.
//!
//! <https://github.com/cncf-tags/container-device-interface>, versions 0.1.0 to 1.0.0.

mod apply;
mod registry;
mod request;
mod spec;

pub(crate) use apply::{apply, nodes};
pub(crate) use registry::Registry;
pub(crate) use request::names;
pub(crate) use spec::Edits;
