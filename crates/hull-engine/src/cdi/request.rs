//! From device requests (`--gpus`, `--device vendor.com/class=name`) to names of devices. Pure.

use hull_model::security::{DeviceCount, DeviceRequest};

use super::Registry;
use crate::error::{Error, Kind, Result};

/// Vendors whose class `gpu` is what `--gpus` asks for, first the one tried first.
const GPU_VENDORS: [&str; 2] = ["nvidia.com", "amd.com"];

/// The devices that `requests` mean; the texts are moby's.
pub(crate) fn names(requests: &[DeviceRequest], registry: &Registry) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for request in requests {
        match request.driver.as_str() {
            "cdi" => names.extend(plain(request)?),
            _ => names.extend(gpus(request, registry).ok_or_else(|| no_driver(request))?),
        }
    }
    Ok(names)
}

fn plain(request: &DeviceRequest) -> Result<Vec<String>> {
    let unexpected = |what: &str| {
        let text = format!("unexpected {what} in CDI device request");
        Err(Error::new(Kind::Invalid, text))
    };
    if request.count != DeviceCount::Exactly(0) {
        return unexpected("count");
    }
    if !request.options.is_empty() {
        return unexpected("options");
    }
    Ok(request.ids.clone())
}

/// The devices of the first vendor that has any.
fn gpus(request: &DeviceRequest, registry: &Registry) -> Option<Vec<String>> {
    let wants_gpu = request.capabilities.iter().any(|set| set.iter().any(|word| word == "gpu"));
    let vendor = |vendor: &&str| {
        let own = vendor.trim_end_matches(".com");
        let asked = request.driver.is_empty() || request.driver == own;
        let kind = format!("{vendor}/gpu=");
        asked && registry.names().any(|name| name.starts_with(&kind))
    };
    let vendor = GPU_VENDORS.into_iter().find(vendor).filter(|_| wants_gpu)?;
    let named = |name: &str| format!("{vendor}/gpu={name}");
    Some(match request.count {
        _ if !request.ids.is_empty() => request.ids.iter().map(|id| named(id)).collect(),
        DeviceCount::All => {
            let all = named("all");
            let every = || registry.names().filter(|name| name.starts_with(&named("")));
            if registry.names().any(|name| name == all) {
                vec![all]
            } else {
                every().map(str::to_owned).collect()
            }
        }
        DeviceCount::Exactly(count) => (0..count).map(|index| named(&index.to_string())).collect(),
    })
}

fn no_driver(request: &DeviceRequest) -> Error {
    let sets: Vec<_> =
        request.capabilities.iter().map(|set| format!("[{}]", set.join(" "))).collect();
    let text = format!(
        "could not select device driver {:?} with capabilities: [{}]",
        request.driver,
        sets.join(" ")
    );
    Error::new(Kind::Invalid, text)
}
