//! Decodes JSON by the rules of Go's `encoding/json`, which Docker's clients rely on.
//!
//! - Keys are matched exactly or without regard to case.
//! - Unknown keys are ignored.
//! - `null` is the zero value everywhere.
//! - A value of another type is refused with the field's name.
//!
//! A wrapper around any serde deserializer; it streams, so unknown content costs no memory, and
//! serde_json's limit of 128 levels keeps nesting off the stack.

use std::fmt;

use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess,
    Visitor, value::StrDeserializer,
};
use serde::forward_to_deserialize_any;

use crate::refusal::{Refusal, Result, quote};

/// The value that `body` holds. `name` is what error texts call the outermost object.
pub fn decode<T: DeserializeOwned>(body: &[u8], name: &'static str) -> Result<T> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(Refusal::invalid("invalid JSON: got EOF while reading request body"));
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    let at = Path { name, outer: None };
    let value = T::deserialize(Go { inner: &mut json, at: &at }).map_err(|e| bad_json(&e))?;
    match json.end() {
        Ok(()) => Ok(value),
        Err(_trailing) => Err(Refusal::invalid("invalid JSON: unexpected content after JSON")),
    }
}

/// As [`decode`], with the default for an empty body.
pub fn decode_or_default<T: DeserializeOwned + Default>(
    body: &[u8],
    name: &'static str,
) -> Result<T> {
    if body.iter().all(u8::is_ascii_whitespace) { Ok(T::default()) } else { decode(body, name) }
}

fn bad_json(error: &serde_json::Error) -> Refusal {
    let text = error.to_string();
    // Positions help with syntax; a wrong type is better found by its name.
    let position = format!(" at line {} column {}", error.line(), error.column());
    let text = if error.is_data() { text.strip_suffix(&position).unwrap_or(&text) } else { &text };
    Refusal::invalid(format_args!("invalid JSON: {text}"))
}

/// Where in the document a value is: the names of the objects around it.
struct Path<'p> {
    name: &'p str,
    outer: Option<&'p Path<'p>>,
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(outer) = self.outer {
            write!(f, "{outer}.")?;
        }
        f.write_str(&quote(self.name))
    }
}

fn mismatch<E: Error>(found: impl fmt::Display, at: &Path<'_>, want: Want) -> E {
    let want = want.name();
    E::custom(format_args!(
        "json: cannot unmarshal {found} into Go struct field {at} of type {want}"
    ))
}

struct Go<'p, D> {
    inner: D,
    at: &'p Path<'p>,
}

/// What a field holds.
#[derive(Clone, Copy)]
enum Want {
    Any,
    Bool,
    Int(&'static str),
    Float,
    Text,
    List,
    Map,
    Struct(&'static [&'static str]),
}

impl Want {
    fn takes_numbers(self) -> bool {
        matches!(self, Self::Int(_) | Self::Float | Self::Any)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Any => "interface {}",
            Self::Bool => "bool",
            Self::Int(name) => name,
            Self::Float => "float64",
            Self::Text => "string",
            Self::List => "[]string",
            Self::Map => "map[string]string",
            Self::Struct(_) => "struct",
        }
    }
}

macro_rules! wants {
    ($($method:ident => $want:expr,)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
            self.typed($want, visitor)
        })*
    };
}

impl<'de, 'p, D: Deserializer<'de>> Go<'p, D> {
    fn typed<V: Visitor<'de>>(self, want: Want, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_any(Typed { want, visitor, at: self.at })
    }
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Go<'_, D> {
    type Error = D::Error;

    wants! {
        deserialize_any => Want::Any,
        deserialize_bool => Want::Bool,
        deserialize_i8 => Want::Int("int8"),
        deserialize_i16 => Want::Int("int16"),
        deserialize_i32 => Want::Int("int32"),
        deserialize_i64 => Want::Int("int64"),
        deserialize_u8 => Want::Int("uint8"),
        deserialize_u16 => Want::Int("uint16"),
        deserialize_u32 => Want::Int("uint32"),
        deserialize_u64 => Want::Int("uint64"),
        deserialize_f32 => Want::Float,
        deserialize_f64 => Want::Float,
        deserialize_str => Want::Text,
        deserialize_string => Want::Text,
        deserialize_seq => Want::List,
        deserialize_map => Want::Map,
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        _len: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.typed(Want::List, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.typed(Want::Struct(fields), visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_option(Optional { visitor, at: self.at })
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_ignored_any(visitor)
    }

    forward_to_deserialize_any! {
        i128 u128 char bytes byte_buf unit unit_struct tuple_struct enum identifier
    }
}

struct Optional<'p, V> {
    visitor: V,
    at: &'p Path<'p>,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Optional<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.visitor.visit_none()
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.visitor.visit_none()
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.visitor.visit_some(Go { inner, at: self.at })
    }
}

