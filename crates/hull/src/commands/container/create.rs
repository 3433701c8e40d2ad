//! `create`, and the part of `run` that makes the container.

use std::fs::OpenOptions;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;

use serde::Deserialize;

use crate::client::call::Call;
use crate::client::{Client, ClientError};
use crate::commands::image::pull;
use crate::commands::with_surroundings;
use crate::failure::{ENGINE, Failure};
use crate::options::{self, ContainerFlags};
use crate::output;
use crate::reference::Reference;
use crate::wire::create::CreateRequest;

/// When an image is fetched before a container is made of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pull {
    Always,
    Missing,
    Never,
}

fn pull_policy(text: &str) -> Result<Pull, String> {
    match text {
        "always" => Ok(Pull::Always),
        "missing" => Ok(Pull::Missing),
        "never" => Ok(Pull::Never),
        _ => Err(format!(
            "invalid pull option: '{text}': must be one of \"always\", \"missing\" or \"never\""
        )),
    }
}

/// The flags of making a container that are not about the container itself.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Making {
    /// Assign a name to the container
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    pub(crate) name: String,
    /// Write the container ID to the file
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub(crate) cidfile: Option<PathBuf>,
    /// Set platform if server is multi-platform capable
    #[arg(
        long,
        value_name = "OS/ARCH",
        default_value = "",
        hide_default_value = true,
        env = "DOCKER_DEFAULT_PLATFORM",
        hide_env = true
    )]
    pub(crate) platform: String,
    /// Pull image before running ("always", "missing", "never")
    #[arg(long, value_name = "WHEN", default_value = "missing", value_parser = pull_policy)]
    pub(crate) pull: Pull,
    /// Suppress the pull output
    #[arg(short, long)]
    pub(crate) quiet: bool,
    /// Skip image verification
    #[arg(long, hide = true)]
    disable_content_trust: bool,
    /// Print usage
    #[arg(long, action = clap::ArgAction::HelpLong)]
    help: Option<bool>,
}

/// Flags of `create`.
#[derive(Debug, clap::Args)]
#[group(skip)]
#[command(
    disable_help_flag = true,
    override_usage = "hull create [OPTIONS] IMAGE [COMMAND] [ARG...]"
)]
pub(crate) struct Args {
    #[command(flatten)]
    making: Making,
    #[command(flatten)]
    flags: ContainerFlags,
    /// The image, and the command to run in it
    #[arg(value_name = "IMAGE [COMMAND] [ARG...]", required = true, trailing_var_arg = true)]
    image_and_command: Vec<String>,
}

/// Makes a container and prints its id.
pub(crate) async fn run(client: &Client, args: Args) -> Result<(), Failure> {
    let request = request(&args.flags, &args.image_and_command, "create")?;
    let made = make(client, &args.making, request).await;
    let id = made.map_err(|failure| failure.told("create"))?;
    output::line(id)
}

/// Why no container was made.
pub(crate) enum MakeError {
    /// The engine or this machine is to blame; the message as Docker words it.
    Engine(String),
    /// Something that was told already or has its own words.
    Other(Failure),
}

impl MakeError {
    /// The failure of the command in whose course it happened.
    pub(crate) fn told(self, command: &str) -> Failure {
        match self {
            Self::Engine(text) => Failure::of_command(&text, ENGINE, command),
            Self::Other(failure) => failure,
        }
    }
}

