//! Debian and Ubuntu by mmdebstrap, from the mirrors this machine uses itself.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::thread::JoinHandle;

use super::archive::Description;
use super::filter::{Fate, fate};
use super::layer::{Layer, LayerWriter};
use super::sources::{Source, deb822, one_line, release_date};
use super::{BootstrapError, epoch_of};

/// What is to be made, and how.
#[derive(Debug, Clone)]
pub(crate) struct Recipe {
    pub(crate) name: String,
    pub(crate) suite: String,
    pub(crate) variant: String,
    pub(crate) include: Vec<String>,
    pub(crate) mirrors: Vec<String>,
}

/// The moment of an image whose release has no date that could be read: 2000-01-01.
const EPOCH_OTHERWISE: u64 = 946_684_800;
/// Lines of mmdebstrap's output kept for an error.
const TAIL_LINES: usize = 20;
/// A `Release` file is some hundred kilobytes; more of it holds no date.
const RELEASE_BYTES_MAX: u64 = 64 * 1024;

/// Makes the image; `say` is told what is going on.
///
/// The image's moment is `SOURCE_DATE_EPOCH`, else the newest date among the suite's `Release`
/// files: until the suite changes, the same recipe gives the same image.
///
/// # Errors
/// When mmdebstrap is missing or fails (the end of its output is in the message).
pub(crate) fn make(
    recipe: &Recipe,
    say: impl Fn(&str) + Send + 'static,
) -> Result<(Layer, Description), BootstrapError> {
    let mirrors = mirrors(recipe);
    let epoch = match epoch_of(std::env::var("SOURCE_DATE_EPOCH").ok())? {
        Some(epoch) => epoch,
        None => {
            say("reading the suite's release date");
            newest(&mirrors)
        }
    };
    let mut child = start(recipe, &mirrors, epoch)?;
    let (output, errors) = (child.stdout.take(), child.stderr.take());
    let talk = errors.map(|errors| listen(errors, say)).transpose();
    let talk = talk.map_err(|source| BootstrapError::Run { program: PROGRAM, source })?;
    let layer = output.map(|output| layer(output, epoch));
    // A failed copy leaves mmdebstrap writing into a closed pipe, so it ends either way.
    let status = child.wait().map_err(|source| BootstrapError::Run { program: PROGRAM, source })?;
    let tail = talk.map(|thread| thread.join().unwrap_or_default()).unwrap_or_default();
    if !status.success() {
        return Err(BootstrapError::Ended { program: PROGRAM, status, tail: tail.join("\n") });
    }
    let Some(layer) = layer else { unreachable!("its output was asked for as a pipe") };
    let description =
        Description { name: recipe.name.clone(), command: "bash", made_by: made_by(recipe), epoch };
    Ok((layer?, description))
}

const PROGRAM: &str = "mmdebstrap";

fn made_by(recipe: &Recipe) -> String {
    let mut text = format!("hull image bootstrap {} --variant={}", recipe.name, recipe.variant);
    if !recipe.include.is_empty() {
        text = format!("{text} --include={}", recipe.include.join(","));
    }
    text
}

/// Where the packages come from: what was asked for, else this machine's own sources of the suite,
/// else nothing, which leaves it to mmdebstrap.
fn mirrors(recipe: &Recipe) -> Vec<Mirror> {
    if !recipe.mirrors.is_empty() {
        let release = |uri: &String| {
            format!("{}/dists/{}/InRelease", uri.trim_end_matches('/'), recipe.suite)
        };
        let mirror = |uri: &String| Mirror { argument: uri.clone(), release: release(uri) };
        return recipe.mirrors.iter().map(mirror).collect();
    }
    let mirror = |source: &Source| Mirror { argument: source.line(), release: source.release() };
    own_sources(&recipe.suite).iter().map(mirror).collect()
}

struct Mirror {
    argument: String,
    release: String,
}

