//! `filters`: which of many objects a client wants to see.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::refusal::{Refusal, Result, quote};

/// Values by filter name. An object passes if each filter that has values accepts it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Filters {
    by_name: BTreeMap<String, BTreeSet<String>>,
}

impl Filters {
    /// Reads `{"name":{"value":true}}` or its old form `{"name":["value"]}`; names beyond `known`
    /// are refused. An empty text filters nothing.
    pub fn parse(text: &str, known: &[&str]) -> Result<Self> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let by_name: BTreeMap<String, Option<Values>> = serde_json::from_str(text)
            .map_err(|e| Refusal::invalid(format_args!("invalid filter: {e}")))?;
        if let Some(name) = by_name.keys().find(|name| !known.contains(&name.as_str())) {
            return Err(invalid(name));
        }
        let by_name = by_name.into_iter().map(|(name, set)| (name, set.unwrap_or_default().0));
        Ok(Self { by_name: by_name.filter(|(_, set)| !set.is_empty()).collect() })
    }

    /// One value more.
    pub(crate) fn add(&mut self, name: &str, value: &str) {
        self.by_name.entry(name.to_owned()).or_default().insert(value.to_owned());
    }

    /// Whether nothing is filtered by `name`.
    pub fn allows_all(&self, name: &str) -> bool {
        !self.by_name.contains_key(name)
    }

    /// The values of `name`.
    pub fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.by_name.get(name).into_iter().flatten().map(String::as_str)
    }

    /// Whether `name` has no values or one of them is `value`.
    pub fn is(&self, name: &str, value: &str) -> bool {
        self.any(name, |wanted| wanted == value)
    }

    /// Whether `name` has no values or `accepts` one of them.
    pub fn any(&self, name: &str, accepts: impl FnMut(&str) -> bool) -> bool {
        self.allows_all(name) || self.values(name).any(accepts)
    }

    /// Whether `name` has no values or one of them is in `value`, as text or as an expression.
    ///
    /// Go's expressions and ours are of one family, without look-around, and take linear time.
    pub fn matches(&self, name: &str, value: &str) -> bool {
        self.any(name, |wanted| {
            wanted == value
                || regex_lite::Regex::new(wanted).is_ok_and(|pattern| pattern.is_match(value))
        })
    }

    /// Whether `labels` has every `key` or `key=value` of the filter `name`.
    pub fn has_labels(&self, name: &str, labels: &BTreeMap<String, String>) -> bool {
        self.values(name).all(|wanted| match wanted.split_once('=') {
            Some((key, value)) => labels.get(key).is_some_and(|own| own == value),
            None => labels.contains_key(wanted),
        })
    }

    /// Whether `labels` has none of what the filter `name` (`label!`) lists.
    pub fn lacks_labels(&self, name: &str, labels: &BTreeMap<String, String>) -> bool {
        !self.values(name).any(|unwanted| match unwanted.split_once('=') {
            Some((key, value)) => labels.get(key).is_some_and(|own| own == value),
            None => labels.contains_key(unwanted),
        })
    }

    /// The one truth value of `name`, `default` where it is missing.
    pub fn flag(&self, name: &str, default: bool) -> Result<bool> {
        let values: Vec<&str> = self.values(name).collect();
        match values[..] {
            [] => Ok(default),
            ["1" | "true" | "True"] => Ok(true),
            ["0" | "false" | "False"] => Ok(false),
            _ => Err(invalid_value(name, &values.join(","))),
        }
    }
}

/// The refusal of an unknown filter.
pub(crate) fn invalid(name: &str) -> Refusal {
    Refusal::invalid(format_args!("invalid filter '{}'", quote(name)))
}

/// The refusal of a value that a filter cannot have.
pub(crate) fn invalid_value(name: &str, value: &str) -> Refusal {
    Refusal::invalid(format_args!("invalid filter '{name}={}'", quote(value)))
}

#[derive(Default)]
struct Values(BTreeSet<String>);

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListOrSet;
        impl<'de> Visitor<'de> for ListOrSet {
            type Value = Values;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of values or an object with values as keys")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Values, A::Error> {
                let mut values = BTreeSet::new();
                while let Some(value) = list.next_element()? {
                    values.insert(value);
                }
                Ok(Values(values))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut set: A) -> Result<Values, A::Error> {
                let mut values = BTreeSet::new();
                while let Some((value, IgnoredAny)) = set.next_entry()? {
                    values.insert(value);
                }
                Ok(Values(values))
            }
        }
        deserializer.deserialize_any(ListOrSet)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filters(text: &str) -> Filters {
        Filters::parse(text, &["name", "label", "dangling"]).unwrap()
    }

    #[test]
    fn both_forms_are_read() {
        assert_eq!(filters(r#"{"name":{"a":true,"b":false}}"#), filters(r#"{"name":["a","b"]}"#));
        for nothing in ["", "{}", r#"{"name":{}}"#, r#"{"name":[]}"#, r#"{"name":null}"#] {
            assert_eq!(filters(nothing), Filters::default());
        }
    }

    #[test]
    fn what_is_unknown_or_no_filter_is_refused() {
        let refused = |text: &str| Filters::parse(text, &["name"]).unwrap_err().message;
        assert_eq!(refused(r#"{"x":["a"]}"#), "invalid filter 'x'");
        for bad in ["x", "[]", r#"{"name":"a"}"#, r#"{"name":[1]}"#, "{", &"[".repeat(100_000)] {
            assert!(refused(bad).starts_with("invalid filter"), "{bad:.20}");
        }
        assert!(filters(r#"{"dangling":["maybe"]}"#).flag("dangling", false).is_err());
        assert_eq!(filters(r#"{"dangling":["1"]}"#).flag("dangling", false), Ok(true));
    }

    #[test]
    fn values_match_as_text_or_expression() {
        let by_name = |wanted: &str, name: &str| {
            filters(&serde_json::json!({ "name": [wanted] }).to_string()).matches("name", name)
        };
        assert!(by_name("web", "web-1") && by_name("^web-\\d$", "web-1") && by_name("a[", "a["));
        assert!(!by_name("^eb", "web") && !by_name("a[", "a"));
    }

    #[test]
    fn labels_must_all_be_there() {
        let labels = BTreeMap::from([("a".to_owned(), "1".to_owned())]);
        let has = |text: &str| filters(text).has_labels("label", &labels);
        assert!(has(r#"{"label":["a"]}"#) && has(r#"{"label":["a=1"]}"#) && has("{}"));
        assert!(!has(r#"{"label":["a","b"]}"#) && !has(r#"{"label":["a=2"]}"#));
        assert!(!filters(r#"{"label":["a"]}"#).lacks_labels("label", &labels));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[\\[\\]{}\":,a-z0-9]{0,40}", name in ".{0,10}") {
            if let Ok(filters) = Filters::parse(&text, &["a", "name"]) {
                filters.matches("name", &name);
            }
        }
    }
}
