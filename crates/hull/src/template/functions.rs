//! The functions of templates: Go's own and Docker's.

use std::cmp::Ordering;

use super::TemplateError;
use super::eval::Shared;
use super::printf;
use super::value::Value;

const NAMES: [&str; 23] = [
    "and", "eq", "ge", "gt", "index", "join", "json", "le", "len", "lower", "lt", "ne", "not",
    "or", "pad", "print", "printf", "println", "slice", "split", "title", "truncate", "upper",
];

/// Whether there is such a function.
pub(super) fn exists(name: &str) -> bool {
    NAMES.contains(&name)
}

/// For `and` and `or`: the truth that decides.
pub(super) fn decider(name: &str) -> Option<bool> {
    match name {
        "and" => Some(false),
        "or" => Some(true),
        _ => None,
    }
}

type Result<T> = std::result::Result<T, TemplateError>;

/// Calls a function.
pub(super) fn call(name: &str, arguments: &[Shared<'_>]) -> Result<Value> {
    let values: Vec<&Value> = arguments.iter().map(AsRef::as_ref).collect();
    let called = match (name, values.as_slice()) {
        ("json", [value]) => json(value),
        ("len", [value]) => length(value).map(Value::Int),
        ("not", [value]) => Ok(Value::Bool(!value.is_true())),
        ("lower", [value]) => text(value).map(|t| Value::text(t.to_lowercase())),
        ("upper", [value]) => text(value).map(|t| Value::text(t.to_uppercase())),
        ("title", [value]) => text(value).map(|t| Value::text(title(t))),
        ("split", [value, by]) => split(text(value)?, text(by)?),
        ("join", [list, by]) => join(list, text(by)?),
        ("pad", [value, before, after]) => pad(text(value)?, int(before)?, int(after)?),
        ("truncate", [value, length]) => {
            let length = usize::try_from(int(length)?).unwrap_or(0);
            Ok(Value::text(text(value)?.chars().take(length).collect::<String>()))
        }
        ("index", [value, keys @ ..]) => index(value, keys),
        ("slice", [value, bounds @ ..]) if bounds.len() <= 2 => slice(value, bounds),
        ("eq", [first, rest @ ..]) if !rest.is_empty() => equal(first, rest),
        ("ne", [a, b]) => equal(a, &[b]).map(|equal| Value::Bool(!equal.is_true())),
        ("lt", [a, b]) => order(a, b).map(|order| Value::Bool(order == Ordering::Less)),
        ("le", [a, b]) => order(a, b).map(|order| Value::Bool(order != Ordering::Greater)),
        ("gt", [a, b]) => order(a, b).map(|order| Value::Bool(order == Ordering::Greater)),
        ("ge", [a, b]) => order(a, b).map(|order| Value::Bool(order != Ordering::Less)),
        ("print", values) => Ok(Value::Text(printf::print(values))),
        ("println", values) => Ok(Value::Text(printf::println(values))),
        ("printf", [format, values @ ..]) => printf::printf(text(format)?, values).map(Value::Text),
        _ => Err(TemplateError::new(format!("wrong number of args: {}", values.len()))),
    };
    called.map_err(|TemplateError(why)| TemplateError::new(format!("error calling {name}: {why}")))
}

fn wrong(value: &Value, wanted: &str) -> TemplateError {
    TemplateError::new(format!("wrong type for value; expected {wanted}; got {}", value.kind()))
}

fn text(value: &Value) -> Result<&str> {
    if let Value::Text(text) = value { Ok(text) } else { Err(wrong(value, "string")) }
}

fn int(value: &Value) -> Result<i128> {
    if let Value::Int(number) = value { Ok(*number) } else { Err(wrong(value, "int")) }
}

fn json(value: &Value) -> Result<Value> {
    match serde_json::to_string(value) {
        Ok(text) => Ok(Value::Text(text)),
        Err(error) => Err(TemplateError::new(error.to_string())),
    }
}

fn count(length: usize) -> i128 {
    i128::try_from(length).unwrap_or(i128::MAX)
}

fn length(value: &Value) -> Result<i128> {
    match value {
        Value::Text(text) => Ok(count(text.len())),
        Value::List(list) => Ok(count(list.len())),
        Value::Map(entries) => Ok(count(entries.len())),
        // What the API sends as `null` for an empty list is one.
        Value::Null => Ok(0),
        Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Lookup(_) => {
            Err(TemplateError::new(format!("len of type {}", value.kind())))
        }
    }
}

/// The first letter of each word in upper case.
fn title(text: &str) -> String {
    let mut starts = true;
    let mut titled = String::with_capacity(text.len());
    for c in text.chars() {
        if starts {
            titled.extend(c.to_uppercase());
        } else {
            titled.push(c);
        }
        starts = !(c.is_alphanumeric() || matches!(c, '_' | '\''));
    }
    titled
}

fn split(text: &str, by: &str) -> Result<Value> {
    let parts: Vec<Value> = if by.is_empty() {
        text.chars().map(Value::text).collect()
    } else {
        text.split(by).map(Value::text).collect()
    };
    Ok(Value::List(parts))
}

fn join(list: &Value, by: &str) -> Result<Value> {
    match list {
        Value::List(list) => {
            let parts: Vec<String> = list.iter().map(ToString::to_string).collect();
            Ok(Value::Text(parts.join(by)))
        }
        Value::Null => Ok(Value::text("")),
        Value::Bool(_)
        | Value::Int(_)
        | Value::Float(_)
        | Value::Text(_)
        | Value::Map(_)
        | Value::Lookup(_) => Err(wrong(list, "[]string")),
    }
}

fn pad(text: &str, before: i128, after: i128) -> Result<Value> {
    const SPACES_MAX: usize = 1000;
    if text.is_empty() {
        return Ok(Value::text(""));
    }
    let spaces = |number: i128| " ".repeat(usize::try_from(number).unwrap_or(0).min(SPACES_MAX));
    Ok(Value::Text(spaces(before) + text + &spaces(after)))
}

/// `index x 1 "a"` is Go's `x[1]["a"]`; a key that is not there gives nothing.
fn index(value: &Value, keys: &[&Value]) -> Result<Value> {
    let mut value = value;
    for key in keys {
        value = match value {
            Value::List(list) => {
                let at = usize::try_from(int(key)?).ok().and_then(|at| list.get(at));
                at.ok_or_else(|| TemplateError::new(format!("index out of range: {key}")))?
            }
            Value::Map(_) => match value.get(text(key)?) {
                Some(value) => value,
                None => return Ok(Value::text("")),
            },
            Value::Null => return Err(TemplateError::new("index of untyped nil")),
            Value::Bool(_)
            | Value::Int(_)
            | Value::Float(_)
            | Value::Text(_)
            | Value::Lookup(_) => {
                return Err(TemplateError::new(format!(
                    "can't index item of type {}",
                    value.kind()
                )));
            }
        };
    }
    Ok(value.clone())
}

fn slice(value: &Value, bounds: &[&Value]) -> Result<Value> {
    let size = usize::try_from(length(value)?).unwrap_or(0);
    let bound = |at: usize, otherwise: usize| match bounds.get(at) {
        Some(bound) => usize::try_from(int(bound)?)
            .ok()
            .filter(|bound| *bound <= size)
            .ok_or_else(|| TemplateError::new(format!("index out of range: {bound}"))),
        None => Ok(otherwise),
    };
    let (from, to) = (bound(0, 0)?, bound(1, size)?);
    if from > to {
        return Err(TemplateError::new(format!("invalid slice index: {from} > {to}")));
    }
    match value {
        Value::List(list) => Ok(Value::List(list[from..to].to_vec())),
        Value::Text(text) => match text.get(from..to) {
            Some(part) => Ok(Value::text(part)),
            None => Err(TemplateError::new("slice cuts a character in two")),
        },
        Value::Null
        | Value::Bool(_)
        | Value::Int(_)
        | Value::Float(_)
        | Value::Map(_)
        | Value::Lookup(_) => {
            Err(TemplateError::new(format!("can't slice item of type {}", value.kind())))
        }
    }
}

fn equal(first: &Value, rest: &[&Value]) -> Result<Value> {
    for other in rest {
        let comparable = first.kind() == other.kind()
            || matches!((first, other), (Value::Null, _) | (_, Value::Null));
        if !comparable {
            return Err(TemplateError::new("incompatible types for comparison"));
        }
        if first == *other {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}

fn order(a: &Value, b: &Value) -> Result<Ordering> {
    let order = match (a, b) {
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        (Value::Text(a), Value::Text(b)) => Some(a.cmp(b)),
        (Value::Float(a), Value::Float(b)) => a.partial_cmp(b),
        _ => None,
    };
    order.ok_or_else(|| TemplateError::new("incompatible types for comparison"))
}
