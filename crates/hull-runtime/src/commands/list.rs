//! `state` and `list`.

use std::fmt::Write as _;

use serde_json::Value;

use super::Session;
use crate::arguments::Options;
use crate::failure::{Doing, Failure};
use crate::help::say;
use crate::state::{Record, Status};

/// Prints one container's state.
pub(super) fn state(session: &Session<'_>, options: &Options) -> Result<u8, Failure> {
    let (entry, record) = session.open(options.operand(0))?;
    let state = record.full(entry.status(&record));
    say(&(serde_json::to_string_pretty(&state).doing("encode the state")? + "\n"))
}

/// Prints all containers.
pub(super) fn list(session: &Session<'_>, options: &Options) -> Result<u8, Failure> {
    let mut all = Vec::new();
    for id in session.store.ids()? {
        // What is deleted while this runs, or was never made to its end, is left out.
        let Ok(entry) = session.store.open(&id) else { continue };
        match entry.record() {
            Ok(Some(record)) => {
                let status = entry.status(&record);
                all.push((record, status));
            }
            Ok(None) => {}
            Err(failure) => session.log.warning(&failure.to_string()),
        }
    }
    if options.is("quiet") {
        let ids = all.iter().map(|(record, _)| format!("{}\n", record.id));
        return say(&ids.collect::<String>());
    }
    match options.value("format").unwrap_or("table") {
        "table" => say(&table(&all)),
        "json" => {
            let states: Vec<Value> = all
                .iter()
                .map(|(record, status)| {
                    let mut state = record.full(*status);
                    state["owner"] = owner(record.owner).into();
                    state
                })
                .collect();
            say(&(serde_json::to_string(&states).doing("encode the list")? + "\n"))
        }
        other => Err(Failure::new(format!("invalid format option {other:?}: table or json"))),
    }
}

fn owner(uid: u32) -> String {
    if uid == 0 { "root".to_owned() } else { format!("#{uid}") }
}

fn table(all: &[(Record, Status)]) -> String {
    let mut rows = vec![["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(str::to_owned)];
    rows.extend(all.iter().map(|(record, status)| {
        [
            record.id.clone(),
            record.pid(*status).to_string(),
            status.name().to_owned(),
            record.bundle.display().to_string(),
            record.created.clone(),
            owner(record.owner),
        ]
    }));
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0).max(9);
    let widths: Vec<usize> = (0..6).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}   "));
        // Writing to a string cannot fail.
        writeln!(text, "{}", cells.collect::<String>().trim_end()).unwrap_or_default();
    }
    text
}
