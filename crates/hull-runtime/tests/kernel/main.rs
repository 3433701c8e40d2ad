//! The runtime on the real kernel, as its callers use it: every test starts this very program anew,
//! as `kernel runtime …`, and looks at what it does.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "all of this is tests, which clippy cannot see without #[test]"
)]

mod bundle;
mod changes;
mod documents;
mod hooks;
mod hostile;
mod killed;
mod life;
mod processes;
mod side_by_side;
mod terminals;

use std::panic::catch_unwind;
use std::process::ExitCode;

/// A test by its name.
type Test = (&'static str, fn());

fn main() -> ExitCode {
    let mut words: Vec<_> = std::env::args_os().skip(1).collect();
    if words.first().is_some_and(|word| word == "runtime") {
        return ExitCode::from(hull_runtime::main(words.split_off(1)));
    }
    if words.iter().any(|word| word == "--list") {
        return ExitCode::SUCCESS;
    }
    if let Some(reason) = bundle::unable() {
        println!("skipped: {reason}");
        println!("\ntest result: ok. 0 passed; 0 failed; all ignored");
        return ExitCode::SUCCESS;
    }
    let mut words = words.into_iter().map(|word| word.to_string_lossy().into_owned());
    let wanted = words.find(|word| !word.starts_with('-')).unwrap_or_default();
    let areas = [
        life::TESTS,
        processes::TESTS,
        terminals::TESTS,
        changes::TESTS,
        hooks::TESTS,
        hostile::TESTS,
        killed::TESTS,
        documents::TESTS,
        side_by_side::TESTS,
    ];
    let (mut passed, mut failed) = (0, 0);
    for (name, test) in areas.into_iter().flatten().filter(|(name, _)| name.contains(&wanted)) {
        let outcome = catch_unwind(test);
        println!("test {name} ... {}", if outcome.is_ok() { "ok" } else { "FAILED" });
        if outcome.is_ok() { passed += 1 } else { failed += 1 }
    }
    bundle::remove_parent();
    let result = if failed == 0 { "ok" } else { "FAILED" };
    println!("\ntest result: {result}. {passed} passed; {failed} failed; 0 ignored");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
