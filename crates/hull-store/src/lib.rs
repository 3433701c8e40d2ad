//! One directory tree with everything hull keeps: records, content, layers, images, volumes and
//! the writable directories of guests (which this crate knows as directories, not as guests).
//!
//! Blocking code; safe to call from several threads. Whatever fails, nothing half-made becomes
//! visible: files are written aside and renamed, rows are written last, and what a killed process
//! left behind is removed at the next [`Store::open`]. The order is always: files, then the row
//! that names them; and for removal: the row, then the files.

mod codec;
pub mod content;
mod disk;
pub mod error;
pub mod image;
pub mod layer;
pub mod records;
mod space;
mod store;
pub mod tarball;
pub mod tree;
pub mod view;
pub mod volume;
pub mod writable;

pub use error::{Error, Kind, Result};
pub use store::Store;
