//! `load`, `save` and `import`: images as archives.

use std::fs::{self, File};
use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};

use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::pull::Shown;
use crate::client::call::Call;
use crate::client::lines::Values;
use crate::client::{Client, body};
use crate::failure::Failure;
use crate::output;
use crate::output::progress::{Progress, Update};

/// Flags of `load`.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Load {
    /// Read from tar archive file, instead of STDIN
    #[arg(short, long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    input: Option<PathBuf>,
    /// Load only the given platform variant
    #[arg(long, value_name = "OS/ARCH", default_value = "", hide_default_value = true)]
    platform: String,
    /// Suppress the load output
    #[arg(short, long)]
    quiet: bool,
}

/// Loads an archive of images.
pub(crate) async fn load(client: &Client, args: &Load) -> Result<(), Failure> {
    let reader: Box<dyn io::Read + Send> = match &args.input {
        Some(path) => Box::new(open(path)?),
        None if io::stdin().is_terminal() => {
            return Err(Failure::new("requested load from stdin, but stdin is empty"));
        }
        None => Box::new(io::stdin()),
    };
    let platform =
        if args.platform.is_empty() { String::new() } else { platform_json(&args.platform)? };
    let call = Call::post(&["images", "load"])
        .switch("quiet", args.quiet)
        .query_given("platform", &platform);
    send(client, call, reader, if args.quiet { Shown::Nothing } else { Shown::OnStdout }).await
}

/// Sends an archive and shows what the engine makes of it.
pub(crate) async fn send(
    client: &Client,
    call: Call,
    reader: impl io::Read + Send + 'static,
    shown: Shown,
) -> Result<(), Failure> {
    let target = call.target.clone();
    let call = call.body(body::stream(reader)?, "application/x-tar");
    let answer = client.stream(call).await?;
    let mut updates = Values::new(answer.into_body(), &target);
    let mut progress = Progress::new(shown);
    while let Some(update) = updates.next::<Update>().await? {
        progress.show(update)?;
    }
    progress.finish();
    Ok(())
}

fn open(path: &Path) -> Result<File, Failure> {
    File::open(path).map_err(|error| Failure::new(format!("open {}: {error}", path.display())))
}

/// `linux/arm64/v8` as the API's JSON.
fn platform_json(text: &str) -> Result<String, Failure> {
    let parts: Vec<&str> = text.split('/').collect();
    let value = match parts[..] {
        [os] if !os.is_empty() => serde_json::json!({"os": os, "architecture": ""}),
        [os, architecture] => serde_json::json!({"os": os, "architecture": architecture}),
        [os, architecture, variant] => {
            serde_json::json!({"os": os, "architecture": architecture, "variant": variant})
        }
        _ => return Err(Failure::new(format!("invalid platform: {text:?}"))),
    };
    Ok(value.to_string())
}

/// Flags of `save`.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Save {
    /// Write to a file, instead of STDOUT
    #[arg(short, long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    output: Option<PathBuf>,
    /// Save only the given platform variant
    #[arg(long, value_name = "OS/ARCH", default_value = "", hide_default_value = true)]
    platform: String,
    /// Images by name or id
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<String>,
}

/// Writes images as an archive.
pub(crate) async fn save(client: &Client, args: &Save) -> Result<(), Failure> {
    if args.output.is_none() && io::stdout().is_terminal() {
        return Err(Failure::new(
            "cowardly refusing to save to a terminal. Use the -o flag or redirect",
        ));
    }
    let mut call = Call::get(&["images", "get"]);
    for image in &args.images {
        call = call.query("names", image);
    }
    if !args.platform.is_empty() {
        call = call.query("platform", &platform_json(&args.platform)?);
    }
    fetch(client, call, args.output.as_deref()).await
}

/// Whether standard output is a terminal, which no archive belongs on.
pub(crate) fn to_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Writes the archive that `call` is answered with to a file or standard output, for the command
/// `name`.
pub(crate) async fn write_to(
    client: &Client,
    call: Call,
    path: Option<&Path>,
    name: &str,
) -> Result<(), Failure> {
    if path.is_none() && to_terminal() {
        let text =
            format!("cowardly refusing to {name} to a terminal. Use the -o flag or redirect");
        return Err(Failure::new(text));
    }
    fetch(client, call, path).await
}

async fn fetch(client: &Client, call: Call, path: Option<&Path>) -> Result<(), Failure> {
    let body = client.stream(call).await?.into_body();
    match path {
        Some(path) => into_file(body, path).await,
        None => copy(body, &mut io::stdout().lock()).await,
    }
}

/// Writes to a file that gets its name only when it is whole.
async fn into_file(body: Incoming, path: &Path) -> Result<(), Failure> {
    let failed = |doing: &str, error: io::Error| {
        Failure::new(format!("{doing} {}: {error}", path.display()))
    };
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = directory.unwrap_or(Path::new("."));
    if path.exists() && !path.is_file() {
        // A device or pipe cannot be replaced; it is written as it is.
        let mut file =
            fs::OpenOptions::new().write(true).open(path).map_err(|e| failed("open", e))?;
        return copy(body, &mut file).await;
    }
    let mut file = tempfile::NamedTempFile::new_in(directory).map_err(|e| failed("create", e))?;
    copy(body, file.as_file_mut()).await?;
    match file.persist(path) {
        Ok(_) => Ok(()),
        Err(error) => Err(failed("rename the finished archive to", error.error)),
    }
}

/// Writes a body as it comes.
pub(crate) async fn copy(mut body: Incoming, to: &mut impl io::Write) -> Result<(), Failure> {
    while let Some(frame) = body.frame().await {
        if let Ok(chunk) = frame?.into_data() {
            to.write_all(&chunk).map_err(|error| output::broken(&error))?;
        }
    }
    to.flush().map_err(|error| output::broken(&error))
}

/// Flags of `import`.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Import {
    /// Apply Dockerfile instruction to the created image
    #[arg(short, long, value_name = "INSTRUCTION")]
    change: Vec<String>,
    /// Set commit message for imported image
    #[arg(short, long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    message: String,
    /// Set platform if server is multi-platform capable
    #[arg(long, value_name = "OS/ARCH", default_value = "", hide_default_value = true)]
    platform: String,
    /// A tar archive: a file, a URL, or - for standard input
    #[arg(value_name = "file|URL|-")]
    source: String,
    /// The name of the image
    #[arg(value_name = "REPOSITORY[:TAG]", default_value = "", hide_default_value = true)]
    name: String,
}

/// Makes an image of a filesystem's archive and prints its id.
pub(crate) async fn import(client: &Client, args: &Import) -> Result<(), Failure> {
    let is_url = args.source.starts_with("http://") || args.source.starts_with("https://");
    let from = if is_url { &args.source } else { "-" };
    let mut call = Call::post(&["images", "create"]);
    for change in &args.change {
        call = call.query("changes", change);
    }
    let call = call
        .query("fromSrc", from)
        .query_given("message", &args.message)
        .query_given("platform", &args.platform)
        .query_given("repo", &args.name);
    let target = call.target.clone();
    let call = match args.source.as_str() {
        _ if is_url => call,
        "-" => call.body(body::stream(io::stdin())?, "application/x-tar"),
        path => call.body(body::stream(open(Path::new(path))?)?, "application/x-tar"),
    };
    let answer = client.stream(call).await?;
    let mut updates = Values::new(answer.into_body(), &target);
    let mut progress = Progress::new(Shown::OnStdout);
    while let Some(update) = updates.next::<Update>().await? {
        progress.show(update)?;
    }
    progress.finish();
    Ok(())
}
