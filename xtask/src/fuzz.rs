//! Fuzz targets, by cargo-fuzz.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::Outcome;
use crate::run::{ended, find, output};

/// Flags of `cargo xtask fuzz`.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The target, or `all`; without one they are listed
    target: Option<String>,
    /// For how many seconds each
    #[arg(default_value_t = 60)]
    seconds: u64,
}

/// Runs one target or all, or lists them.
pub(crate) fn run(arguments: &Arguments) -> Outcome {
    let known = targets()?;
    let Some(wanted) = &arguments.target else {
        println!("{}", known.join("\n"));
        return Ok(());
    };
    let chosen: Vec<_> = known.iter().filter(|name| wanted == "all" || *name == wanted).collect();
    if chosen.is_empty() {
        return Err(format!("no target {wanted}; there are: {}", known.join(", ")).into());
    }
    require()?;
    for name in chosen {
        let time = format!("-max_total_time={}", arguments.seconds);
        let mut fuzz = Command::new("cargo");
        // Not the toolchain that rust-toolchain.toml names: sanitizers need a nightly one.
        fuzz.args(["+nightly", "fuzz", "run", "--fuzz-dir", "fuzz", name, "--", &time]);
        fuzz.args(["-timeout=10", "-rss_limit_mb=2048"]).env_remove("RUSTUP_TOOLCHAIN");
        let limit = Duration::from_secs(arguments.seconds + 1800);
        let status = ended(&mut fuzz, limit)?;
        if !status.success() {
            return Err(format!("{name}: {status}; the input is in fuzz/artifacts/{name}").into());
        }
    }
    Ok(())
}

fn targets() -> Outcome<Vec<String>> {
    let dir = Path::new("fuzz/fuzz_targets");
    let entries = std::fs::read_dir(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let mut names: Vec<_> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".rs").map(str::to_owned))
        .collect();
    names.sort();
    Ok(names)
}

/// Says how to get what is missing.
fn require() -> Outcome {
    if find("cargo-fuzz").is_none() {
        return Err("cargo-fuzz is missing; hint: cargo install cargo-fuzz".into());
    }
    let mut rustc = Command::new("rustc");
    rustc.args(["+nightly", "--version"]).env_remove("RUSTUP_TOOLCHAIN");
    output(&mut rustc).map_err(|error| {
        format!("no nightly toolchain ({error}); hint: rustup toolchain install nightly")
    })?;
    Ok(())
}
