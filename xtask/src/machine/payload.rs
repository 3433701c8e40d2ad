//! The disk with the tests: programs at the paths they were built at, and the script that runs them.

use std::fs;
use std::path::{Path, PathBuf};

use super::file_system;
use crate::Outcome;
use crate::run::{cargo, find, output, run, target};

/// Runs every test program it finds listed, and tells how each ended.
const SCRIPT: &str = r#"export PATH=/usr/sbin:/usr/bin:/sbin:/bin HULL_BIN="$ROOT/target/debug/hull"
export HULL_ATTACK_BIN="$ROOT/target/attack/$(uname -m)-unknown-linux-musl/debug/hull-attack"
export HULL_TESTS_MACHINE=1
mount -t tmpfs -o mode=1777 tmp /tmp
mkdir -p "$ROOT"
mount --bind /payload/tree "$ROOT"
cd "$ROOT"
while read -r program; do
    echo "== $program"
    "$program" $ARGUMENTS 2>&1
    echo "hull-machine: $program ended with $?"
done </payload/programs
echo "hull-machine: done"
"#;

/// Builds the tests and packs them; gives the disk's image.
pub(super) fn prepare(
    dir: &Path,
    tests: &[(String, String)],
    arguments: &[String],
) -> Outcome<PathBuf> {
    let root = std::env::current_dir()?;
    if tests.iter().any(|(package, _)| package == "hull-tests") {
        run(cargo().args(["build", "--package", "hull"]))?;
    }
    build_attacker()?;
    let programs: Vec<PathBuf> =
        tests.iter().map(|(package, target)| build(package, target)).collect::<Outcome<_>>()?;
    let staging = tempfile::Builder::new().prefix("payload").tempdir_in(dir)?;
    let staging = staging.path();
    let attacker = format!("attack/{}/debug/hull-attack", musl());
    // With what marks a target folder, and the images that were made here.
    let needed = ["debug/hull", "debug/hull-shim", "CACHEDIR.TAG", "tests-cache/busybox.tar"];
    for name in needed.iter().copied().chain([attacker.as_str()]) {
        let file = fs::canonicalize(target())?.join(name);
        if file.exists() {
            place(&file, &root, staging)?;
        }
    }
    for program in &programs {
        place(program, &root, staging)?;
    }
    let list: Vec<_> = programs.iter().map(|path| path.display().to_string()).collect();
    fs::write(staging.join("programs"), list.join("\n") + "\n")?;
    let head = format!("ROOT={:?} ARGUMENTS={:?}\n", root, arguments.join(" "));
    fs::write(staging.join("run"), head + SCRIPT)?;
    let image = dir.join("payload.img");
    file_system(staging, &image, 3000)?;
    Ok(image)
}

/// Builds the attacker where the tests would build it themselves, if there was a cargo.
fn build_attacker() -> Outcome {
    let mut build = cargo();
    build.args(["build", "--quiet", "--locked", "--package", "hull-attack", "--bin"]);
    build.args(["hull-attack", "--target", &musl(), "--target-dir"]);
    run(build.arg(target().join("attack")))
}

fn musl() -> String {
    format!("{}-unknown-linux-musl", std::env::consts::ARCH)
}

/// Builds one test program and gives its path.
fn build(package: &str, target: &str) -> Outcome<PathBuf> {
    let mut test = cargo();
    test.args(["test", "--quiet", "--no-run", "--package", package, "--test", target]);
    let messages = output(test.arg("--message-format=json-render-diagnostics"))?;
    let executable = messages.lines().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let is_it = message["target"]["name"] == target && message["profile"]["test"] == true;
        is_it.then(|| message["executable"].as_str().map(PathBuf::from)).flatten()
    });
    executable.ok_or_else(|| format!("cargo names no program for {package}/{target}").into())
}

/// Puts a file of the checkout at its place below the disk's tree, without debugging information.
fn place(file: &Path, root: &Path, staging: &Path) -> Outcome {
    let below = file.strip_prefix(root).map_err(|_| {
        format!("{} is outside of {}: unset CARGO_TARGET_DIR", file.display(), root.display())
    })?;
    let place = staging.join("tree").join(below);
    fs::create_dir_all(place.parent().unwrap_or(root))?;
    let is_program = fs::read(file)?.starts_with(b"\x7fELF");
    if is_program && find("strip").is_some() {
        let mut strip = std::process::Command::new("strip");
        return run(strip.arg("--strip-debug").arg("-o").arg(place).arg(file));
    }
    fs::copy(file, place)?;
    Ok(())
}
