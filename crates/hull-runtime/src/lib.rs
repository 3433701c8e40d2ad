//! `hull runtime`: the command line of an OCI runtime, for who would call runc or crun.
//!
//! One process for each call, one thread, no daemon: what is to be remembered between two calls is
//! in `state`. A configuration becomes a plan in `plan`, purely; [`hull_container`] carries it
//! out.

mod arguments;
mod commands;
mod config;
mod console;
mod failure;
mod features;
mod foreground;
mod help;
mod hooks;
mod log;
mod plan;
mod sealed;
mod state;
mod template;

use std::ffi::OsString;

use hull_container::cgroup::Cgroup;
use hull_container::host::HostFacts;

use arguments::{COMMANDS, Command, GLOBAL, Options, Order};
use commands::Session;
pub use failure::Failure;
use log::{Format, Log};

/// Names under which the program is this runtime without being told.
pub const NAMES: [&str; 2] = ["hull-runtime", "runc"];

/// Runs the runtime with `words`, which begin after `hull runtime`; gives the exit status.
///
/// The calling process must have one thread.
#[must_use]
pub fn main(words: Vec<OsString>) -> u8 {
    let mut log = Log::default();
    dispatch(words, &mut log).unwrap_or_else(|failure| {
        log.error(&failure.to_string());
        failure.status()
    })
}

/// Reads a `config.json` and plans its container without making it, as if on a host that has nothing.
///
/// # Errors
/// What is wrong with it, by field and value.
pub fn check(config: &str) -> Result<(), Failure> {
    let config = config::parse(config)?;
    plan::check_hooks(&config)?;
    let (id, host, cgroup) = (state::Id::new("check")?, HostFacts::default(), Cgroup::default());
    let linux = config.linux.as_ref();
    plan::cgroup_path(linux.and_then(|linux| linux.cgroups_path.as_deref()), &id)?;
    if let Some(resources) = linux.and_then(|linux| linux.resources.as_ref()) {
        plan::limits(resources)?;
        plan::device_rules(resources)?;
    }
    let bundle = std::path::Path::new("/bundle");
    let cx = plan::Context {
        id: &id,
        bundle,
        host: &host,
        cgroup: &cgroup,
        preserved: 0,
        keep_keyring: false,
    };
    plan::launch(&config, &cx).map(drop)
}

fn dispatch(words: Vec<OsString>, log: &mut Log) -> Result<u8, Failure> {
    let words: Vec<String> = words
        .into_iter()
        .map(|word| {
            word.into_string()
                .map_err(|word| Failure::new(format!("argument {word:?} is not UTF-8")))
        })
        .collect::<Result<_, _>>()?;
    let global = Options::parse(GLOBAL, Order::FlagsFirst, &words)?;
    let (name, rest) = match global.operands().split_first() {
        Some((name, rest)) => (name.as_str(), rest),
        None => ("help", [].as_slice()),
    };
    if global.is("version") {
        return help::version();
    }
    if global.is("help") || matches!(name, "help" | "h") {
        return help::show(rest.first().map(String::as_str));
    }
    let format = Format::named(global.value("log-format").unwrap_or("text"))?;
    *log = Log::open(global.value("log"), format, global.is("debug"))?;
    let command = COMMANDS.iter().find(|command| command.name == name).ok_or_else(|| {
        Failure::new(format!("no such command: {name:?}; hint: hull runtime --help lists them"))
    })?;
    let options = Options::parse(command.flags, command.order, rest)
        .map_err(|failure| failure.during(format!("hull runtime {name}")))?;
    if options.is("help") {
        return help::show(Some(name));
    }
    check_count(command, &options)?;
    commands::run(command.name, &Session::new(&global, log)?, &options)
}

fn check_count(command: &Command, options: &Options) -> Result<(), Failure> {
    let (least, most) = command.count;
    let given = options.operands().len();
    if (least..=most).contains(&given) {
        return Ok(());
    }
    Err(Failure::new(format!(
        "hull runtime {}: {given} arguments given; usage: hull runtime {} [OPTIONS] {}",
        command.name, command.name, command.operands
    )))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    /// Every place in `value`.
    fn places(value: &Value, at: &str, all: &mut Vec<String>) {
        all.push(at.to_owned());
        match value {
            Value::Object(map) => {
                map.iter().for_each(|(key, value)| places(value, &format!("{at}/{key}"), all));
            }
            Value::Array(list) => {
                let numbered = list.iter().enumerate();
                numbered.for_each(|(key, value)| places(value, &format!("{at}/{key}"), all));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn replacement() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(json!(null)),
            Just(json!({})),
            Just(json!([])),
            any::<bool>().prop_map(|value| json!(value)),
            any::<i64>().prop_map(|value| json!(value)),
            any::<u64>().prop_map(|value| json!(value)),
            any::<f64>().prop_map(|value| json!(value)),
            ".{0,20}".prop_map(|value| json!(value)),
            Just(json!("../..")),
            Just(json!([{"type": "user"}, {"path": ""}])),
        ]
    }

    #[test]
    fn the_proposed_configurations_can_be_planned() {
        for rootless in [false, true] {
            check(&template::document(rootless).to_string()).unwrap();
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,200}") {
            prop_assert!(check(&text).is_err());
        }

        #[test]
        fn any_value_in_any_place_is_planned_or_refused(
            at in any::<prop::sample::Index>(),
            value in replacement(),
        ) {
            let mut document = template::document(true);
            let mut all = Vec::new();
            places(&document, "", &mut all);
            let place: &String = at.get(&all);
            if let Some(place) = document.pointer_mut(place) {
                *place = value;
            }
            if let Err(failure) = check(&document.to_string()) {
                prop_assert!(!failure.to_string().is_empty());
            }
        }
    }
}
