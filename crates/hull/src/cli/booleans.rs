//! Docker's spelling of switches: `--rm=true`, `-i=false`.
//!
//! Our switches take no value, so those spellings are turned into the switch or into nothing
//! before parsing. Only the flags before a command's own arguments are touched.

use std::ffi::OsString;

use clap::{ArgAction, Command};

use crate::options::parse::boolean;

/// Rewrites switches that are given a value.
pub(crate) fn normalize(root: &Command, arguments: Vec<OsString>) -> Vec<OsString> {
    // Almost no command line has one, and looking is cheaper than walking the definition.
    let has_value = |argument: &OsString| {
        let text = argument.to_str().unwrap_or_default();
        text.starts_with('-') && text.split_once('=').is_some_and(|(_, v)| boolean(v).is_some())
    };
    if !arguments.iter().any(has_value) {
        return arguments;
    }
    rewrite(root, arguments)
}

fn rewrite(root: &Command, arguments: Vec<OsString>) -> Vec<OsString> {
    let mut command = root;
    let mut kept = Vec::with_capacity(arguments.len());
    let mut rest = arguments.into_iter();
    kept.extend(rest.next());
    while let Some(argument) = rest.next() {
        let text = argument.to_str().unwrap_or_default().to_owned();
        if text == "--" {
            kept.push(argument);
            break;
        }
        if !text.starts_with('-') || text == "-" {
            let sub = command.find_subcommand(&text);
            kept.push(argument);
            match sub {
                Some(sub) => command = sub,
                // The rest belongs to the guest's command.
                None if command.get_positionals().any(|a| a.is_trailing_var_arg_set()) => break,
                None => {}
            }
            continue;
        }
        match flag(command, &text) {
            Flag::Switch { name, value } => match value.map(boolean) {
                Some(Some(true)) => kept.push(name.into()),
                Some(Some(false)) => {}
                Some(None) | None => kept.push(argument),
            },
            Flag::TakesNext => {
                kept.push(argument);
                kept.extend(rest.next());
            }
            Flag::Other => kept.push(argument),
        }
    }
    kept.extend(rest);
    kept
}

enum Flag<'a> {
    /// A switch, perhaps with a value behind `=`.
    Switch { name: &'a str, value: Option<&'a str> },
    /// A flag whose value is the next argument.
    TakesNext,
    /// A flag with its value in itself, or one we do not know.
    Other,
}

fn flag<'a>(command: &Command, text: &'a str) -> Flag<'a> {
    let (name, value) = text.split_once('=').map_or((text, None), |(n, v)| (n, Some(v)));
    let is_switch = |argument: &clap::Arg| {
        matches!(argument.get_action(), ArgAction::SetTrue | ArgAction::SetFalse)
    };
    if let Some(long) = name.strip_prefix("--") {
        let argument = command.get_arguments().find(|argument| {
            argument.get_long_and_visible_aliases().is_some_and(|all| all.contains(&long))
        });
        return match argument {
            Some(argument) if is_switch(argument) => Flag::Switch { name, value },
            Some(argument) if takes_next(argument) && value.is_none() => Flag::TakesNext,
            Some(_) | None => Flag::Other,
        };
    }
    // `-itd`: the first that takes a value takes the rest of the word, or the next one.
    let mut letters = name.chars().skip(1).peekable();
    while let Some(letter) = letters.next() {
        let argument = command.get_arguments().find(|a| a.get_short() == Some(letter));
        match argument {
            Some(argument) if is_switch(argument) => {}
            Some(argument)
                if takes_next(argument) && letters.peek().is_none() && value.is_none() =>
            {
                return Flag::TakesNext;
            }
            Some(_) | None => return Flag::Other,
        }
    }
    Flag::Switch { name, value }
}

/// Whether the flag needs a value (rather than allowing one behind `=`).
fn takes_next(argument: &clap::Arg) -> bool {
    argument.get_action().takes_values() && !argument.is_require_equals_set()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn switches_with_values_become_switches_or_nothing() {
        let root = crate::cli::Cli::command();
        for (given, want) in [
            ("hull run --rm=true -i=false x", "hull run --rm x"),
            ("hull run -it=true x", "hull run -it x"),
            ("hull run --rm=maybe x", "hull run --rm=maybe x"),
            ("hull run -e --rm=true x", "hull run -e --rm=true x"),
            ("hull run x --rm=false", "hull run x --rm=false"),
            ("hull run --name n --rm=0 x", "hull run --name n x"),
            ("hull run -- --rm=0", "hull run -- --rm=0"),
            ("hull container rm -f=1 a", "hull container rm -f a"),
            ("hull -D=true ps --all=false", "hull -D ps"),
            ("hull run --sig-proxy=false x", "hull run --sig-proxy=false x"),
        ] {
            let given = given.split(' ').map(Into::into).collect();
            let got = super::normalize(&root, given);
            let got: Vec<_> = got.iter().map(|a| a.to_str().unwrap()).collect();
            assert_eq!(got.join(" "), want);
        }
    }
}