/// Translates the flags; `command` is `run` or `create`, for the message when they contradict.
pub(crate) fn request(
    flags: &ContainerFlags,
    image_and_command: &[String],
    command: &str,
) -> Result<CreateRequest, Failure> {
    let (image, arguments) = match image_and_command {
        [image, arguments @ ..] => (image.as_str(), arguments),
        [] => ("", &[][..]),
    };
    let request = with_surroundings(|around| options::request(flags, image, arguments, around))?;
    request.map_err(|text| Failure::of_command(&text, ENGINE, command))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Created {
    id: String,
    #[serde(default)]
    warnings: Option<Vec<String>>,
}

/// Makes the container, fetching its image when that is wanted. Gives its id.
pub(crate) async fn make(
    client: &Client,
    making: &Making,
    mut request: CreateRequest,
) -> Result<String, MakeError> {
    // Made before the container: an id that cannot be written is a container one cannot find.
    let mut id_file = match &making.cidfile {
        Some(path) => {
            request.host_config.container_id_file = path.to_string_lossy().into_owned();
            Some(IdFile::create(path.clone()).map_err(MakeError::Engine)?)
        }
        None => None,
    };
    if making.pull == Pull::Always {
        fetch(client, making, &request.image).await?;
    }
    let made = match send(client, making, &request).await {
        Err(error) if error.is_not_found() && making.pull == Pull::Missing => {
            let Ok(reference) = Reference::parse(&request.image) else {
                return Err(MakeError::Engine(error.to_string()));
            };
            if !making.quiet {
                output::talk(format!("Unable to find image '{}' locally", reference.familiar()));
            }
            fetch(client, making, &request.image).await?;
            send(client, making, &request).await
        }
        made => made,
    };
    let created = made.map_err(|error| MakeError::Engine(words(error)))?;
    for warning in created.warnings.unwrap_or_default() {
        output::talk(format!("WARNING: {warning}"));
    }
    if let Some(file) = &mut id_file {
        file.write(&created.id).map_err(MakeError::Engine)?;
    }
    Ok(created.id)
}

/// An error with all its causes in one line.
pub(crate) fn words(error: ClientError) -> String {
    match Failure::from(error) {
        Failure::Message { text, .. } => text,
        Failure::Status(_) => String::new(),
    }
}

async fn send(
    client: &Client,
    making: &Making,
    request: &CreateRequest,
) -> Result<Created, ClientError> {
    let call = Call::post(&["containers", "create"])
        .query_given("name", &making.name)
        .query_given("platform", &making.platform);
    let target = call.target.clone();
    let call = call.json(request).map_err(|source| ClientError::Json { target, source })?;
    client.json(call).await
}

/// Fetches an image with its progress on standard error: standard output is the guest's.
async fn fetch(client: &Client, making: &Making, image: &str) -> Result<(), MakeError> {
    let reference = Reference::parse(image).map_err(MakeError::Engine)?;
    let shown = if making.quiet { pull::Shown::Nothing } else { pull::Shown::OnStderr };
    pull::pull(client, &reference, &making.platform, shown).await.map_err(|failure| match failure {
        Failure::Message { text, .. } => MakeError::Engine(text),
        status @ Failure::Status(_) => MakeError::Other(status),
    })
}

/// The file of `--cidfile`; it goes again when no container came about.
struct IdFile {
    path: PathBuf,
    is_written: bool,
}

impl IdFile {
    fn create(path: PathBuf) -> Result<Self, String> {
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(_) => Ok(Self { path, is_written: false }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(format!(
                "container ID file found, make sure the other container isn't running or delete {}",
                path.display()
            )),
            Err(error) => {
                Err(format!("failed to create the container ID file {}: {error}", path.display()))
            }
        }
    }

    fn write(&mut self, id: &str) -> Result<(), String> {
        let write = || OpenOptions::new().write(true).open(&self.path)?.write_all(id.as_bytes());
        write().map_err(|error| {
            format!("failed to write the container ID to {}: {error}", self.path.display())
        })?;
        self.is_written = true;
        Ok(())
    }
}

impl Drop for IdFile {
    fn drop(&mut self) {
        if !self.is_written {
            // Left behind it would only make the next try fail with a clear message.
            drop(std::fs::remove_file(&self.path));
        }
    }
}

/// The size of our terminal for a guest that gets one.
pub(crate) fn console_size(request: &mut CreateRequest) {
    if request.tty && io::stdout().is_terminal() {
        let (rows, columns) = crate::attach::terminal::size().unwrap_or_default();
        request.host_config.console_size = [rows, columns];
    }
}
