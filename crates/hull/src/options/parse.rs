//! The small notations of Docker's flags: sizes, durations, key=value lists, comma lists.

/// Reads a size in binary units: `512m`, `1.5g`, `1GiB`, `100`.
pub(crate) fn bytes(text: &str) -> Result<i64, String> {
    let invalid = || format!("invalid size: '{text}'");
    let split = text.rfind(|c: char| c.is_ascii_digit() || c == '.').map_or(0, |at| at + 1);
    let (number, unit) = text.split_at(split);
    let number = number.strip_suffix(' ').unwrap_or(number);
    if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return Err(invalid());
    }
    let number: f64 = number.parse().map_err(|_error: std::num::ParseFloatError| invalid())?;
    let unit = unit.trim_start_matches(' ').to_ascii_lowercase();
    let shift = match unit.strip_suffix("ib").or_else(|| unit.strip_suffix('b')).unwrap_or(&unit) {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        "p" => 50,
        _ => return Err(format!("invalid suffix: '{unit}'")),
    };
    whole(
        number * f64::from(1_u32 << (shift % 30)) * if shift >= 30 { 2_f64.powi(30) } else { 1.0 },
    )
    .ok_or_else(invalid)
}

/// Reads a size, or `-1` for no limit.
pub(crate) fn bytes_or_unlimited(text: &str) -> Result<i64, String> {
    if text == "-1" { Ok(-1) } else { bytes(text) }
}

/// A non-negative float as an integer, when it fits.
fn whole(value: f64) -> Option<i64> {
    // 2^63 is the first float that does not fit; `as` would silently saturate.
    let fits = value.is_finite() && (0.0..9_223_372_036_854_775_808.0).contains(&value);
    #[expect(clippy::cast_possible_truncation, reason = "checked to fit on the line above")]
    fits.then_some(value as i64)
}

/// Reads a number of CPUs (`1.5`) as billionths of one, exactly.
pub(crate) fn nano_cpus(text: &str) -> Result<i64, String> {
    let invalid = || format!("failed to parse {text} as a rational number");
    let (units, fraction) = text.split_once('.').unwrap_or((text, ""));
    if units.is_empty() && fraction.is_empty() {
        return Err(invalid());
    }
    let fraction = fraction.trim_end_matches('0');
    if !units.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit()) {
        return Err(invalid());
    }
    if fraction.len() > 9 {
        return Err("value is too precise".to_owned());
    }
    format!("{units}{fraction:0<9}").parse().map_err(|_error: std::num::ParseIntError| invalid())
}

/// Reads a duration as Go writes it (`1m30s`, `1.5h`, `300ms`) in nanoseconds.
pub(crate) fn duration(text: &str) -> Result<i64, String> {
    let invalid = || format!("time: invalid duration {text:?}");
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total = 0_f64;
    while !rest.is_empty() {
        let end = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .ok_or_else(|| format!("time: missing unit in duration {text:?}"))?;
        let number: f64 =
            rest[..end].parse().map_err(|_error: std::num::ParseFloatError| invalid())?;
        rest = &rest[end..];
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let unit = match &rest[..end] {
            "ns" => 1.0,
            "us" | "µs" | "μs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            unit => return Err(format!("time: unknown unit {unit:?} in duration {text:?}")),
        };
        total += number * unit;
        rest = &rest[end..];
    }
    let nanoseconds = whole(total.round()).ok_or_else(invalid)?;
    Ok(if negative { -nanoseconds } else { nanoseconds })
}

/// `key=value`; the value is empty when there is none.
pub(crate) fn key_value(text: &str) -> (String, String) {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    (key.to_owned(), value.to_owned())
}

/// A list of `key=value` as a map; the last one of a key wins.
pub(crate) fn map(list: &[String]) -> super::Map {
    list.iter().map(|item| key_value(item)).collect()
}

/// The fields of one line of CSV: `a,"b,c"` gives `a` and `b,c`.
pub(crate) fn fields(text: &str) -> Result<Vec<String>, String> {
    let mut fields = Vec::new();
    let mut rest = text;
    loop {
        let (field, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_field(quoted)?,
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                if rest[..end].contains('"') {
                    return Err(format!("bare \" in non-quoted field in {text:?}"));
                }
                (rest[..end].to_owned(), &rest[end..])
            }
        };
        fields.push(field);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None => return Ok(fields),
        }
    }
}

/// The text up to the closing quote (`""` is a quote), and what follows it.
fn quoted_field(text: &str) -> Result<(String, &str), String> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let end = rest.find('"').ok_or_else(|| "missing closing \" in field".to_owned())?;
        field.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(after) => {
                field.push('"');
                rest = after;
            }
            None if rest.is_empty() || rest.starts_with(',') => return Ok((field, rest)),
            None => return Err("extraneous or missing \" in quoted field".to_owned()),
        }
    }
}

/// Reads a boolean in any of Go's spellings.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_binary_and_may_have_a_fraction() {
        for (text, want) in [
            ("0", Ok(0)),
            ("100", Ok(100)),
            ("512m", Ok(512 << 20)),
            ("1.5g", Ok(3 << 29)),
            ("1GiB", Ok(1 << 30)),
            ("1 kb", Ok(1024)),
            ("2T", Ok(2 << 40)),
            ("1p", Ok(1 << 50)),
            ("100b", Ok(100)),
        ] {
            assert_eq!(bytes(text), want, "{text}");
        }
        for text in ["", "abc", "-1", "1x", "1.2.3", "99999999999999p", "m", "1e9", "١"] {
            assert!(bytes(text).is_err(), "{text}");
        }
        assert_eq!(bytes_or_unlimited("-1"), Ok(-1));
        assert_eq!(bytes("abc"), Err("invalid size: 'abc'".to_owned()));
    }

    #[test]
    fn cpus_are_exact_to_the_billionth() {
        assert_eq!(nano_cpus("1.5"), Ok(1_500_000_000));
        assert_eq!(nano_cpus("0.000000001"), Ok(1));
        assert_eq!(nano_cpus("2"), Ok(2_000_000_000));
        assert_eq!(nano_cpus(".5"), Ok(500_000_000));
        assert_eq!(nano_cpus("0.0000000001"), Err("value is too precise".to_owned()));
        for text in ["", ".", "-1", "x", "99999999999999999999"] {
            assert!(nano_cpus(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_read_as_in_go() {
        assert_eq!(duration("1m30s"), Ok(90_000_000_000));
        assert_eq!(duration("1500ms"), Ok(1_500_000_000));
        assert_eq!(duration("1.5h"), Ok(5_400_000_000_000));
        assert_eq!(duration("-1s"), Ok(-1_000_000_000));
        assert_eq!(duration("0"), Ok(0));
        for text in ["", "5", "5x", "s", "1..2s", "-", "9999999999999h"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn comma_lists_may_be_quoted() {
        let read = |text| fields(text).map(|f| f.join("|"));
        assert_eq!(read("a,b=c"), Ok("a|b=c".to_owned()));
        assert_eq!(read("\"a,b\",c"), Ok("a,b|c".to_owned()));
        assert_eq!(read("\"a\"\"b\""), Ok("a\"b".to_owned()));
        assert_eq!(read("a,,b"), Ok("a||b".to_owned()));
        for text in ["\"a", "a\"b", "\"a\"b"] {
            assert!(fields(text).is_err(), "{text}");
        }
    }
}
