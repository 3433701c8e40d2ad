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

/// What cargo tells a test about its package. Build scripts (ring's) look at it, and would run again
/// each time they are built once from here and once by hand.
pub(crate) fn of_our_package() -> impl Iterator<Item = String> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    names.filter(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"))
}

/// Builds the binary and asks cargo where it is. Cargo's own lock keeps test binaries apart.
fn build() -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    of_our_package().for_each(|name| {
        cargo.env_remove(name);
    });
    let output = cargo
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
