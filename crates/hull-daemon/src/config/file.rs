//! The configuration file, and its union with the flags.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use serde_json::{Map, Value};

use super::{ConfigError, Directives};

/// Longest file that is read: real ones have some hundred bytes.
const SIZE_MAX: u64 = 1 << 20;

/// The directives of `flags` and of the file at `path`, each from one of them only.
pub(super) fn merge(flags: &Directives, path: &Path) -> Result<Directives, ConfigError> {
    let invalid = |source| ConfigError::Json { path: path.to_owned(), source };
    let text = read(path)?;
    let empty = text.trim_ascii().is_empty();
    let given: Map<String, Value> =
        if empty { Map::new() } else { serde_json::from_slice(&text).map_err(invalid)? };
    let known = object(&Directives::default()).map_err(invalid)?;
    let keys: Vec<_> = given.keys().filter(|key| !known.contains_key(*key)).cloned().collect();
    if !keys.is_empty() {
        return Err(ConfigError::Unknown { path: path.to_owned(), keys });
    }
    // From the text, not from the map: errors then say line and column.
    let file: Directives = if empty {
        Directives::default()
    } else {
        serde_json::from_slice(&text).map_err(invalid)?
    };
    let mut all = set(object(&file).map_err(invalid)?);
    let mut twice = Vec::new();
    for (key, value) in set(object(flags).map_err(invalid)?) {
        if let Some(other) = all.get(&key) {
            twice.push(format!("{key} (from flag: {value}, from file: {other})"));
        }
        all.insert(key, value);
    }
    if !twice.is_empty() {
        return Err(ConfigError::Twice { path: path.to_owned(), keys: twice });
    }
    merged(&file, flags, &all).map_err(invalid)
}

/// `flags` over `file`. Values that the file writes in its own form are not read back from it.
fn merged(
    file: &Directives,
    flags: &Directives,
    all: &Map<String, Value>,
) -> Result<Directives, serde_json::Error> {
    let pick = |flag: &Vec<String>, file: &Vec<String>| {
        if flag.is_empty() { file.clone() } else { flag.clone() }
    };
    let mut plain = all.clone();
    plain.remove("log-opts");
    plain.remove("default-ulimits");
    let mut merged: Directives = serde_json::from_value(Value::Object(plain))?;
    merged.log_opts = pick(&flags.log_opts, &file.log_opts);
    merged.default_ulimits = pick(&flags.default_ulimits, &file.default_ulimits);
    Ok(merged)
}

fn read(path: &Path) -> Result<Vec<u8>, ConfigError> {
    let failed = |source| ConfigError::Read { path: path.to_owned(), source };
    let mut text = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(SIZE_MAX + 1).read_to_end(&mut text).map_err(failed)?;
    if text.len() as u64 > SIZE_MAX {
        return Err(failed(std::io::Error::other(format!("longer than {SIZE_MAX} bytes"))));
    }
    Ok(text)
}

fn object(directives: &Directives) -> Result<Map<String, Value>, serde_json::Error> {
    // A struct is an object; anything else would be a mistake in serde.
    serde_json::from_value(serde_json::to_value(directives)?)
}

/// What is set: neither null nor an empty list.
fn set(map: Map<String, Value>) -> Map<String, Value> {
    let is_set = |value: &Value| !value.is_null() && value.as_array().is_none_or(|l| !l.is_empty());
    map.into_iter().filter(|(_, value)| is_set(value)).collect()
}
