//! The command line, by runc's rules: `--flag value`, `--flag=value`, one dash or two.
//!
//! Written by hand, since a runtime lives for milliseconds and its callers are programs: the rules
//! are those of the library runc uses (urfave/cli), which other frameworks do not follow.

mod tables;

pub(crate) use tables::{COMMANDS, GLOBAL};

use std::str::FromStr;

use crate::failure::Failure;

/// One flag of a command.
#[derive(Debug)]
pub(crate) struct Flag {
    pub(crate) name: &'static str,
    pub(crate) short: Option<&'static str>,
    /// What stands for its value in the help; `None` for a switch.
    pub(crate) value: Option<&'static str>,
    pub(crate) help: &'static str,
}

/// Where flags may stand.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Order {
    /// Anywhere before `--`.
    Any,
    /// Before the first word that is none: the rest belongs to the program inside.
    FlagsFirst,
}

/// A command and what may follow it.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) name: &'static str,
    /// What its operands are called in the help.
    pub(crate) operands: &'static str,
    /// How few and how many operands there may be.
    pub(crate) count: (usize, usize),
    pub(crate) about: &'static str,
    pub(crate) order: Order,
    pub(crate) flags: &'static [Flag],
}

/// What was given: flags and operands.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Options {
    flags: Vec<(&'static str, String)>,
    operands: Vec<String>,
}

impl Options {
    /// Reads `words` by `table`; gives what was not read when flags come first.
    pub(crate) fn parse(
        table: &'static [Flag],
        order: Order,
        words: &[String],
    ) -> Result<Self, Failure> {
        let mut options = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if word == "--" {
                options.operands.extend(words.cloned());
                break;
            }
            // A lone dash is an operand: standard input.
            let Some(text) = word.strip_prefix('-').filter(|rest| !rest.is_empty()) else {
                options.operands.push(word.clone());
                if order == Order::FlagsFirst {
                    options.operands.extend(words.cloned());
                    break;
                }
                continue;
            };
            let text = text.strip_prefix('-').unwrap_or(text);
            let (name, given) = match text.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (text, None),
            };
            let flag = table
                .iter()
                .find(|flag| flag.name == name || flag.short == Some(name))
                .ok_or_else(|| Failure::new(format!("flag provided but not defined: {word}")))?;
            let value = match (flag.value, given) {
                (None, None) => "true".to_owned(),
                (_, Some(value)) => value,
                (Some(_), None) => words
                    .next()
                    .cloned()
                    .ok_or_else(|| Failure::new(format!("flag needs an argument: {word}")))?,
            };
            if flag.value.is_none() {
                boolean(&value).ok_or_else(|| {
                    Failure::new(format!("invalid boolean value {value:?} for {word}"))
                })?;
            }
            options.flags.push((flag.name, value));
        }
        Ok(options)
    }

    /// Whether the switch `name` is on.
    pub(crate) fn is(&self, name: &str) -> bool {
        self.value(name).and_then(boolean).unwrap_or(false)
    }

    /// The last value of the flag `name`.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        let found = self.flags.iter().rfind(|(known, _)| *known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Every value of the flag `name`.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.flags.iter().filter(move |(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// The value of `name` as a number.
    pub(crate) fn number<T: FromStr>(&self, name: &str) -> Result<Option<T>, Failure> {
        let parse = |value: &str| {
            value.parse().map_err(|_not_a_number| {
                Failure::new(format!("invalid value {value:?} for flag --{name}: not a number"))
            })
        };
        self.value(name).map(parse).transpose()
    }

    /// What is no flag.
    pub(crate) fn operands(&self) -> &[String] {
        &self.operands
    }

    /// The operand at `index`; commands' tables say how many there are.
    pub(crate) fn operand(&self, index: usize) -> &str {
        self.operands.get(index).map_or("", String::as_str)
    }
}

/// As Go's `strconv.ParseBool` reads them.
fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[Flag] = &[
        Flag { name: "bundle", short: Some("b"), value: Some("DIR"), help: "" },
        Flag { name: "force", short: Some("f"), value: None, help: "" },
    ];

    fn read(order: Order, words: &str) -> String {
        let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        match Options::parse(TABLE, order, &words) {
            Ok(options) => format!(
                "bundle {:?} force {} {}",
                options.value("bundle"),
                options.is("force"),
                options.operands().join(",")
            ),
            Err(failure) => failure.to_string(),
        }
    }

    #[test]
    fn flags_are_read_as_runc_reads_them() {
        let any = |words| read(Order::Any, words);
        assert_eq!(any("--bundle /a id"), "bundle Some(\"/a\") force false id");
        assert_eq!(any("-b=/a id --force"), "bundle Some(\"/a\") force true id");
        assert_eq!(any("-bundle /a --force=false id"), "bundle Some(\"/a\") force false id");
        assert_eq!(any("-b /a -b /b id"), "bundle Some(\"/b\") force false id");
        assert_eq!(any("-- --force"), "bundle None force false --force");
        assert_eq!(any("- id"), "bundle None force false -,id");
        assert_eq!(any("--nope"), "flag provided but not defined: --nope");
        assert_eq!(any("--bundle"), "flag needs an argument: --bundle");
        assert_eq!(any("--force=maybe"), "invalid boolean value \"maybe\" for --force=maybe");
        assert_eq!(read(Order::FlagsFirst, "-f id ls -l"), "bundle None force true id,ls,-l");
    }

    #[test]
    fn names_of_flags_are_unique_in_each_table() {
        for flags in COMMANDS.iter().map(|command| command.flags).chain([GLOBAL]) {
            let mut names: Vec<&str> =
                flags.iter().flat_map(|flag| [Some(flag.name), flag.short]).flatten().collect();
            let all = names.len();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), all, "{names:?}");
        }
    }
}
