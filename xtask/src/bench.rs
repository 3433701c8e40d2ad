//! The benchmarks of what SPECIFICATION.md promises, on the release binary.

use std::time::Duration;

use crate::Outcome;
use crate::packages::{self, PEERS, TESTS};
use crate::run::{self, cargo, ended, target};

/// How long all of them may take.
const LIMIT: Duration = Duration::from_secs(30 * 60);

/// Flags of `cargo xtask bench`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Install crun, runc and LXC to compare with (as root); Docker and Podman are used if there
    #[arg(long)]
    install: bool,
    /// Which ones, by the start of their names; all without a name
    names: Vec<String>,
}

/// Builds the release binary and measures it beside its peers.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    if arguments.install {
        packages::install(&TESTS)?;
        packages::install(&PEERS)?;
    }
    run::run(cargo().args(["build", "--release", "--package", "hull"]))?;
    let mut bench = cargo();
    // The harness itself is not what is measured, so it is not optimised: it is built already.
    bench.args(["bench", "--quiet", "--profile", "dev", "--package", "hull-tests"]);
    bench.args(["--bench", "promises", "--"]).args(&arguments.names);
    bench.env("HULL_BIN", std::fs::canonicalize(target().join("release/hull"))?);
    let status = ended(&mut bench, LIMIT)?;
    if status.success() { Ok(()) } else { Err("a promise does not hold here".into()) }
}
