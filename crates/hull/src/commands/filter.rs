//! `--filter key=value`, as the API takes it. Pure.

use std::collections::{BTreeMap, BTreeSet};

/// Reads one filter.
pub(crate) fn parse(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => {
            Ok((key.trim().to_ascii_lowercase(), value.trim().to_owned()))
        }
        Some(_) | None => Err("bad format of filter (expected name=value)".to_owned()),
    }
}

/// The filters as JSON: `{"label":{"a=b":true}}`. Empty without filters.
pub(crate) fn json(filters: &[(String, String)]) -> String {
    let mut all: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (key, value) in filters {
        all.entry(key).or_default().insert(value);
    }
    let sets: serde_json::Map<_, _> = all
        .into_iter()
        .map(|(key, values)| {
            let set: serde_json::Map<_, _> =
                values.into_iter().map(|value| (value.to_owned(), true.into())).collect();
            (key.to_owned(), set.into())
        })
        .collect();
    if sets.is_empty() { String::new() } else { serde_json::Value::Object(sets).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_become_sets() {
        let filters: Vec<_> = ["status=running", "label=a=b", "LABEL = c"]
            .iter()
            .map(|f| parse(f).unwrap())
            .collect();
        assert_eq!(json(&filters), r#"{"label":{"a=b":true,"c":true},"status":{"running":true}}"#);
        assert_eq!(json(&[]), "");
        for text in ["", "x", "=y"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
