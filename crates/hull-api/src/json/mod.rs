//! JSON as Go's decoder takes it, and the few types every resource needs.

mod go;
mod types;

pub use go::{decode, decode_or_default};
pub use types::{Nothing, Words};
pub(crate) use types::{is_default, object};
