//! The attacker of the tests: a static program that does what a hostile guest would.
//!
//! This side of the crate is for the tests, which put the program into their guests. Nothing that is
//! shipped depends on it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The built program, static, to be copied into a guest: `HULL_ATTACK_BIN` where there is no cargo,
/// else built here once.
///
/// # Panics
/// If it cannot be built.
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| std::env::var_os("HULL_ATTACK_BIN").map_or_else(build, PathBuf::from))
}

/// Builds it for musl, in a target folder of its own: the outer cargo may hold the lock of its own.
fn build() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let target = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
    let folder = folder(&workspace);
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // What the outer cargo says about the package under test is not about this one.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        let theirs = ["CARGO_", "RUSTC", "CLIPPY"].iter().any(|prefix| name.starts_with(prefix));
        if theirs && !["CARGO_HOME", "CARGO_NET_OFFLINE"].contains(&&*name) {
            cargo.env_remove(&*name);
        }
    }
    cargo.current_dir(&workspace).args([
        "build",
        "--quiet",
        "--locked",
        "--package",
        "hull-attack",
    ]);
    cargo.args(["--bin", "hull-attack", "--target", &target, "--target-dir"]).arg(&folder);
    let output = cargo.output().unwrap_or_else(|error| panic!("start cargo: {error}"));
    assert!(output.status.success(), "hull-attack: {}", String::from_utf8_lossy(&output.stderr));
    folder.join(target).join("debug/hull-attack")
}

/// `attack` in the target folder that the test is run from, which cargo marks with a file.
fn folder(workspace: &Path) -> PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    let marked = own.ancestors().find(|folder| folder.join("CACHEDIR.TAG").exists());
    marked.map_or_else(|| workspace.join("target"), Path::to_owned).join("attack")
}
