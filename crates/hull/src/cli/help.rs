//! `hull --help`: the commands grouped by purpose.

/// The template of the top help, with the commands grouped.
pub(crate) fn top(_command: &clap::Command) -> String {
    "{about}".to_owned()
}
