//! Host devices given to the container, and limits on block devices.

use super::{gpus, list, parse};
use crate::wire::create::{Device, DeviceRequest, HostConfig, ThrottleDevice, WeightDevice};

/// Flags for devices.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Device options")]
#[group(skip)]
pub(crate) struct Flags {
    /// Add a host device to the container
    #[arg(long, value_name = "PATH[:TARGET][:rwm]")]
    device: Vec<String>,
    /// Add a rule to the cgroup allowed devices list
    #[arg(long, value_name = "RULE", value_parser = cgroup_rule)]
    device_cgroup_rule: Vec<String>,
    /// GPU devices to add to the container ('all' to pass all GPUs)
    #[arg(long, value_name = "REQUEST", value_parser = gpus::parse)]
    gpus: Vec<DeviceRequest>,
    /// Block IO (relative weight), between 10 and 1000, or 0 to disable
    #[arg(long, value_name = "WEIGHT", default_value_t = 0, hide_default_value = true)]
    blkio_weight: u16,
    /// Block IO weight (relative device weight)
    #[arg(long, value_name = "PATH:WEIGHT", value_parser = weight)]
    blkio_weight_device: Vec<WeightDevice>,
    /// Limit read rate (bytes per second) from a device
    #[arg(long, value_name = "PATH:RATE", value_parser = bytes_rate)]
    device_read_bps: Vec<ThrottleDevice>,
    /// Limit write rate (bytes per second) to a device
    #[arg(long, value_name = "PATH:RATE", value_parser = bytes_rate)]
    device_write_bps: Vec<ThrottleDevice>,
    /// Limit read rate (IO per second) from a device
    #[arg(long, value_name = "PATH:RATE", value_parser = count_rate)]
    device_read_iops: Vec<ThrottleDevice>,
    /// Limit write rate (IO per second) to a device
    #[arg(long, value_name = "PATH:RATE", value_parser = count_rate)]
    device_write_iops: Vec<ThrottleDevice>,
}

impl Flags {
    pub(super) fn apply(&self, host: &mut HostConfig) -> Result<(), String> {
        let (cdi, paths): (Vec<_>, Vec<_>) = self.device.iter().partition(|d| is_cdi(d));
        let resources = &mut host.resources;
        for spec in paths {
            resources.devices.push(device(spec)?);
        }
        resources.device_cgroup_rules = list(&self.device_cgroup_rule);
        let mut requests = self.gpus.clone();
        if !cdi.is_empty() {
            requests.push(DeviceRequest {
                driver: "cdi".to_owned(),
                count: 0,
                device_ids: Some(cdi.into_iter().cloned().collect()),
                capabilities: None,
                options: None,
            });
        }
        resources.device_requests = (!requests.is_empty()).then_some(requests);
        resources.blkio_weight = self.blkio_weight;
        resources.blkio_weight_device.clone_from(&self.blkio_weight_device);
        resources.blkio_device_read_bps.clone_from(&self.device_read_bps);
        resources.blkio_device_write_bps.clone_from(&self.device_write_bps);
        resources.blkio_device_read_iops.clone_from(&self.device_read_iops);
        resources.blkio_device_write_iops.clone_from(&self.device_write_iops);
        Ok(())
    }
}

/// Whether this is a name of the Container Device Interface: `vendor.com/class=name`.
fn is_cdi(text: &str) -> bool {
    let Some((kind, name)) = text.split_once('=') else { return false };
    kind.split_once('/').is_some_and(|(vendor, class)| {
        !vendor.is_empty() && !class.is_empty() && !class.contains('/') && !name.is_empty()
    })
}

/// Reads `PATH[:TARGET][:rwm]`.
fn device(text: &str) -> Result<Device, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, permissions) = match parts[..] {
        [source] => (source, source, "rwm"),
        [source, mode] if is_permissions(mode) => (source, source, mode),
        [source, target] => (source, target, "rwm"),
        [source, target, mode] if is_permissions(mode) => (source, target, mode),
        [_, _, mode] => return Err(format!("bad mode specified: {mode}")),
        _ => return Err(format!("invalid device specification: {text}")),
    };
    for path in [source, target] {
        if !path.starts_with('/') {
            return Err(format!("{path} is not an absolute path"));
        }
    }
    Ok(Device {
        path_on_host: source.to_owned(),
        path_in_container: target.to_owned(),
        cgroup_permissions: permissions.to_owned(),
    })
}

/// Some of `rwm`, each at most once.
fn is_permissions(text: &str) -> bool {
    let once = |(at, c): (usize, char)| "rwm".contains(c) && !text[at + 1..].contains(c);
    !text.is_empty() && text.char_indices().all(once)
}

/// Lets through `TYPE MAJOR:MINOR PERMISSIONS`, the kernel's own notation.
fn cgroup_rule(text: &str) -> Result<String, String> {
    let invalid = || format!("invalid device cgroup format '{text}'");
    let parts: Vec<&str> = text.split(' ').collect();
    let [kind, numbers, permissions] = parts[..] else { return Err(invalid()) };
    let number = |n: &str| n == "*" || n.parse::<u32>().is_ok();
    let (major, minor) = numbers.split_once(':').ok_or_else(invalid)?;
    let valid = matches!(kind, "a" | "b" | "c")
        && number(major)
        && number(minor)
        && is_permissions(permissions);
    if valid { Ok(text.to_owned()) } else { Err(invalid()) }
}

fn split_rate(text: &str) -> Result<(String, &str), String> {
    match text.split_once(':') {
        Some((path, rate)) if path.starts_with("/dev/") => Ok((path.to_owned(), rate)),
        Some((path, _)) => Err(format!("bad format for device path: {path}")),
        None => Err(format!("bad format: {text}")),
    }
}

fn weight(text: &str) -> Result<WeightDevice, String> {
    let (path, weight) = split_rate(text)?;
    match weight.parse() {
        Ok(weight) if weight == 0 || (10..=1000).contains(&weight) => {
            Ok(WeightDevice { path, weight })
        }
        _ => Err(format!("invalid weight for device: {text}")),
    }
}

fn bytes_rate(text: &str) -> Result<ThrottleDevice, String> {
    let (path, rate) = split_rate(text)?;
    match parse::bytes(rate).map(u64::try_from) {
        Ok(Ok(rate)) => Ok(ThrottleDevice { path, rate }),
        Ok(Err(_)) | Err(_) => Err(format!(
            "invalid rate for device: {text}. The correct format is <device-path>:<number>[<unit>]. \
             Number must be a positive integer. Unit is optional and can be kb, mb, or gb"
        )),
    }
}

fn count_rate(text: &str) -> Result<ThrottleDevice, String> {
    let (path, rate) = split_rate(text)?;
    match rate.parse() {
        Ok(rate) => Ok(ThrottleDevice { path, rate }),
        Err(_) => Err(format!(
            "invalid rate for device: {text}. The correct format is <device-path>:<number>. \
             Number must be a positive integer"
        )),
    }
}
