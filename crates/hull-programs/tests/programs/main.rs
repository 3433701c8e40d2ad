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
use std::sync::OnceLock;

/// The embedded shim.
fn program() -> PathBuf {
    installed(&hull_programs::SHIM)
}

/// A program, installed once for all tests.
fn installed(program: &hull_programs::Program) -> PathBuf {
    static DIR: OnceLock<tempfile::TempDir> = OnceLock::new();
    let dir = DIR.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        // The mapped root of a guest goes through it to its process 1.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(dir.path(), open).unwrap();
        dir
    });
    program.install(dir.path()).unwrap()
}
