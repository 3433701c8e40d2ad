//! The program under test.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The built `hull`: `HULL_BIN` where the caller built it, else built here once.
///
/// # Panics
/// If it cannot be built.
pub fn hull() -> &'static Path {
    static HULL: OnceLock<PathBuf> = OnceLock::new();
    HULL.get_or_init(|| std::env::var_os("HULL_BIN").map_or_else(build, PathBuf::from))
}

/// The folder for what is kept between runs: images, docker-py.
///
/// # Panics
/// If it cannot be made.
pub fn cache() -> PathBuf {
    let dir = target().join("tests-cache");
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

/// The root of the workspace.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The target folder, which cargo marks with a file: tests run from inside it.
fn target() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let marked = own.ancestors().find(|folder| folder.join("CACHEDIR.TAG").exists());
    marked.map_or_else(|| workspace().join("target"), Path::to_owned)
}

/// Builds the binary and asks cargo where it is. Cargo's own lock keeps test binaries apart.
fn build() -> PathBuf {
    let output = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--package", "hull", "--bin", "hull"])
        .arg("--message-format=json-render-diagnostics")
        .current_dir(workspace())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let executable = text.lines().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let is_hull = message["target"]["name"] == "hull";
        is_hull.then(|| message["executable"].as_str().map(PathBuf::from)).flatten()
    });
    executable.expect("cargo names the executable")
}
