//! Types of Docker's JSON that serde has no name for.

use std::fmt;

use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};
use serde::{Deserialize as DeriveDeserialize, Serialize};

/// The `{}` that stands for each member of a set.
#[derive(Clone, Copy, Debug, Default, DeriveDeserialize, Eq, PartialEq, Serialize)]
pub struct Nothing {}

/// A command: a list of words, or one word written without a list (moby `StrSlice`).
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Words(pub Vec<String>);

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMany;
        impl<'de> Visitor<'de> for OneOrMany {
            type Value = Words;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("string or []string")
            }

            fn visit_str<E>(self, word: &str) -> Result<Words, E> {
                Ok(Words(vec![word.to_owned()]))
            }

            fn visit_unit<E>(self) -> Result<Words, E> {
                Ok(Words(Vec::new()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Words, A::Error> {
                let mut words = Vec::new();
                while let Some(word) = seq.next_element()? {
                    words.push(word);
                }
                Ok(Words(words))
            }
        }
        deserializer.deserialize_any(OneOrMany)
    }
}

/// Whether a field has Go's zero value and is left out (`omitempty`).
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// The fields of a value that is written as an object.
pub(crate) fn object<T: Serialize>(value: &T) -> serde_json::Map<String, serde_json::Value> {
    let Ok(serde_json::Value::Object(fields)) = serde_json::to_value(value) else {
        unreachable!("only structs and maps with names as keys are given to this function");
    };
    fields
}
