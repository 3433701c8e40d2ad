//! Wrong command lines, told in Docker's words and with its exit statuses.

use std::ffi::OsString;
use std::io::IsTerminal as _;

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::failure::{ENGINE, Failure, GENERAL};

/// What is printed for help, version and mistakes.
///
/// A wrong flag gives 125, a wrong number of arguments or an unknown command 1, as in Docker.
pub(crate) fn failure(
    error: &clap::Error,
    definition: &mut Command,
    arguments: &[OsString],
) -> Failure {
    if !error.use_stderr() {
        let help = error.render();
        let text = if std::io::stdout().is_terminal() {
            help.ansi().to_string()
        } else {
            help.to_string()
        };
        return crate::output::text(text).err().unwrap_or(Failure::Status(0));
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return Failure::Message { text: error.render().to_string(), status: GENERAL };
    }
    let command = meant(definition, arguments);
    let (text, status) = told(error, command);
    let usage = command.render_usage().to_string();
    let usage = usage.strip_prefix("Usage: ").unwrap_or(&usage).trim();
    let name = command.get_bin_name().unwrap_or("hull");
    let tips = tips(&error.to_string());
    let help = format!("Run '{name} --help' for more information");
    Failure::Message { text: format!("{text}\n\n{tips}Usage:  {usage}\n\n{help}"), status }
}

/// The command the line was meant for, as far as its words tell.
fn meant<'a>(definition: &'a mut Command, arguments: &[OsString]) -> &'a mut Command {
    let mut command = definition;
    for word in arguments.iter().skip(1).filter_map(|word| word.to_str()) {
        if command.find_subcommand(word).is_none() {
            // Before the command there are global flags and their values; behind it no commands.
            if command.has_subcommands() {
                continue;
            }
            break;
        }
        command = match command.find_subcommand_mut(word) {
            Some(sub) => sub,
            None => unreachable!("it was found on the line above"),
        };
    }
    command
}

/// The mistake in Docker's words, and its status.
fn told(error: &clap::Error, command: &Command) -> (String, u8) {
    let kind = error.kind();
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::StyledStr(text)) => Some(text.to_string()),
        _ => None,
    };
    let invalid = context(ContextKind::InvalidArg).unwrap_or_default();
    let flag = invalid.split_once(' ').map_or(&*invalid, |(flag, _)| flag).to_owned();
    let name = command.get_bin_name().unwrap_or("hull");
    if kind == ErrorKind::UnknownArgument && flag.starts_with("--") {
        (format!("unknown flag: {flag}"), ENGINE)
    } else if kind == ErrorKind::UnknownArgument && flag.starts_with('-') {
        (format!("unknown shorthand flag: {flag}"), ENGINE)
    } else if kind == ErrorKind::UnknownArgument {
        (format!("hull: '{name}' {}", most(command)), GENERAL)
    } else if kind == ErrorKind::InvalidSubcommand {
        let sub = context(ContextKind::InvalidSubcommand).unwrap_or_default();
        (format!("hull: unknown command: {name} {sub}"), GENERAL)
    } else if kind == ErrorKind::ValueValidation {
        let value = context(ContextKind::InvalidValue).unwrap_or_default();
        let why = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
        (format!("invalid argument {value:?} for \"{flag}\" flag: {why}"), ENGINE)
    } else if matches!(kind, ErrorKind::MissingRequiredArgument | ErrorKind::TooFewValues) {
        (format!("hull: '{name}' {}", least(command)), GENERAL)
    } else {
        let rendered = error.to_string();
        let text = rendered.split("\n\n").next().unwrap_or_default();
        (format!("hull: {}", text.strip_prefix("error: ").unwrap_or(text)), ENGINE)
    }
}

fn least(command: &Command) -> String {
    let required = command.get_positionals().filter(|argument| argument.is_required_set());
    let count: usize = required
        .map(|argument| argument.get_num_args().map_or(1, |range| range.min_values().max(1)))
        .sum();
    format!("requires at least {count} argument{}", if count == 1 { "" } else { "s" })
}

fn most(command: &Command) -> String {
    match command.get_positionals().count() {
        0 => "accepts no arguments".to_owned(),
        1 => "requires at most 1 argument".to_owned(),
        count => format!("requires at most {count} arguments"),
    }
}

/// What clap suggests, except how to pass a flag as a value, which nobody means.
fn tips(rendered: &str) -> String {
    let tips = rendered.lines().map(str::trim_start).filter(|line| line.starts_with("tip:"));
    let useful = tips.filter(|tip| !tip.contains("as a value"));
    useful.fold(String::new(), |all, tip| format!("{all}{tip}\n\n"))
}

#[cfg(test)]
mod tests {
    use crate::failure::Failure;

    fn told(line: &str) -> (String, u8) {
        let words = line.split(' ').map(Into::into).collect();
        match crate::cli::parse(words) {
            Err(Failure::Message { text, status }) => (text, status),
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn mistakes_have_dockers_words_and_statuses() {
        for (line, start, status) in [
            ("hull run", "hull: 'hull run' requires at least 1 argument\n", 1),
            ("hull run --foo x", "unknown flag: --foo\n", 125),
            ("hull create -d x", "unknown shorthand flag: -d\n", 125),
            ("hull ps a", "hull: 'hull ps' accepts no arguments\n", 1),
            ("hull exec x", "hull: 'hull exec' requires at least 2 arguments\n", 1),
            (
                "hull volume create a b",
                "hull: 'hull volume create' requires at most 1 argument\n",
                1,
            ),
            ("hull nosuch", "hull: unknown command: hull nosuch\n", 1),
            ("hull container nosuch", "hull: unknown command: hull container nosuch\n", 1),
            (
                "hull run -m abc x",
                "invalid argument \"abc\" for \"--memory\" flag: invalid size: 'abc'\n",
                125,
            ),
        ] {
            let (text, got) = told(line);
            assert!(text.starts_with(start), "{line}: {text}");
            assert_eq!(got, status, "{line}");
            assert!(text.ends_with("--help' for more information"), "{line}: {text}");
        }
        let (text, _) = told("hull -H unix:///x container run -m abc x");
        assert!(text.contains("Usage:  hull run [OPTIONS] IMAGE [COMMAND] [ARG...]"), "{text}");
        assert!(told("hull run --naem x y").0.contains("similar argument exists: '--name'"));
    }

    #[test]
    fn the_definition_is_sound() {
        crate::cli::definition().debug_assert();
    }
}
