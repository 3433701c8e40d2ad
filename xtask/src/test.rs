//! Every test of the workspace, with what it needs.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::Outcome;
use crate::packages::{self, TESTS};
use crate::run::{self, cargo, ended, find, output, target};

/// How long all tests may take on two slow processors, building included.
const LIMIT: Duration = Duration::from_secs(35 * 60);
const MUSL: &str = "x86_64-unknown-linux-musl";

/// Flags of `cargo xtask test`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Skip what cannot run here instead of installing what is missing
    #[arg(long)]
    no_install: bool,
    /// Passed on to `cargo test`; for all of the workspace unless `-p` names a package
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

/// Installs, builds, tests; the last lines are those of the tests themselves.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    if !arguments.no_install {
        packages::install(&TESTS)?;
        packages::install_docker_client()?;
        add_target()?;
    }
    if !rustix::process::geteuid().is_root() {
        eprintln!("not root: tests that make containers will skip, each saying so");
    }
    run::run(cargo().args(["build", "--package", "hull"]))?;
    let mut tests = cargo();
    tests.args(["test", "--no-fail-fast"]);
    let names_package = |word: &String| word == "-p" || word.starts_with("--package");
    if !arguments.rest.iter().any(names_package) {
        tests.arg("--workspace");
    }
    tests.args(&arguments.rest);
    tests.env("HULL_BIN", std::fs::canonicalize(target().join("debug/hull"))?);
    if !arguments.no_install && rustix::process::geteuid().is_root() {
        tests.env("HULL_TESTS_NO_SKIP", "1");
    }
    let status = ended(&mut tests, LIMIT)?;
    if !status.success() {
        return Err(format!("tests failed ({status})").into());
    }
    if !arguments.rest.is_empty() {
        return Ok(());
    }
    crate::attack::run()
}

/// The standard library for the static programs.
fn add_target() -> Outcome {
    let library =
        output(Command::new("rustc").args(["--print", "target-libdir", "--target", MUSL]));
    if library.is_ok_and(|path| Path::new(&path).is_dir()) {
        return Ok(());
    }
    if find("rustup").is_none() {
        return Err(format!("the target {MUSL} is missing, and there is no rustup").into());
    }
    run::run(Command::new("rustup").args(["target", "add", MUSL]))
}
