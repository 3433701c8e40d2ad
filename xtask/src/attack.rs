//! Attacks against a hull without the defences that are code, where they must succeed.

use std::time::Duration;

use crate::Outcome;
use crate::run::{cargo, ended};

/// How long that may take, building included.
const LIMIT: Duration = Duration::from_secs(15 * 60);

/// The feature that takes defences away. Only here is it asked for.
pub(crate) const FEATURE: &str = "weakened";

/// Builds the tests of hull-container with [`FEATURE`] and runs the attacks.
pub(crate) fn run() -> Outcome {
    let mut tests = cargo();
    tests.args(["test", "--package", "hull-container", "--features", FEATURE]);
    tests.args(["--test", "kernel", "--", "attack_"]);
    let status = ended(&mut tests, LIMIT)?;
    if status.success() { Ok(()) } else { Err(format!("attacks: {status}").into()) }
}
