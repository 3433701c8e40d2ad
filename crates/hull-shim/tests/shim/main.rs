//! The shim against a real kernel: real namespaces, pipes, terminals and cgroups, with busybox as
//! the guest's programs. Needs root and `busybox-static`; says so when it cannot run.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]
#![expect(clippy::print_stderr, reason = "figures, and why a test was skipped")]

mod exec;
mod guest;
mod hostile;
mod life;
mod log;
mod plan;
mod streams;

/// The program under test.
fn program() -> std::path::PathBuf {
    env!("CARGO_BIN_EXE_hull-shim").into()
}
