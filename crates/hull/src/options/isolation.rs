//! What separates the container from the host: namespaces, capabilities, security options.

use std::path::Path;

use super::{Surroundings, list};
use crate::wire::create::HostConfig;

/// Flags for isolation.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Isolation options")]
#[group(skip)]
pub(crate) struct Flags {
    /// Give extended privileges to this container
    #[arg(long)]
    privileged: bool,
    /// Add Linux capabilities
    #[arg(long, value_name = "CAPABILITY")]
    cap_add: Vec<String>,
    /// Drop Linux capabilities
    #[arg(long, value_name = "CAPABILITY")]
    cap_drop: Vec<String>,
    /// Security options
    #[arg(long, value_name = "OPTION")]
    security_opt: Vec<String>,
    /// PID namespace to use
    #[arg(long, value_name = "MODE", default_value = "", hide_default_value = true)]
    pid: String,
    /// IPC mode to use
    #[arg(long, value_name = "MODE", default_value = "", hide_default_value = true)]
    ipc: String,
    /// UTS namespace to use
    #[arg(long, value_name = "MODE", default_value = "", hide_default_value = true)]
    uts: String,
    /// User namespace to use (auto[:size=N]|host|keep-id[:uid=N,gid=N]|container:NAME)
    #[arg(long, value_name = "MODE", default_value = "", hide_default_value = true)]
    userns: String,
    /// Cgroup namespace to use (host|private)
    #[arg(long, value_name = "MODE", default_value = "", hide_default_value = true)]
    cgroupns: String,
    /// Runtime to use for this container
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    runtime: String,
    /// Container isolation technology
    #[arg(long, value_name = "KIND", default_value = "", hide_default_value = true)]
    isolation: String,
}

impl Flags {
    pub(super) fn apply(
        &self,
        host: &mut HostConfig,
        around: &Surroundings<'_>,
    ) -> Result<(), String> {
        let shared = |mode: &str| mode.strip_prefix("container:").is_some_and(|id| !id.is_empty());
        for (flag, name, valid) in [
            ("pid", "PID", matches!(&*self.pid, "" | "host" | "private") || shared(&self.pid)),
            ("uts", "UTS", matches!(&*self.uts, "" | "host")),
            ("userns", "USER", is_users(&self.userns)),
            ("cgroupns", "CGROUP", matches!(&*self.cgroupns, "" | "host" | "private")),
        ] {
            if !valid {
                return Err(format!("--{flag}: invalid {name} mode"));
            }
        }
        host.privileged = self.privileged;
        host.cap_add = capabilities(&self.cap_add);
        host.cap_drop = capabilities(&self.cap_drop);
        host.pid_mode.clone_from(&self.pid);
        host.ipc_mode.clone_from(&self.ipc);
        host.uts_mode.clone_from(&self.uts);
        host.userns_mode.clone_from(&self.userns);
        host.cgroupns_mode.clone_from(&self.cgroupns);
        host.runtime.clone_from(&self.runtime);
        host.isolation.clone_from(&self.isolation);
        self.security(host, around)
    }

    fn security(&self, host: &mut HostConfig, around: &Surroundings<'_>) -> Result<(), String> {
        let mut options = Vec::new();
        for option in &self.security_opt {
            if option == "systempaths=unconfined" {
                host.masked_paths = Some(Vec::new());
                host.readonly_paths = Some(Vec::new());
                continue;
            }
            let split = option.split_once('=').or_else(|| option.split_once(':'));
            match split {
                Some(("seccomp", value)) if !matches!(value, "unconfined" | "builtin") => {
                    options.push(format!("seccomp={}", profile(value, around)?));
                }
                None if option != "no-new-privileges" => {
                    return Err(format!("Invalid --security-opt: {option:?}"));
                }
                Some(_) | None => options.push(option.clone()),
            }
        }
        host.security_opt = list(&options);
        Ok(())
    }
}

/// Docker's modes and Podman's. Their options are the server's to check.
fn is_users(mode: &str) -> bool {
    let (name, options) = mode.split_once(':').unwrap_or((mode, ""));
    match name {
        "" | "host" | "private" | "nomap" => options.is_empty() && !mode.ends_with(':'),
        "auto" | "keep-id" => true,
        "container" => !options.is_empty(),
        _ => false,
    }
}

/// A seccomp profile as one line of JSON: the server may not see this machine's files.
fn profile(path: &str, around: &Surroundings<'_>) -> Result<String, String> {
    let text = (around.read)(Path::new(path))
        .map_err(|error| format!("opening seccomp profile ({path}) failed: {error}"))?;
    let compacted = serde_json::from_str::<serde_json::Value>(&text);
    match compacted {
        Ok(json) => Ok(json.to_string()),
        Err(error) => Err(format!("compacting json for seccomp profile ({path}) failed: {error}")),
    }
}

/// Capabilities in the kernel's spelling, sorted, each once; `ALL` stands for all of them.
fn capabilities(names: &[String]) -> Option<Vec<String>> {
    let normal = |name: &String| {
        let name = name.trim().to_ascii_uppercase();
        if name == "ALL" || name == "RESET" || name.starts_with("CAP_") {
            name
        } else {
            format!("CAP_{name}")
        }
    };
    let names: std::collections::BTreeSet<String> = names.iter().map(normal).collect();
    // `ALL` makes the others superfluous.
    if names.contains("ALL") {
        return Some(vec!["ALL".to_owned()]);
    }
    (!names.is_empty()).then(|| names.into_iter().collect())
}
