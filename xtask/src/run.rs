//! Programs that a task starts: shown, checked, and ended when they take too long.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::Outcome;

/// Shows a command and runs it to its end, which must be a good one.
pub(crate) fn run(command: &mut Command) -> Outcome {
    let status = ended(command, Duration::from_secs(3600))?;
    if status.success() { Ok(()) } else { Err(format!("{}: {status}", line(command)).into()) }
}

/// Shows a command and runs it to its end, for at most `limit`; then it and its descendants are
/// killed.
pub(crate) fn ended(command: &mut Command, limit: Duration) -> Outcome<ExitStatus> {
    eprintln!("$ {}", line(command));
    let mut child = command.spawn().map_err(|error| format!("{}: {error}", line(command)))?;
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if start.elapsed() > limit {
            for pid in family(child.id()) {
                // It may have ended by itself.
                kill_process(pid, Signal::KILL).unwrap_or_default();
            }
            child.wait()?;
            return Err(format!("{}: not done within {limit:?}", line(command)).into());
        }
        sleep(Duration::from_millis(20));
    }
}

/// Runs a command and gives what it printed, without white space around.
pub(crate) fn output(command: &mut Command) -> Outcome<String> {
    let output = command.output().map_err(|error| format!("{}: {error}", line(command)))?;
    let text = |bytes| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    Err(format!("{}: {}: {}", line(command), output.status, text(&output.stderr)).into())
}

/// Where a program is, by `PATH` and then where root's programs are.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path).chain(usual).map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// The cargo that started us, for the workspace's own toolchain.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // What cargo told us about ourselves: build scripts (ring's) look at it, and would run again
    // each time they are built once from here and once by hand.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(&*name);
        }
    }
    cargo
}

/// The workspace's target folder.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| Path::new("target").into(), PathBuf::from)
}

/// A command as one would type it.
fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// A process and all below it.
fn family(root: u32) -> Vec<Pid> {
    let parent = |pid: u32| -> Option<u32> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
    };
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let all: Vec<u32> =
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    let mut found = vec![root];
    let mut next = 0;
    while let Some(&pid) = found.get(next) {
        found.extend(all.iter().filter(|&&child| parent(child) == Some(pid)));
        next += 1;
    }
    found.into_iter().filter_map(|pid| Pid::from_raw(i32::try_from(pid).ok()?)).collect()
}
