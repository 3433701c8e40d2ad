//! Go's literals for texts and characters.

use super::TemplateError;

/// Reads `"..."` with escapes; gives the text and how long the literal is.
pub(super) fn quoted(rest: &str) -> Result<(String, usize), TemplateError> {
    literal(rest, '"')
}

/// Reads a text in backquotes, in which nothing is special.
pub(super) fn raw(rest: &str) -> Result<(String, usize), TemplateError> {
    match rest[1..].split_once('`') {
        Some((text, _)) => Ok((text.to_owned(), text.len() + 2)),
        None => Err(TemplateError::new("unterminated raw quoted string")),
    }
}

/// Reads `'x'` as the character's number.
pub(super) fn character(rest: &str) -> Result<(i128, usize), TemplateError> {
    let (text, length) = literal(rest, '\'')?;
    let mut characters = text.chars();
    match (characters.next(), characters.next()) {
        (Some(c), None) => Ok((i128::from(u32::from(c)), length)),
        _ => Err(TemplateError::new("malformed character constant")),
    }
}

fn literal(rest: &str, quote: char) -> Result<(String, usize), TemplateError> {
    let mut text = String::new();
    let mut characters = rest.char_indices().skip(1);
    while let Some((at, c)) = characters.next() {
        match c {
            c if c == quote => return Ok((text, at + 1)),
            '\n' => break,
            '\\' => text.push(escape(&mut characters, quote)?),
            c => text.push(c),
        }
    }
    Err(TemplateError::new("unterminated quoted string"))
}

fn escape(
    characters: &mut impl Iterator<Item = (usize, char)>,
    quote: char,
) -> Result<char, TemplateError> {
    let bad = || TemplateError::new("unknown escape in quoted string");
    let (_, c) = characters.next().ok_or_else(bad)?;
    let digits = match c {
        'n' => return Ok('\n'),
        't' => return Ok('\t'),
        'r' => return Ok('\r'),
        'a' => return Ok('\x07'),
        'b' => return Ok('\x08'),
        'f' => return Ok('\x0c'),
        'v' => return Ok('\x0b'),
        '\\' => return Ok('\\'),
        c if c == quote => return Ok(c),
        'x' => 2,
        'u' => 4,
        'U' => 8,
        _ => return Err(bad()),
    };
    let mut number = 0;
    for _ in 0..digits {
        let digit = characters.next().and_then(|(_, c)| c.to_digit(16)).ok_or_else(bad)?;
        number = number << 4 | digit;
    }
    char::from_u32(number).ok_or_else(bad)
}
