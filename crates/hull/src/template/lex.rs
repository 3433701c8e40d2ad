//! Template text to tokens.

use super::{TemplateError, text};

/// One token. Outside `{{ }}` there is only text.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// Literal output.
    Text(String),
    /// `{{`.
    Open,
    /// `}}`.
    Close,
    /// `if`, `range`, `json`, `true` ...
    Word(String),
    /// `.Name`, straight behind something or not.
    Field {
        name: String,
        is_attached: bool,
    },
    /// `.` alone.
    Dot,
    /// `$` or `$name`.
    Variable(String),
    /// `"..."` and `...` in backquotes.
    Quoted(String),
    Int(i128),
    Float(f64),
    Pipe,
    Comma,
    OpenParen,
    CloseParen,
    /// `:=`.
    Declare,
    /// `=`.
    Assign,
}

/// Cuts a template into tokens.
pub(super) fn lex(template: &str) -> Result<Vec<Token>, TemplateError> {
    let mut tokens = Vec::new();
    let mut rest = template;
    let mut trim_next = false;
    loop {
        let (before, action) = match rest.split_once("{{") {
            Some((before, action)) => (before, Some(action)),
            None => (rest, None),
        };
        let trims_before = action.is_some_and(|a| is_trim(a.as_bytes()));
        let mut literal = before;
        if trim_next {
            literal = literal.trim_start_matches(SPACE);
        }
        if trims_before {
            literal = literal.trim_end_matches(SPACE);
        }
        if !literal.is_empty() {
            tokens.push(Token::Text(literal.to_owned()));
        }
        let Some(action) = action else { return Ok(tokens) };
        let action = if trims_before { &action[1..] } else { action };
        (rest, trim_next) = lex_action(action, &mut tokens)?;
    }
}

const SPACE: [char; 4] = [' ', '\t', '\r', '\n'];

/// `{{-` trims only with a space behind it: `{{-3}}` is a number.
fn is_trim(action: &[u8]) -> bool {
    matches!(action, [b'-', b' ' | b'\t' | b'\r' | b'\n', ..])
}

/// The tokens of one action; gives what follows it, and whether that is trimmed.
fn lex_action<'a>(
    action: &'a str,
    tokens: &mut Vec<Token>,
) -> Result<(&'a str, bool), TemplateError> {
    let spaceless = action.trim_start_matches(SPACE);
    if let Some(comment) = spaceless.strip_prefix("/*") {
        let (_, after) =
            comment.split_once("*/").ok_or_else(|| TemplateError::new("unclosed comment"))?;
        let trimmed = after.trim_start_matches(SPACE);
        return match (trimmed.strip_prefix("-}}"), trimmed.strip_prefix("}}")) {
            (Some(rest), _) => Ok((rest, true)),
            (None, Some(rest)) => Ok((rest, false)),
            (None, None) => Err(TemplateError::new("comment ends before closing delimiter")),
        };
    }
    tokens.push(Token::Open);
    let mut rest = action;
    // Whether the last token ended right here: `.a.b` is one chain, `.a .b` are two words.
    let mut attached = false;
    loop {
        let trimmed = rest.trim_start_matches(SPACE);
        if trimmed.len() < rest.len() {
            attached = false;
            if let Some(after) = trimmed.strip_prefix("-}}") {
                tokens.push(Token::Close);
                return Ok((after, true));
            }
        }
        rest = trimmed;
        if let Some(after) = rest.strip_prefix("}}") {
            tokens.push(Token::Close);
            return Ok((after, false));
        }
        let (token, length) = next(rest, attached)?;
        attached = matches!(
            token,
            Token::Field { .. } | Token::Variable(_) | Token::CloseParen | Token::Word(_)
        );
        tokens.push(token);
        rest = &rest[length..];
    }
}

fn next(rest: &str, attached: bool) -> Result<(Token, usize), TemplateError> {
    let mut characters = rest.chars();
    let Some(first) = characters.next() else {
        return Err(TemplateError::new("unclosed action"));
    };
    let second = characters.next();
    Ok(match first {
        '|' => (Token::Pipe, 1),
        ',' => (Token::Comma, 1),
        '(' => (Token::OpenParen, 1),
        ')' => (Token::CloseParen, 1),
        ':' if second == Some('=') => (Token::Declare, 2),
        '=' => (Token::Assign, 1),
        '"' => text::quoted(rest).map(|(text, length)| (Token::Quoted(text), length))?,
        '`' => text::raw(rest).map(|(text, length)| (Token::Quoted(text), length))?,
        '\'' => text::character(rest).map(|(value, length)| (Token::Int(value), length))?,
        '$' => {
            let name = word(&rest[1..]);
            (Token::Variable(name.to_owned()), 1 + name.len())
        }
        '.' if second.is_some_and(|c| c.is_ascii_digit()) => number(rest)?,
        '.' => match word(&rest[1..]) {
            "" => (Token::Dot, 1),
            name => (Token::Field { name: name.to_owned(), is_attached: attached }, 1 + name.len()),
        },
        c if c.is_ascii_digit() || matches!(c, '+' | '-') => number(rest)?,
        c if is_word(c) => {
            let name = word(rest);
            (Token::Word(name.to_owned()), name.len())
        }
        c => return Err(TemplateError::new(format!("unexpected {c:?} in action"))),
    })
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

fn word(rest: &str) -> &str {
    let end = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
    &rest[..end]
}

fn number(rest: &str) -> Result<(Token, usize), TemplateError> {
    let end = rest
        .char_indices()
        .skip(1)
        .find(|(_, c)| !(is_word(*c) || *c == '.'))
        .map_or(rest.len(), |(at, _)| at);
    let digits = &rest[..end];
    let bad = || TemplateError::new(format!("bad number syntax: {digits:?}"));
    let plain = digits.strip_prefix('+').unwrap_or(digits);
    let token = match plain.strip_prefix("0x") {
        Some(hex) => Token::Int(
            i64::from_str_radix(hex, 16).map_err(|_error: std::num::ParseIntError| bad())?.into(),
        ),
        None => match plain.parse::<i64>() {
            Ok(number) => Token::Int(number.into()),
            Err(_) => match plain.parse::<f64>() {
                Ok(number) if number.is_finite() => Token::Float(number),
                Ok(_) | Err(_) => return Err(bad()),
            },
        },
    };
    Ok((token, end))
}
