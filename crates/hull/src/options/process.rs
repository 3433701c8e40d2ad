//! What runs in the container, and how its streams are connected.

use std::path::{Path, PathBuf};

use super::{Surroundings, list, parse};
use crate::wire::create::CreateRequest;

/// One of the three standard streams, for `-a`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdin,
    Stdout,
    Stderr,
}

fn stream(text: &str) -> Result<Stream, String> {
    match text.to_ascii_lowercase().as_str() {
        "stdin" => Ok(Stream::Stdin),
        "stdout" => Ok(Stream::Stdout),
        "stderr" => Ok(Stream::Stderr),
        _ => Err("valid streams are STDIN, STDOUT and STDERR".to_owned()),
    }
}

/// Flags for the process itself.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Process options")]
#[group(skip)]
pub(crate) struct Flags {
    /// Attach to STDIN, STDOUT or STDERR
    #[arg(short, long, value_name = "STREAM", value_parser = stream)]
    pub(crate) attach: Vec<Stream>,
    /// Keep STDIN open even if not attached
    #[arg(short, long)]
    pub(crate) interactive: bool,
    /// Allocate a pseudo-TTY
    #[arg(short, long)]
    pub(crate) tty: bool,
    /// Overwrite the default ENTRYPOINT of the image
    #[arg(long, value_name = "COMMAND", allow_hyphen_values = true)]
    entrypoint: Option<String>,
    /// Set environment variables
    #[arg(short, long, value_name = "NAME[=VALUE]", value_parser = variable)]
    env: Vec<String>,
    /// Read in a file of environment variables
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    env_file: Vec<PathBuf>,
    /// Username or UID
    #[arg(
        short,
        long,
        value_name = "NAME|UID[:GROUP|GID]",
        default_value = "",
        hide_default_value = true
    )]
    user: String,
    /// Additional groups to join
    #[arg(long, value_name = "GROUP")]
    group_add: Vec<String>,
    /// Working directory inside the container
    #[arg(short, long, value_name = "DIRECTORY", default_value = "", hide_default_value = true)]
    workdir: String,
    /// Run an init inside the container that forwards signals and reaps processes
    #[arg(long)]
    init: bool,
    /// Container host name
    #[arg(short = 'h', long, value_name = "NAME", default_value = "", hide_default_value = true)]
    hostname: String,
    /// Container NIS domain name
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    domainname: String,
    /// Set metadata on a container
    #[arg(short, long, value_name = "KEY[=VALUE]")]
    label: Vec<String>,
    /// Read in a line delimited file of labels
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    label_file: Vec<PathBuf>,
    /// Add an annotation to the container (passed through to the OCI runtime)
    #[arg(long, value_name = "KEY=VALUE")]
    annotation: Vec<String>,
}

impl Flags {
    pub(super) fn apply(
        &self,
        request: &mut CreateRequest,
        around: &Surroundings<'_>,
    ) -> Result<(), String> {
        let attached = |stream| self.attach.contains(&stream);
        let unspecified = self.attach.is_empty();
        request.attach_stdin = attached(Stream::Stdin) || self.interactive;
        request.attach_stdout = attached(Stream::Stdout) || unspecified;
        request.attach_stderr = attached(Stream::Stderr) || unspecified;
        request.tty = self.tty;
        request.open_stdin = self.interactive;
        request.stdin_once = request.open_stdin && request.attach_stdin;
        // An empty --entrypoint is an instruction (forget the image's), so it is sent.
        request.entrypoint = self.entrypoint.clone().map(|entrypoint| vec![entrypoint]);
        request.env = list(&environment(&self.env, &self.env_file, around)?);
        request.user.clone_from(&self.user);
        request.working_dir.clone_from(&self.workdir);
        request.hostname.clone_from(&self.hostname);
        request.domainname.clone_from(&self.domainname);
        for file in &self.label_file {
            for line in lines(file, around)?.iter().filter(|line| line.contains('=')) {
                let (key, value) = parse::key_value(line);
                request.labels.insert(key, value);
            }
        }
        request.labels.extend(parse::map(&self.label));
        request.host_config.group_add = list(&self.group_add);
        request.host_config.init = self.init.then_some(true);
        request.host_config.annotations = parse::map(&self.annotation);
        Ok(())
    }
}

/// Checks an environment variable's name on the command line.
pub(crate) fn variable(text: &str) -> Result<String, String> {
    if text.is_empty() || text.starts_with('=') {
        return Err(format!("invalid environment variable: {text}"));
    }
    Ok(text.to_owned())
}

/// The variables of files, then those of the command line; a bare name takes the CLI's own value.
///
/// A bare name nobody has set is dropped from a file and kept from the command line, as in Docker.
pub(crate) fn environment(
    flags: &[String],
    files: &[PathBuf],
    around: &Surroundings<'_>,
) -> Result<Vec<String>, String> {
    let mut all = Vec::new();
    for file in files {
        for line in lines(file, around)? {
            if line.contains('=') {
                all.push(line);
            } else if let Some(value) = (around.variable)(&line) {
                all.push(format!("{line}={value}"));
            }
        }
    }
    for flag in flags {
        match (around.variable)(flag) {
            Some(value) if !flag.contains('=') => all.push(format!("{flag}={value}")),
            _ => all.push(flag.clone()),
        }
    }
    Ok(all)
}

/// The lines of a variable or label file: no comments, no blanks, names without white space.
fn lines(path: &Path, around: &Surroundings<'_>) -> Result<Vec<String>, String> {
    let text = (around.read)(path).map_err(|error| format!("open {}: {error}", path.display()))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let mut lines = Vec::new();
    for line in text.lines() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let name = line.split_once('=').map_or(line, |(name, _)| name);
        if name.is_empty() {
            return Err(format!("no variable name on line '{line}' of {}", path.display()));
        }
        if name.contains(char::is_whitespace) {
            return Err(format!("variable '{name}' contains whitespaces in {}", path.display()));
        }
        lines.push(line.to_owned());
    }
    Ok(lines)
}