fn own_sources(suite: &str) -> Vec<Source> {
    let mut files = vec![Path::new("/etc/apt/sources.list").to_owned()];
    if let Ok(directory) = fs::read_dir("/etc/apt/sources.list.d") {
        let mut parts: Vec<_> = directory.flatten().map(|entry| entry.path()).collect();
        parts.sort();
        files.extend(parts);
    }
    let mut sources: Vec<Source> = Vec::new();
    for file in files {
        // What cannot be read is no source for apt either.
        let Ok(text) = fs::read_to_string(&file) else { continue };
        let found = match file.extension().and_then(|extension| extension.to_str()) {
            Some("sources") => deb822(&text, suite),
            Some("list") => one_line(&text, suite),
            Some(_) | None => Vec::new(),
        };
        sources.extend(found);
    }
    sources.dedup();
    sources
}

/// The newest date of the mirrors' `Release` files, fetched as apt fetches them.
///
/// Their signatures are mmdebstrap's business: a lie here only moves the times of files.
fn newest(mirrors: &[Mirror]) -> u64 {
    let dates = mirrors.iter().filter_map(|mirror| release_date(&fetch(&mirror.release)?));
    dates.max().unwrap_or(EPOCH_OTHERWISE)
}

#[expect(clippy::disallowed_methods, reason = "apt's own downloader needs the user's environment")]
fn fetch(url: &str) -> Option<String> {
    let directory = tempfile::tempdir().ok()?;
    let path = directory.path().join("InRelease");
    let status = Command::new("/usr/lib/apt/apt-helper")
        .args(["-qq", "download-file", url])
        .arg(&path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .ok()?;
    let mut text = Vec::new();
    fs::File::open(&path).ok()?.take(RELEASE_BYTES_MAX).read_to_end(&mut text).ok()?;
    status.success().then(|| String::from_utf8_lossy(&text).into_owned())
}

#[expect(clippy::disallowed_methods, reason = "mmdebstrap needs the user's environment")]
fn start(recipe: &Recipe, mirrors: &[Mirror], epoch: u64) -> Result<Child, BootstrapError> {
    let mut command = Command::new(PROGRAM);
    command
        .arg(format!("--variant={}", recipe.variant))
        .arg("--format=tar")
        .env("SOURCE_DATE_EPOCH", epoch.to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if !recipe.include.is_empty() {
        command.arg(format!("--include={}", recipe.include.join(",")));
    }
    command.arg("--").arg(&recipe.suite).arg("-");
    command.args(mirrors.iter().map(|mirror| &mirror.argument));
    command.spawn().map_err(|source| {
        if source.kind() == io::ErrorKind::NotFound {
            BootstrapError::Missing { program: PROGRAM, package: PROGRAM }
        } else {
            BootstrapError::Run { program: PROGRAM, source }
        }
    })
}

/// Passes on what mmdebstrap says, and keeps the end of it.
fn listen(
    errors: ChildStderr,
    say: impl Fn(&str) + Send + 'static,
) -> io::Result<JoinHandle<Vec<String>>> {
    std::thread::Builder::new().name("mmdebstrap".to_owned()).spawn(move || {
        let mut tail = std::collections::VecDeque::new();
        for line in BufReader::new(errors).split(b'\n').map_while(Result::ok) {
            // Progress is drawn over itself with carriage returns.
            let line = String::from_utf8_lossy(&line);
            let line = line.rsplit('\r').find(|part| !part.is_empty()).unwrap_or_default();
            if let Some(step) = line.strip_prefix("I: ") {
                say(step);
            }
            if tail.len() == TAIL_LINES {
                tail.pop_front();
            }
            tail.push_back(line.to_owned());
        }
        tail.into()
    })
}

/// Copies the system into a layer, without what does not belong into an image.
fn layer(output: impl Read, epoch: u64) -> Result<Layer, BootstrapError> {
    let mut layer = LayerWriter::new(epoch).map_err(BootstrapError::Layer)?;
    let mut archive = tar::Archive::new(output);
    for entry in archive.entries().map_err(BootstrapError::Filesystem)? {
        let entry = entry.map_err(BootstrapError::Filesystem)?;
        let path = entry.path().map_err(BootstrapError::Filesystem)?.into_owned();
        match fate(&path) {
            Fate::Kept => layer.copy(entry).map_err(BootstrapError::Layer)?,
            Fate::Emptied => {
                let path = path.to_string_lossy();
                layer.file(&path, 0o644, b"").map_err(BootstrapError::Layer)?;
            }
            Fate::Dropped => {}
        }
    }
    layer.finish().map_err(BootstrapError::Layer)
}
