//! Containers on the real kernel. Launching needs a process with one thread, so this is its own
//! harness: tests run one after the other and are counted as cargo's would be.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "all of this is tests, which clippy cannot see without #[test]"
)]

mod attacks;
mod execs;
mod fixture;
mod gate;
mod isolation;
mod lifecycle;
mod limits;
mod mounts;
mod namespaces;
mod processes;
mod programs;

use std::panic::catch_unwind;
use std::process::ExitCode;

/// A test by its name.
type Test = (&'static str, fn());

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1).filter(|arg| !arg.starts_with('-'));
    let wanted = args.next().unwrap_or_default();
    if wanted == "profile" {
        lifecycle::profile();
        return ExitCode::SUCCESS;
    }
    if std::env::args().any(|arg| arg == "--list") {
        return ExitCode::SUCCESS;
    }
    if let Some(reason) = fixture::unable() {
        println!("skipped: {reason}");
        println!("\ntest result: ok. 0 passed; 0 failed; all ignored");
        return ExitCode::SUCCESS;
    }
    let (mut passed, mut failed) = (0, 0);
    let areas = [
        isolation::TESTS,
        attacks::TESTS,
        programs::TESTS,
        limits::TESTS,
        mounts::TESTS,
        namespaces::TESTS,
        processes::TESTS,
        gate::TESTS,
        execs::TESTS,
        lifecycle::TESTS,
    ];
    let areas = areas.into_iter().chain(attacks::AREAS);
    for (name, test) in areas.flatten().filter(|(name, _)| name.contains(&wanted)) {
        let outcome = catch_unwind(test);
        println!("test {name} ... {}", if outcome.is_ok() { "ok" } else { "FAILED" });
        if outcome.is_ok() { passed += 1 } else { failed += 1 }
    }
    let result = if failed == 0 { "ok" } else { "FAILED" };
    println!("\ntest result: {result}. {passed} passed; {failed} failed; 0 ignored");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
