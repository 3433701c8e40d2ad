//! `version`.

use crate::client::Client;
use crate::client::call::Call;
use crate::failure::Failure;
use crate::output::{self, format, table};
use crate::template::value::Value;

/// Flags of `version`.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// Format output: 'json' or a Go TEMPLATE
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
}

/// Prints the versions of this program and of the engine it talks to.
///
/// # Errors
/// Also when only the engine's cannot be had; ours is printed then.
pub(crate) async fn run(client: &Client, args: &Args) -> Result<(), Failure> {
    let server = client.json::<Value>(Call::get(&["version"])).await;
    let ours = Value::Map(vec![
        ("Version".to_owned(), Value::text(env!("CARGO_PKG_VERSION"))),
        ("Os".to_owned(), Value::text(std::env::consts::OS)),
        ("Arch".to_owned(), Value::text(architecture())),
    ]);
    if let Some(format) = &args.format {
        let mut both = vec![("Client".to_owned(), ours)];
        both.push(("Server".to_owned(), server?));
        return format::object(&Value::Map(both), format);
    }
    output::line(section("Client: hull", &ours))?;
    output::line(section("\nServer:", &server?))
}

/// Go's name for the architecture this was built for.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn section(heading: &str, of: &Value) -> String {
    let text = |key: &str| of.get(key).map(|value| table::printable(&value.to_string()));
    let api = match (text("ApiVersion"), text("MinAPIVersion")) {
        (Some(api), Some(least)) => Some(format!("{api} (minimum version {least})")),
        (api, _) => api,
    };
    let platform = match (text("Os"), text("Arch")) {
        (Some(os), Some(architecture)) => Some(format!("{os}/{architecture}")),
        _ => None,
    };
    let lines = [
        ("Version:", text("Version")),
        ("API version:", api),
        ("Git commit:", text("GitCommit").filter(|commit| !commit.is_empty())),
        ("Built:", text("BuildTime").filter(|time| !time.is_empty())),
        ("OS/Arch:", platform),
        ("Kernel:", text("KernelVersion").filter(|kernel| !kernel.is_empty())),
    ];
    let lines = lines.into_iter().filter_map(|(name, value)| Some((name, value?)));
    lines.fold(heading.to_owned(), |all, (name, value)| format!("{all}\n {name:<18} {value}"))
}
