//! One guest: a handle for those who ask, a task that acts, a view for those who look.

mod adopt;
mod attach;
mod change;
pub(crate) mod exec;
mod exit;
mod handle;
mod health;
mod launch;
mod news;
mod stop;
mod task;
mod update;
mod view;
mod wait;

pub use attach::AttachRequest;
pub use exec::{ExecView, Progress};
pub use handle::{Guest, Size};
pub use view::View;
pub use wait::WaitFor;

pub(crate) use handle::no_exec;
pub(crate) use task::Task;
pub(crate) use view::Watch;
