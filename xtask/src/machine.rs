//! Tests on another kernel: a machine with Debian 13, its systemd and cgroup v2, emulated.
//!
//! Hosts with cgroup v1 (and machines without a systemd, as containers and CI runners are) cannot
//! show what hull does elsewhere. This machine is made of Debian's packages alone, boots without a
//! network, runs the test programs that were built here at the paths they were built at, and ends.

mod boot;
mod payload;
mod system;

use std::fs;
use std::path::{Path, PathBuf};

use crate::Outcome;
use crate::packages::{self, MACHINE};
use crate::run::target;

/// What runs in the machine unless something is named: the tests that meet cgroups and systemd.
const TESTS: [(&str, &str); 4] = [
    ("hull-container", "kernel"),
    ("hull-tests", "isolation"),
    ("hull-tests", "life"),
    ("hull-tests", "exec"),
];

/// Flags of `cargo xtask machine`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Fail where QEMU or mmdebstrap is missing instead of installing it (as root)
    #[arg(long)]
    no_install: bool,
    /// `PACKAGE/TARGET` to run instead of the usual ones (hull-tests/isolation)
    #[arg(long = "test", value_name = "PACKAGE/TARGET")]
    tests: Vec<String>,
    /// Passed on to each test program: parts of test names, or flags of Rust's harness
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

/// Makes the machine unless it is there, boots it with the tests, and fails when one of them does.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    if !arguments.no_install {
        packages::install(&MACHINE)?;
    }
    let dir = folder()?;
    let system = system::prepare(&dir)?;
    let payload = payload::prepare(&dir, &selected(&arguments.tests)?, &arguments.rest)?;
    boot::run(&system, &payload)
}

fn selected(named: &[String]) -> Outcome<Vec<(String, String)>> {
    if named.is_empty() {
        return Ok(TESTS.map(|(package, target)| (package.into(), target.into())).into());
    }
    let both = |name: &String| -> Outcome<_> {
        let (package, target) =
            name.split_once('/').ok_or_else(|| format!("{name}: not PACKAGE/TARGET"))?;
        Ok((package.to_owned(), target.to_owned()))
    };
    named.iter().map(both).collect()
}

/// Where the machine is kept between runs.
fn folder() -> Outcome<PathBuf> {
    let dir = target().join("machine");
    fs::create_dir_all(&dir)?;
    Ok(fs::canonicalize(dir)?)
}

/// Makes an ext4 file system of a folder's contents, with room to write.
fn file_system(folder: &Path, image: &Path, megabytes: u32) -> Outcome {
    let mut mke2fs = std::process::Command::new("mke2fs");
    mke2fs.args(["-q", "-F", "-t", "ext4", "-d"]).arg(folder).arg(image);
    crate::run::run(mke2fs.arg(format!("{megabytes}M")))
}
