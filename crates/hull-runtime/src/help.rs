//! What the runtime says of itself.

use std::fmt::Write as _;
use std::io::Write as _;

use crate::arguments::{COMMANDS, Flag, GLOBAL};
use crate::failure::{Doing, Failure};
use crate::state::OCI_VERSION;

/// Prints the version as runc does: callers read the first line and `spec`.
pub(crate) fn version() -> Result<u8, Failure> {
    say(&format!("hull-runtime version {}\nspec: {OCI_VERSION}\n", env!("CARGO_PKG_VERSION")))
}

/// Prints the help of one command or of all.
pub(crate) fn show(command: Option<&str>) -> Result<u8, Failure> {
    let Some(name) = command else { return say(&overview()) };
    let command = COMMANDS
        .iter()
        .find(|command| command.name == name)
        .ok_or_else(|| Failure::new(format!("no such command: {name:?}")))?;
    let usage = format!("hull runtime {name} [OPTIONS] {}", command.operands);
    say(&format!(
        "Usage: {}\n\n{}\n\nOptions:\n{}",
        usage.trim_end(),
        command.about,
        flags(command.flags)
    ))
}

fn overview() -> String {
    let mut text = "Usage: hull runtime [GLOBAL OPTIONS] COMMAND [OPTIONS] [ARGUMENT...]\n\n\
        An OCI runtime, for containerd, Podman, CRI-O and Docker to call in place of runc.\n\n\
        Commands:\n"
        .to_owned();
    for command in COMMANDS {
        // Writing to a string cannot fail.
        writeln!(text, "  {:<12}{}", command.name, command.about).unwrap_or_default();
    }
    text + "\nGlobal options:\n" + &flags(GLOBAL)
}

fn flags(flags: &[Flag]) -> String {
    let mut text = String::new();
    for flag in flags {
        let short = flag.short.map_or(String::new(), |short| format!("-{short}, "));
        let value = flag.value.map_or(String::new(), |value| format!(" {value}"));
        let name = format!("{short}--{}{value}", flag.name);
        writeln!(text, "  {name:<36} {}", flag.help).unwrap_or_default();
    }
    text
}

/// Writes to standard output.
pub(crate) fn say(text: &str) -> Result<u8, Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).doing("write to standard output")?;
    Ok(0)
}
