//! Values that the file writes differently from the flags.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

/// A map of strings (numbers and booleans are taken too) as `key=value` texts.
pub(super) fn pairs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let map = BTreeMap::<String, Scalar>::deserialize(deserializer)?;
    Ok(map.into_iter().map(|(key, Scalar(value))| format!("{key}={value}")).collect())
}

/// `{"nofile": {"Name": "nofile", "Soft": 1024, "Hard": 4096}}` as `nofile=1024:4096`.
pub(super) fn ulimits<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "PascalCase", deny_unknown_fields)]
    struct Ulimit {
        name: Option<String>,
        soft: i64,
        hard: i64,
    }
    let map = BTreeMap::<String, Ulimit>::deserialize(deserializer)?;
    map.into_iter()
        .map(|(key, Ulimit { name, soft, hard })| match name {
            Some(name) if name != key => {
                Err(D::Error::custom(format!("ulimit {key:?} is named {name:?} inside")))
            }
            Some(_) | None => Ok(format!("{key}={soft}:{hard}")),
        })
        .collect()
}

/// `"64M"` or `67108864`.
pub(super) fn text_or_number<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    Option::<Scalar>::deserialize(deserializer).map(|value| value.map(|Scalar(text)| text))
}

/// Anything JSON writes without braces, as text.
struct Scalar(String);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string, a number or a boolean")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Scalar, E> {
        Ok(Scalar(text.to_owned()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Scalar, E> {
        Ok(Scalar(number.to_string()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Scalar, E> {
        Ok(Scalar(number.to_string()))
    }

    fn visit_bool<E: Error>(self, yes: bool) -> Result<Scalar, E> {
        Ok(Scalar(yes.to_string()))
    }

    fn visit_map<A: MapAccess<'de>>(self, _map: A) -> Result<Scalar, A::Error> {
        Err(A::Error::custom("expected a string, a number or a boolean, not an object"))
    }
}
