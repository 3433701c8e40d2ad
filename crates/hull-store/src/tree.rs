//! Trees of files somebody else arranged: walked, measured, copied and removed by descriptors, so
//! that no symlink, depth or rename leads anywhere else.

mod attributes;
mod changes;
mod copy;
mod ids;
mod locate;
mod meta;
mod pack;
mod remove;
mod trash;
mod usage;
mod walk;

pub(crate) use attributes::write as write_attributes;
pub use changes::{Change, ChangeKind, changes, pack_changes};
pub use copy::{Owners, copy_into};
pub(crate) use copy::{copy_dir, copy_one};
pub use ids::{BadIdMap, IdMap, Ids};
pub(crate) use locate::open_in;
pub use locate::{Located, evaluate, locate, locate_followed, open_located};
pub(crate) use meta::Meta;
pub use pack::{is_kernels, pack_file, pack_tree};
pub use remove::remove;
pub(crate) use remove::remove_at;
pub use trash::Trash;
pub use usage::{Usage, usage};
