//! Builds hull-shim, hull-init and hull-hello as static programs and lays them into `OUT_DIR`.
//!
//! This is a cargo inside a cargo, with a target folder of its own: the outer one holds the lock of
//! its own. It is shared by all profiles, so a release build after a debug build does nothing.

#![expect(clippy::disallowed_methods, reason = "hull-sys is no dependency of a build script")]

use std::collections::BTreeSet;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{env, fs};

use sha2::{Digest, Sha256};

const PROGRAMS: [&str; 3] = ["hull-shim", "hull-init", "hull-hello"];

/// Of all that the outer cargo and clippy put into the environment, what the inner one may see.
const KEPT: [&str; 5] =
    ["CARGO_HOME", "CARGO_MAKEFLAGS", "CARGO_NET_OFFLINE", "CARGO_HTTP_PROXY", "CARGO_TERM_COLOR"];

fn main() -> ExitCode {
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("cargo::error=static programs: {error}");
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let workspace = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../..").canonicalize()?;
    let target = format!("{}-unknown-linux-musl", env::var("CARGO_CFG_TARGET_ARCH")?);
    require_target(&target)?;
    let folder = target_folder(&out);
    run_cargo(&workspace, &folder, &target)?;
    let mut code = String::new();
    let mut sources = BTreeSet::new();
    for name in PROGRAMS {
        let built = folder.join(&target).join("tiny").join(name);
        let bytes = fs::read(&built).map_err(|error| format!("{}: {error}", built.display()))?;
        let digest: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
        let constant = name.trim_start_matches("hull-").to_uppercase();
        code.push_str(&format!("pub(crate) const {constant}_DIGEST: &str = \"{digest}\";\n"));
        fs::write(out.join(name), bytes)?;
        sources.extend(sources_of(&built)?);
    }
    fs::write(out.join("digests.rs"), code)?;
    for file in ["Cargo.toml", "Cargo.lock", "rust-toolchain.toml"] {
        sources.insert(workspace.join(file));
    }
    for source in sources {
        println!("cargo::rerun-if-changed={}", source.display());
    }
    Ok(())
}

fn run_cargo(workspace: &Path, folder: &Path, target: &str) -> Result<(), Box<dyn Error>> {
    let mut cargo = Command::new(env::var("CARGO")?);
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        let theirs = ["CARGO", "RUST", "CLIPPY"].iter().any(|prefix| name.starts_with(prefix));
        if theirs && !name.starts_with("RUSTUP_") && !KEPT.contains(&&*name) {
            cargo.env_remove(&*name);
        }
    }
    cargo.current_dir(workspace).args(["build", "--quiet", "--locked", "--profile", "tiny"]);
    cargo.args(["--target", target, "--target-dir"]).arg(folder);
    cargo.args(PROGRAMS.iter().flat_map(|name| ["--package", name, "--bin", name]));
    // Not position-independent: relocations would be written to, and no page that was written to
    // is shared between the shims of all guests. No paths of the build machine in the programs.
    let remap = format!("--remap-path-prefix={}=hull", workspace.display());
    let flags = ["-Crelocation-model=static", "-Ctarget-feature=+crt-static", &remap];
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
    let output = cargo.output().map_err(|error| format!("start cargo: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    for line in String::from_utf8_lossy(&output.stderr).lines() {
        println!("cargo::error={line}");
    }
    Err(format!("cargo ended with {}", output.status).into())
}

/// The standard library for the static programs, or a hint how to get it.
fn require_target(target: &str) -> Result<(), Box<dyn Error>> {
    let rustc = env::var("RUSTC")?;
    let output =
        Command::new(rustc).args(["--print", "target-libdir", "--target", target]).output()?;
    let folder = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    if output.status.success() && folder.is_dir() {
        return Ok(());
    }
    Err(format!("the target {target} is missing; install it: rustup target add {target}").into())
}

/// `programs` in the outer target folder, which cargo marks with a file; else in `OUT_DIR`.
fn target_folder(out: &Path) -> PathBuf {
    let outer = out.ancestors().find(|folder| folder.join("CACHEDIR.TAG").exists());
    outer.unwrap_or(out).join("programs")
}

/// What a program was built from, out of the list that cargo writes beside it.
fn sources_of(built: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let list = fs::read_to_string(built.with_extension("d"))?;
    let sources = list.split_once(": ").map_or("", |(_, sources)| sources).trim();
    // A blank in a path is written as `\ `.
    let sources = sources.replace("\\ ", "\0");
    Ok(sources.split(' ').map(|path| PathBuf::from(path.replace('\0', " "))).collect())
}
