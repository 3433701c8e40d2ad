//! The static programs as they are shipped, on a real kernel.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]
#![expect(clippy::print_stderr, reason = "figures, and why a test was skipped")]

mod footprint;
#[path = "../../../hull-shim/tests/shim/guest.rs"]
#[expect(dead_code, reason = "the shim's own tests use the rest of it")]
mod guest;
mod inside;
#[path = "../../../hull-shim/tests/shim/plan.rs"]
#[expect(dead_code, reason = "the shim's own tests use the rest of it")]
mod plan;

use std::path::PathBuf;

/// The embedded shim.
fn program() -> PathBuf {
    installed(&hull_programs::SHIM)
}

/// A program, installed where cargo lets tests keep things.
fn installed(program: &hull_programs::Program) -> PathBuf {
    program.install(std::path::Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap()
}
