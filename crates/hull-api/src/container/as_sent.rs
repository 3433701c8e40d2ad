//! Keeps the words of a client that the model says differently, so that `inspect` shows them again.
//!
//! `NanoCpus` and `CpuQuota` are one limit to the model, `-v a:b:z` and `-v a:b` one mount. What was
//! sent is compared with what the model gives back; a field that differs is kept beside the spec,
//! as JSON by Docker's name for it. Nothing is ever decided by it.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::host_config::HostConfig;
use crate::json::object;

/// Fields whose form in the model is the one Docker shows as well.
const CANONICAL: [&str; 6] =
    ["CapAdd", "CapDrop", "Devices", "MemorySwappiness", "NetworkMode", "PidsLimit"];

/// Fields that are shown as 0 where 0 was sent: `NanoCpus` gave the quota, or the period is the
/// kernel's.
const VERBATIM: [&str; 2] = ["CpuPeriod", "CpuQuota"];

/// The fields of `sent` that `read_back` shows otherwise.
pub(super) fn kept(sent: &HostConfig, read_back: &HostConfig) -> BTreeMap<String, String> {
    let (sent, read_back) = (object(sent), object(read_back));
    let mut kept = BTreeMap::new();
    for (field, value) in sent {
        let shown = read_back.get(&field).unwrap_or(&Value::Null);
        let silent = is_empty(&value) && !VERBATIM.contains(&field.as_str());
        if silent || value == *shown || CANONICAL.contains(&field.as_str()) {
            continue;
        }
        let value = if field == "LogConfig" { united(shown, value) } else { value };
        kept.insert(field, value.to_string());
    }
    kept
}

/// `shown` with the fields of `kept` in place of its own.
pub(super) fn restore(shown: &HostConfig, kept: &BTreeMap<String, String>) -> Map<String, Value> {
    let mut fields = object(shown);
    for (field, json) in kept {
        if let Ok(value) = serde_json::from_str(json) {
            fields.insert(field.clone(), value);
        }
    }
    fields
}

/// The daemon's log options stay visible beside the client's.
fn united(shown: &Value, mut sent: Value) -> Value {
    if let (Some(Value::Object(all)), Some(Value::Object(own))) =
        (shown.get("Config"), sent.get_mut("Config"))
    {
        for (key, value) in all {
            own.entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
    if sent["Type"] == "" {
        sent["Type"] = shown["Type"].clone();
    }
    sent
}

/// Whether a value is Go's zero, so that it says nothing.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => number.as_i64() == Some(0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.iter().all(is_empty),
        Value::Object(members) => members.values().all(is_empty),
    }
}
