//! Go's `fmt`, as far as templates use it.

use super::TemplateError;
use super::value::Value;

/// The widest field: a template cannot ask for a gigabyte of spaces.
const WIDTH_MAX: usize = 1000;

/// Values one after the other, with spaces between those that are not texts.
pub(super) fn print(values: &[&Value]) -> String {
    let mut out = String::new();
    let mut was_text = true;
    for (index, value) in values.iter().enumerate() {
        let is_text = matches!(value, Value::Text(_));
        if index > 0 && !is_text && !was_text {
            out.push(' ');
        }
        out.push_str(&value.to_string());
        was_text = is_text;
    }
    out
}

/// Values with spaces between them and a line break behind.
pub(super) fn println(values: &[&Value]) -> String {
    let words: Vec<String> = values.iter().map(ToString::to_string).collect();
    words.join(" ") + "\n"
}

/// What stands between `%` and the letter.
#[derive(Default)]
struct Spec {
    is_left: bool,
    is_zero: bool,
    has_plus: bool,
    is_sharp: bool,
    width: usize,
    precision: Option<usize>,
}

/// `printf`.
pub(super) fn printf(format: &str, values: &[&Value]) -> Result<String, TemplateError> {
    let mut out = String::new();
    let mut values = values.iter();
    let mut rest = format;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        let (spec, verb, after) = spec(after)?;
        rest = after;
        if verb == '%' {
            out.push('%');
            continue;
        }
        match values.next() {
            Some(value) => pad(&mut out, &one(value, verb, &spec), &spec),
            // Go writes its complaints into the output, too.
            None => out.push_str(&format!("%!{verb}(MISSING)")),
        }
    }
    out.push_str(rest);
    let extra: Vec<String> = values.map(|value| format!("{}={value}", value.kind())).collect();
    if !extra.is_empty() {
        out.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
    }
    Ok(out)
}

fn spec(text: &str) -> Result<(Spec, char, &str), TemplateError> {
    let mut spec = Spec::default();
    let flags = text.len() - text.trim_start_matches(['-', '0', '+', '#', ' ']).len();
    for flag in text[..flags].chars() {
        match flag {
            '-' => spec.is_left = true,
            '0' => spec.is_zero = true,
            '+' => spec.has_plus = true,
            '#' => spec.is_sharp = true,
            _ => {}
        }
    }
    let (width, mut rest) = number(&text[flags..])?;
    spec.width = width.unwrap_or(0);
    if let Some(after) = rest.strip_prefix('.') {
        let precision;
        (precision, rest) = number(after)?;
        spec.precision = Some(precision.unwrap_or(0));
    }
    let mut characters = rest.chars();
    match characters.next() {
        Some(verb) => Ok((spec, verb, characters.as_str())),
        None => Err(TemplateError::new("printf: no verb behind %")),
    }
}

fn number(text: &str) -> Result<(Option<usize>, &str), TemplateError> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    if end == 0 {
        return Ok((None, text));
    }
    match text[..end].parse() {
        Ok(number) if number <= WIDTH_MAX => Ok((Some(number), &text[end..])),
        Ok(_) | Err(_) => {
            Err(TemplateError::new(format!("printf: width or precision above {WIDTH_MAX}")))
        }
    }
}

fn pad(out: &mut String, text: &str, spec: &Spec) {
    let missing = spec.width.saturating_sub(text.chars().count());
    match (spec.is_left, spec.is_zero, text.strip_prefix('-')) {
        (true, _, _) => {
            out.push_str(text);
            out.push_str(&" ".repeat(missing));
        }
        (false, true, Some(digits)) => {
            out.push('-');
            out.push_str(&"0".repeat(missing));
            out.push_str(digits);
        }
        (false, is_zero, _) => {
            out.push_str(&if is_zero { "0" } else { " " }.repeat(missing));
            out.push_str(text);
        }
    }
}

