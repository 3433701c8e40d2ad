//! Wrong command lines, told in Docker's words and with its exit statuses.

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::failure::{ENGINE, Failure, GENERAL};

/// What is printed for help, version and mistakes.
///
/// A wrong flag gives 125, a wrong number of arguments or an unknown command 1, as in Docker.
pub(crate) fn failure(error: &clap::Error) -> Failure {
    let kind = error.kind();
    if !error.use_stderr() {
        let printed = crate::output::text(error.render().ansi());
        return printed.err().unwrap_or(Failure::Status(0));
    }
    if kind == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return Failure::Message { text: error.render().to_string(), status: GENERAL };
    }
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::StyledStr(text)) => Some(text.to_string()),
        _ => None,
    };
    let invalid = context(ContextKind::InvalidArg).unwrap_or_default();
    let flag = invalid.split_once(' ').map_or(&*invalid, |(flag, _)| flag).to_owned();
    let rendered = error.to_string();
    let is_flag = flag.starts_with('-');
    let (text, status) = if kind == ErrorKind::UnknownArgument && flag.starts_with("--") {
        (format!("unknown flag: {flag}"), ENGINE)
    } else if kind == ErrorKind::UnknownArgument && is_flag {
        (format!("unknown shorthand flag: {flag}"), ENGINE)
    } else if kind == ErrorKind::UnknownArgument {
        (format!("hull: unexpected argument '{flag}'"), GENERAL)
    } else if kind == ErrorKind::InvalidSubcommand {
        let name = context(ContextKind::InvalidSubcommand).unwrap_or_default();
        (format!("hull: unknown command: {name}"), GENERAL)
    } else if kind == ErrorKind::ValueValidation {
        let value = context(ContextKind::InvalidValue).unwrap_or_default();
        let why = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
        (format!("invalid argument {value:?} for \"{flag}\" flag: {why}"), ENGINE)
    } else if matches!(kind, ErrorKind::MissingRequiredArgument | ErrorKind::TooFewValues) {
        (first_paragraph(&rendered), GENERAL)
    } else {
        (first_paragraph(&rendered), ENGINE)
    };
    Failure::Message { text: format!("{text}\n\n{}", advice(&rendered)), status }
}

/// The error itself, without usage and hints.
fn first_paragraph(rendered: &str) -> String {
    let text = rendered.split("\n\n").next().unwrap_or_default();
    format!("hull: {}", text.strip_prefix("error: ").unwrap_or(text))
}

/// Usage and tips as clap found them, ending with where the help is.
fn advice(rendered: &str) -> String {
    let usage = rendered.lines().find(|line| line.starts_with("Usage:")).unwrap_or("Usage: hull");
    let mut advice = String::new();
    for tip in rendered.lines().filter(|line| line.trim_start().starts_with("tip:")) {
        advice.push_str(tip.trim_start());
        advice.push_str("\n\n");
    }
    let words = usage.trim_start_matches("Usage: ").split(' ');
    let command: Vec<&str> =
        words.take_while(|word| word.starts_with(|c: char| c.is_ascii_lowercase())).collect();
    advice + usage + "\n\nRun '" + &command.join(" ") + " --help' for more information"
}
