//! JSON as `inspect` prints it: what the engine sent, indented.

/// Indents JSON by four spaces, as Go does, and keeps the order of keys.
///
/// The text must be JSON; anything else comes out as garbled as it came in.
pub(crate) fn indent(json: &str, base: usize) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let mut depth = base;
    let mut characters = json.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '"' => {
                out.push(c);
                while let Some(c) = characters.next() {
                    out.push(c);
                    match c {
                        '\\' => out.extend(characters.next()),
                        '"' => break,
                        _ => {}
                    }
                }
            }
            '{' | '[' => {
                while characters.next_if(|c| c.is_ascii_whitespace()).is_some() {}
                out.push(c);
                let close = if c == '{' { '}' } else { ']' };
                if characters.next_if_eq(&close).is_some() {
                    out.push(close);
                } else {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            c if c.is_ascii_whitespace() => {}
            c => out.push(c),
        }
    }
    out
}

fn line(out: &mut String, depth: usize) {
    out.push('\n');
    for _ in 0..depth {
        out.push_str("    ");
    }
}

#[cfg(test)]
mod tests {
    use super::indent;

    #[test]
    fn indents_and_keeps_order_and_strings() {
        let json = r#"{"b":[1, {"a":"x,{}\"y"}],"a":{},"c":[ ]}"#;
        let want = "{\n    \"b\": [\n        1,\n        {\n            \"a\": \"x,{}\\\"y\"\n        }\n    ],\n    \"a\": {},\n    \"c\": []\n}";
        assert_eq!(indent(json, 0), want);
        // Cut or wrong text must not panic.
        for text in ["{\"a", "}}}", "\"\\", "[[[", ""] {
            indent(text, 0);
        }
    }
}