fn one(value: &Value, verb: char, spec: &Spec) -> String {
    let plus = if spec.has_plus { "+" } else { "" };
    let sign = |negative: bool| if negative { "" } else { plus };
    match (verb, value) {
        ('v', Value::Float(_)) | ('s' | 'v', Value::Text(_)) => cut(value.to_string(), spec),
        ('v', Value::Int(n)) | ('d', Value::Int(n)) => format!("{}{n}", sign(*n < 0)),
        ('v', _) | ('t', Value::Bool(_)) | ('s', Value::List(_) | Value::Map(_)) => {
            value.to_string()
        }
        ('q', Value::Text(text)) => quoted(text),
        ('q', Value::List(list)) => {
            let quoted: Vec<String> = list.iter().map(|item| quoted(&item.to_string())).collect();
            format!("[{}]", quoted.join(" "))
        }
        ('x', Value::Int(n)) if spec.is_sharp => format!("{n:#x}"),
        ('x', Value::Int(n)) => format!("{n:x}"),
        ('X', Value::Int(n)) => format!("{n:X}"),
        ('o', Value::Int(n)) => format!("{n:o}"),
        ('b', Value::Int(n)) => format!("{n:b}"),
        ('c', Value::Int(n)) => {
            let character = u32::try_from(*n).ok().and_then(char::from_u32);
            character.unwrap_or(char::REPLACEMENT_CHARACTER).to_string()
        }
        ('x', Value::Text(text)) => text.bytes().map(|byte| format!("{byte:02x}")).collect(),
        ('f' | 'F', Value::Float(n)) => {
            format!("{}{n:.*}", sign(*n < 0.0), spec.precision.unwrap_or(6))
        }
        ('g', Value::Float(n)) => sign(*n < 0.0).to_owned() + &general(*n, spec.precision),
        ('e', Value::Float(n)) => exponent(*n, spec.precision.unwrap_or(6)),
        (verb, value) => format!("%!{verb}({}={value})", value.kind()),
    }
}

fn cut(text: String, spec: &Spec) -> String {
    match spec.precision {
        Some(length) => text.chars().take(length).collect(),
        None => text,
    }
}

/// A text as Go's `%q` writes it.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Go's exponents have a sign and two digits at least.
fn exponent(number: f64, precision: usize) -> String {
    let text = format!("{number:.precision$e}");
    let Some((mantissa, power)) = text.split_once('e') else { return text };
    let (sign, digits) = power.strip_prefix('-').map_or(('+', power), |digits| ('-', digits));
    format!("{mantissa}e{sign}{digits:0>2}")
}

/// Go's `%g`: as few digits as tell the number apart, or at most so many.
pub(super) fn general(number: f64, precision: Option<usize>) -> String {
    if !number.is_finite() {
        return if number.is_nan() {
            "NaN"
        } else if number > 0.0 {
            "+Inf"
        } else {
            "-Inf"
        }
        .to_owned();
    }
    let digits = precision.map(|precision| precision.max(1));
    let scientific = match digits {
        Some(digits) => format!("{number:.*e}", digits - 1),
        None => format!("{number:e}"),
    };
    let Some((mantissa, power)) = scientific.split_once('e') else { return scientific };
    let power: i32 = power.parse().unwrap_or(0);
    let limit = digits.map_or(21, |digits| i32::try_from(digits).unwrap_or(i32::MAX));
    if power < -4 || power >= limit {
        let shown = if mantissa.contains('.') {
            mantissa.trim_end_matches('0').trim_end_matches('.')
        } else {
            mantissa
        };
        let sign = if power < 0 { '-' } else { '+' };
        return format!("{shown}e{sign}{:02}", power.abs());
    }
    let plain = match digits {
        Some(_) => {
            let decimals = usize::try_from(limit - 1 - power).unwrap_or(0);
            format!("{number:.decimals$}")
        }
        None => format!("{number}"),
    };
    if plain.contains('.') {
        plain.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        plain
    }
}