struct Typed<'p, V> {
    want: Want,
    visitor: V,
    at: &'p Path<'p>,
}

impl<V> Typed<'_, V> {
    fn check<E: Error>(&self, fits: bool, found: &str) -> Result<(), E> {
        if fits { Ok(()) } else { Err(mismatch(found, self.at, self.want)) }
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Typed<'_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<V::Value, E> {
        self.check(matches!(self.want, Want::Bool | Want::Any), "bool")?;
        let (want, at) = (self.want, self.at);
        self.visitor.visit_bool(value).map_err(|_unwanted: E| mismatch("bool", at, want))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<V::Value, E> {
        self.check(self.want.takes_numbers(), "number")?;
        let (want, at) = (self.want, self.at);
        let refuse = |_out_of_range: E| mismatch(format_args!("number {value}"), at, want);
        self.visitor.visit_i64(value).map_err(refuse)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<V::Value, E> {
        self.check(self.want.takes_numbers(), "number")?;
        let (want, at) = (self.want, self.at);
        let refuse = |_out_of_range: E| mismatch(format_args!("number {value}"), at, want);
        self.visitor.visit_u64(value).map_err(refuse)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<V::Value, E> {
        self.check(self.want.takes_numbers(), "number")?;
        let (want, at) = (self.want, self.at);
        let refuse = |_unwanted: E| mismatch(format_args!("number {value}"), at, want);
        if matches!(want, Want::Int(_)) {
            return Err(mismatch(format_args!("number {value}"), at, want));
        }
        self.visitor.visit_f64(value).map_err(refuse)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<V::Value, E> {
        // No path, argument, name or variable of Linux can hold one.
        if value.contains('\0') {
            return Err(E::custom(format_args!("NUL byte in the text of field {}", self.at)));
        }
        self.check(matches!(self.want, Want::Text | Want::Any), "string")?;
        self.visitor.visit_str(value)
    }

    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        match self.want {
            Want::Any => self.visitor.visit_unit(),
            Want::Bool => self.visitor.visit_bool(false),
            Want::Int(_) => self.visitor.visit_i64(0),
            Want::Float => self.visitor.visit_f64(0.0),
            Want::Text => self.visitor.visit_str(""),
            Want::List => self.visitor.visit_seq(Empty::<E>::NEW),
            Want::Map | Want::Struct(_) => self.visitor.visit_map(Empty::<E>::NEW),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        self.check(matches!(self.want, Want::List | Want::Any), "array")?;
        self.visitor.visit_seq(Items { inner, at: self.at })
    }

    fn visit_map<A: MapAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        let fields = if let Want::Struct(fields) = self.want { Some(fields) } else { None };
        let fits = fields.is_some() || matches!(self.want, Want::Map | Want::Any);
        self.check(fits, "object")?;
        self.visitor.visit_map(Members { inner, at: self.at, fields, key: String::new() })
    }
}

struct Empty<E>(std::marker::PhantomData<E>);

impl<E> Empty<E> {
    const NEW: Self = Self(std::marker::PhantomData);
}

impl<'de, E: Error> SeqAccess<'de> for Empty<E> {
    type Error = E;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, _: T) -> Result<Option<T::Value>, E> {
        Ok(None)
    }
}

impl<'de, E: Error> MapAccess<'de> for Empty<E> {
    type Error = E;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, _: K) -> Result<Option<K::Value>, E> {
        Ok(None)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, _: T) -> Result<T::Value, E> {
        Err(E::custom("an empty object has no value"))
    }
}

struct Items<'p, A> {
    inner: A,
    at: &'p Path<'p>,
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Items<'_, A> {
    type Error = A::Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, A::Error> {
        self.inner.next_element_seed(Seed { seed, at: self.at })
    }
}

struct Members<'p, A> {
    inner: A,
    at: &'p Path<'p>,
    /// The names a struct knows; `None` for a map.
    fields: Option<&'static [&'static str]>,
    key: String,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Members<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        while let Some(key) = self.inner.next_key::<String>()? {
            self.key = match self.fields {
                None => key,
                Some(fields) => match known(fields, &key) {
                    Some(field) => field.to_owned(),
                    None => {
                        self.inner.next_value::<IgnoredAny>()?;
                        continue;
                    }
                },
            };
            let name: StrDeserializer<'_, A::Error> =
                serde::de::IntoDeserializer::into_deserializer(self.key.as_str());
            return seed.deserialize(name).map(Some);
        }
        Ok(None)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, A::Error> {
        let at = Path { name: &self.key, outer: Some(self.at) };
        self.inner.next_value_seed(Seed { seed, at: &at })
    }
}

fn known(fields: &'static [&'static str], key: &str) -> Option<&'static str> {
    let exact = fields.iter().find(|field| **field == key);
    exact.or_else(|| fields.iter().find(|field| field.eq_ignore_ascii_case(key))).copied()
}

