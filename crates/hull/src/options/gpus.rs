//! `--gpus all`, `--gpus 2`, `--gpus '"device=0,1",capabilities=utility'`. Pure.

use super::parse::fields;
use crate::wire::create::{DeviceRequest, Map};

/// Reads one `--gpus`.
pub(crate) fn parse(text: &str) -> Result<DeviceRequest, String> {
    if text.is_empty() {
        return Err("a number, 'all' or key=value pairs are needed".to_owned());
    }
    let mut request = DeviceRequest {
        driver: String::new(),
        count: 0,
        device_ids: None,
        capabilities: None,
        options: Some(Map::new()),
    };
    let mut seen = Vec::new();
    let mut counted = false;
    let mut capabilities = Vec::new();
    for field in fields(text)? {
        let (key, value) = field.split_once('=').unwrap_or(("count", &field));
        if seen.contains(&key.to_owned()) {
            return Err(format!("gpu request key '{key}' can be specified only once"));
        }
        seen.push(key.to_owned());
        let values = || value.split(',').map(str::to_owned).collect::<Vec<_>>();
        match key {
            "driver" => value.clone_into(&mut request.driver),
            "count" => {
                request.count = count(value)?;
                counted = true;
            }
            "device" => request.device_ids = Some(values()),
            "capabilities" => capabilities = values(),
            "options" => {
                let options = fields(value)?;
                request.options = Some(super::parse::map(&options));
            }
            other => return Err(format!("unexpected key '{other}' in '{field}'")),
        }
    }
    if !counted && request.device_ids.is_none() {
        request.count = 1;
    }
    if !capabilities.iter().any(|capability| capability == "gpu") {
        capabilities.push("gpu".to_owned());
    }
    request.capabilities = Some(vec![capabilities]);
    Ok(request)
}

fn count(text: &str) -> Result<i64, String> {
    if text == "all" {
        return Ok(-1);
    }
    match text.parse() {
        Ok(count) => Ok(count),
        Err(_) => {
            Err(format!("invalid count ({text}): value must be either \"all\" or an integer"))
        }
    }
}
