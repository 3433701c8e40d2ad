//! What the container sees as files besides its image.

use super::{Surroundings, list, mount, parse};
use crate::wire::create::{CreateRequest, Empty, Mount};

/// Flags for storage.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Storage options")]
#[group(skip)]
pub(crate) struct Flags {
    /// Bind mount a volume
    #[arg(short, long, value_name = "[SOURCE:]TARGET[:OPTIONS]")]
    volume: Vec<String>,
    /// Attach a filesystem mount to the container
    #[arg(long, value_name = "KEY=VALUE,...", value_parser = mount::parse)]
    mount: Vec<Mount>,
    /// Mount a tmpfs directory
    #[arg(long, value_name = "TARGET[:OPTIONS]")]
    tmpfs: Vec<String>,
    /// Mount volumes from the specified container(s)
    #[arg(long, value_name = "CONTAINER[:ro]")]
    volumes_from: Vec<String>,
    /// Optional volume driver for the container
    #[arg(long, value_name = "DRIVER", default_value = "", hide_default_value = true)]
    volume_driver: String,
    /// Mount the container's root filesystem as read only
    #[arg(long)]
    read_only: bool,
    /// Storage driver options for the container
    #[arg(long, value_name = "KEY=VALUE")]
    storage_opt: Vec<String>,
}

impl Flags {
    pub(super) fn apply(
        &self,
        request: &mut CreateRequest,
        around: &Surroundings<'_>,
    ) -> Result<(), String> {
        let mut binds: Vec<String> = Vec::new();
        for spec in &self.volume {
            match spec.split_once(':') {
                // A relative source is a name of a volume unless it starts with a dot.
                Some((source, target)) if source.starts_with('.') => {
                    let source = clean(&around.directory.join(source))?;
                    binds.push(format!("{source}:{target}"));
                }
                Some(("", _)) => return Err(format!("invalid volume specification: {spec:?}")),
                Some(_) => binds.push(spec.clone()),
                None if spec == "/" => {
                    return Err("invalid volume specification: destination can't be '/'".to_owned());
                }
                None => {
                    request.volumes.insert(spec.clone(), Empty {});
                }
            }
        }
        if self.storage_opt.iter().any(|option| !option.contains('=')) {
            return Err("invalid storage option".to_owned());
        }
        let host = &mut request.host_config;
        host.binds = list(&binds);
        host.mounts.clone_from(&self.mount);
        for spec in &self.tmpfs {
            let (target, options) = spec.split_once(':').unwrap_or((spec, ""));
            host.tmpfs.insert(target.to_owned(), options.to_owned());
        }
        host.volumes_from = list(&self.volumes_from);
        host.volume_driver.clone_from(&self.volume_driver);
        host.readonly_rootfs = self.read_only;
        host.storage_opt = parse::map(&self.storage_opt);
        Ok(())
    }
}

/// The path without `.` and `..`, by its text alone: as Go's `filepath.Abs`, which Docker uses.
fn clean(path: &std::path::Path) -> Result<String, String> {
    use std::path::Component;
    let mut cleaned = std::path::PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                cleaned.pop();
            }
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => {
                cleaned.push(component);
            }
        }
    }
    match cleaned.to_str() {
        Some(text) => Ok(text.to_owned()),
        None => Err(format!("volume source {} is not UTF-8", path.display())),
    }
}