struct Seed<'p, T> {
    seed: T,
    at: &'p Path<'p>,
}

impl<'de, T: DeserializeSeed<'de>> DeserializeSeed<'de> for Seed<'_, T> {
    type Value = T::Value;

    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<T::Value, D::Error> {
        self.seed.deserialize(Go { inner, at: self.at })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;
    use crate::json::Words;

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(default, rename_all = "PascalCase")]
    struct Outer {
        name: String,
        size: i64,
        port: u16,
        on: bool,
        init: Option<bool>,
        words: Option<Words>,
        list: Vec<String>,
        map: BTreeMap<String, String>,
        inner: Option<Box<Outer>>,
    }

    fn read(text: &str) -> Outer {
        decode(text.as_bytes(), "Outer").unwrap()
    }

    fn refused(text: &str) -> String {
        decode::<Outer>(text.as_bytes(), "Outer").unwrap_err().message
    }

    #[test]
    fn keys_match_without_case_and_unknown_ones_are_ignored() {
        let it = read(r#"{"NAME":"a","sIzE":3,"Other":{"x":[1,{}]},"inner":{"on":true}}"#);
        assert_eq!((it.name.as_str(), it.size, it.inner.unwrap().on), ("a", 3, true));
    }

    #[test]
    fn null_is_the_zero_value_everywhere() {
        let text = r#"{"Name":null,"Size":null,"Port":null,"On":null,"Init":null,"Words":null,
            "List":null,"Map":null,"Inner":null}"#;
        assert_eq!(read(text), Outer::default());
        let inside = read(r#"{"List":["a",null],"Map":{"k":null}}"#);
        assert_eq!(inside.list, ["a", ""]);
        assert_eq!(inside.map["k"], "");
        assert_eq!(read("null"), Outer::default());
    }

    #[test]
    fn one_word_is_a_list_of_words() {
        assert_eq!(read(r#"{"Words":"ls"}"#).words, Some(Words(vec!["ls".to_owned()])));
        assert_eq!(read(r#"{"Words":["a","b"]}"#).words.unwrap().0.len(), 2);
    }

    #[test]
    fn wrong_types_are_refused_by_name() {
        let start = "invalid JSON: json: cannot unmarshal";
        for (text, rest) in [
            (r#"{"Size":"1"}"#, "string into Go struct field Outer.Size of type int64"),
            (r#"{"Size":1.5}"#, "number 1.5 into Go struct field Outer.Size of type int64"),
            (r#"{"Port":70000}"#, "number 70000 into Go struct field Outer.Port of type uint16"),
            (r#"{"Port":-1}"#, "number -1 into Go struct field Outer.Port of type uint16"),
            (r#"{"on":"yes"}"#, "string into Go struct field Outer.On of type bool"),
            (r#"{"Init":1}"#, "number into Go struct field Outer.Init of type bool"),
            (r#"{"List":[1]}"#, "number into Go struct field Outer.List of type string"),
            (r#"{"List":{}}"#, "object into Go struct field Outer.List of type []string"),
            (r#"{"Map":[]}"#, "array into Go struct field Outer.Map of type map[string]string"),
            (r#"{"Map":{"k":1}}"#, "number into Go struct field Outer.Map.k of type string"),
            (
                r#"{"Inner":{"Name":{}}}"#,
                "object into Go struct field Outer.Inner.Name of type string",
            ),
            (r#"[]"#, "array into Go struct field Outer of type struct"),
        ] {
            assert_eq!(refused(text), format!("{start} {rest}"), "{text}");
        }
        assert!(refused(r#"{"Words":1}"#).contains("Outer.Words"));
        assert!(refused(r#"{"Words":[1]}"#).contains("Outer.Words"));
    }

    #[test]
    fn what_is_no_json_is_refused() {
        assert_eq!(refused(" "), "invalid JSON: got EOF while reading request body");
        assert_eq!(refused("{} {}"), "invalid JSON: unexpected content after JSON");
        assert_eq!(
            refused(r#"{"List":["a\u0000b"]}"#),
            "invalid JSON: NUL byte in the text of field Outer.List"
        );
        for bad in ["{", "{]", "nul", "{\"Name\":\"\\ud800\"}", "\u{0}"] {
            assert!(refused(bad).starts_with("invalid JSON: "), "{bad}");
        }
    }

    #[test]
    fn deep_nesting_stays_off_the_stack() {
        for (open, prefix) in
            [("[", ""), ("{\"Inner\":", ""), ("[", "{\"x\":"), ("[", "{\"List\":")]
        {
            let text = prefix.to_owned() + &open.repeat(200_000);
            assert!(refused(&text).starts_with("invalid JSON"), "{open}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..64)) {
            decode::<Outer>(&bytes, "Outer").ok();
        }
    }
}
