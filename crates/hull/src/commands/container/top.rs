//! `top` and `port`: what runs in a container, and where it can be reached.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::client::Client;
use crate::client::call::Call;
use crate::failure::Failure;
use crate::output::{self, table};

/// Flags of `top`.
#[derive(Debug, clap::Args)]
#[group(skip)]
#[command(override_usage = "hull top CONTAINER [ps OPTIONS]")]
pub(crate) struct Top {
    /// The container, and options for ps
    #[arg(value_name = "CONTAINER [ps OPTIONS]", required = true, trailing_var_arg = true)]
    container_and_options: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Processes {
    titles: Vec<String>,
    #[serde(default)]
    processes: Option<Vec<Vec<String>>>,
}

/// Prints the processes of a container.
pub(crate) async fn top(client: &Client, args: &Top) -> Result<(), Failure> {
    let (container, options) = match args.container_and_options.as_slice() {
        [container, options @ ..] => (container.as_str(), options),
        [] => ("", &[][..]),
    };
    let call =
        Call::get(&["containers", container, "top"]).query_given("ps_args", &options.join(" "));
    let Processes { titles, processes } = client.json(call).await?;
    let rows: Vec<String> = std::iter::once(titles)
        .chain(processes.unwrap_or_default())
        .map(|row| row.iter().map(|c| table::printable(c)).collect::<Vec<_>>().join("\t"))
        .collect();
    output::text(table::align(&rows))
}

/// Flags of `port`.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Port {
    /// The container by name or id
    #[arg(value_name = "CONTAINER")]
    container: String,
    /// Only where this port is reachable
    #[arg(value_name = "PRIVATE_PORT[/PROTO]")]
    port: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    network_settings: Settings,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Settings {
    #[serde(default)]
    ports: Option<BTreeMap<String, Option<Vec<Binding>>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Binding {
    #[serde(default)]
    host_ip: String,
    #[serde(default)]
    host_port: String,
}

impl Binding {
    fn text(&self) -> String {
        let ip = &self.host_ip;
        let bracketed = if ip.contains(':') { format!("[{ip}]") } else { ip.clone() };
        format!("{bracketed}:{}", self.host_port)
    }
}

/// Prints where a container's ports are reachable.
pub(crate) async fn port(client: &Client, args: &Port) -> Result<(), Failure> {
    let call = Call::get(&["containers", &args.container, "json"]);
    let Inspected { network_settings } = client.json(call).await?;
    let ports = network_settings.ports.unwrap_or_default();
    if let Some(port) = &args.port {
        let key = if port.contains('/') { port.clone() } else { format!("{port}/tcp") };
        let bindings = ports.get(&key).and_then(Option::as_ref).filter(|list| !list.is_empty());
        let Some(bindings) = bindings else {
            let container = &args.container;
            return Err(Failure::new(format!("no public port '{key}' published for {container}")));
        };
        for binding in bindings {
            output::line(binding.text())?;
        }
        return Ok(());
    }
    let mut all: Vec<(u16, String)> = Vec::new();
    for (port, bindings) in &ports {
        let number = port.split('/').next().and_then(|n| n.parse().ok()).unwrap_or(0);
        for binding in bindings.iter().flatten() {
            all.push((number, format!("{port} -> {}", binding.text())));
        }
    }
    all.sort_by_key(|(number, _)| *number);
    for (_, line) in all {
        output::line(line)?;
    }
    Ok(())
}
