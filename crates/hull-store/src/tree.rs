//! Trees of files somebody else arranged: walked, measured, copied and removed by descriptors, so
//! that no symlink, depth or rename leads anywhere else.

mod copy;
mod meta;
mod remove;
mod trash;
mod usage;
mod walk;

pub use copy::{Owners, copy_into};
pub(crate) use copy::{copy_dir, copy_one, wanted};
pub(crate) use meta::Meta;
pub use remove::remove;
pub(crate) use remove::remove_at;
pub use trash::Trash;
pub use usage::{Usage, usage};
