//! `info`.

use crate::client::Client;
use crate::client::call::Call;
use crate::failure::Failure;
use crate::output::{self, format, table, units};
use crate::template::value::Value;

/// Flags of `info`.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// Format output: 'json' or a Go TEMPLATE
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
}

/// What is shown: the heading, and the field it comes from.
const FIELDS: [(&str, &str); 22] = [
    ("Containers", "Containers"),
    (" Running", "ContainersRunning"),
    (" Paused", "ContainersPaused"),
    (" Stopped", "ContainersStopped"),
    ("Images", "Images"),
    ("Server Version", "ServerVersion"),
    ("Storage Driver", "Driver"),
    ("Logging Driver", "LoggingDriver"),
    ("Cgroup Driver", "CgroupDriver"),
    ("Cgroup Version", "CgroupVersion"),
    ("Default Runtime", "DefaultRuntime"),
    ("Security Options", "SecurityOptions"),
    ("Kernel Version", "KernelVersion"),
    ("Operating System", "OperatingSystem"),
    ("OSType", "OSType"),
    ("Architecture", "Architecture"),
    ("CPUs", "NCPU"),
    ("Total Memory", "MemTotal"),
    ("Name", "Name"),
    ("ID", "ID"),
    ("Hull Root Dir", "DockerRootDir"),
    ("Debug Mode", "Debug"),
];

/// Prints what the engine says about itself and its host.
pub(crate) async fn run(client: &Client, args: &Args) -> Result<(), Failure> {
    let info: Value = client.json(Call::get(&["info"])).await?;
    if let Some(format) = &args.format {
        return format::object(&info, format);
    }
    let mut out = format!("Client: hull\n Version:    {}\n\nServer:\n", env!("CARGO_PKG_VERSION"));
    for (heading, field) in FIELDS {
        match info.get(field) {
            None | Some(Value::Null) => {}
            Some(Value::Int(bytes)) if field == "MemTotal" => {
                let size = units::memory(i64::try_from(*bytes).unwrap_or(i64::MAX));
                out.push_str(&format!(" {heading}: {size}\n"));
            }
            Some(Value::List(items)) => {
                out.push_str(&format!(" {heading}:\n"));
                for item in items {
                    let text = table::printable(&item.to_string());
                    out.push_str(&format!("  {}\n", text.trim_start_matches("name=")));
                }
            }
            Some(value) => {
                out.push_str(&format!(" {heading}: {}\n", table::printable(&value.to_string())));
            }
        }
    }
    if let Some(Value::List(warnings)) = info.get("Warnings") {
        for warning in warnings {
            output::talk(table::printable(&warning.to_string()));
        }
    }
    output::text(out)
}
