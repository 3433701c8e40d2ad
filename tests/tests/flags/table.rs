//! `docs/run-flags.md` says what is true: every flag has a row, and every row its test.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use hull_tests::{Tool, need, program};

/// What CLI 28 has and 29 has not any more.
const GONE: [&str; 2] = ["--disable-content-trust", "--kernel-memory"];

#[derive(Debug)]
struct Row {
    flag: String,
    does: String,
    test: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn rows() -> Vec<Row> {
    let text = std::fs::read_to_string(root().join("docs/run-flags.md")).unwrap();
    let cells = |line: &str| -> Vec<String> {
        line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect()
    };
    let row = |line: &str| {
        let [flag, does, _remarks, test] =
            cells(line).try_into().unwrap_or_else(|cells: Vec<_>| {
                panic!("{} cells in {line}", cells.len());
            });
        let flag = flag.split('`').nth(1).unwrap().split_whitespace().last().unwrap().to_owned();
        Row { flag, does, test: test.trim_matches('`').to_owned() }
    };
    text.lines().filter(|line| line.starts_with("| `-")).map(row).collect()
}

fn flags(help: &str) -> BTreeSet<String> {
    let flag = |line: &str| {
        let line = line.trim_start();
        let long = line.split_whitespace().take(2).find(|word| word.starts_with("--"))?;
        let name = long.split(['[', '=', ',']).next()?;
        line.starts_with('-').then(|| name.to_owned())
    };
    help.lines().filter_map(flag).collect()
}

#[test]
fn every_flag_has_one_row() {
    let rows = rows();
    let named: BTreeSet<_> = rows.iter().map(|row| row.flag.clone()).collect();
    assert_eq!(named.len(), rows.len(), "a flag has two rows");
    hull_tests::need!("docker");
    let help = Tool::new(need::find("docker").unwrap(), "run --help").ok();
    let mut all = flags(&help);
    all.retain(|flag| !GONE.contains(&flag.as_str()));
    assert!(all.len() > 95, "{all:?}");
    assert_eq!(named, all);
    // hull's own command has every flag that its row says works.
    let own = flags(&Tool::new(program::hull(), "run --help").ok());
    let lacks: Vec<_> = rows
        .iter()
        .filter(|row| row.does.starts_with("yes") && !own.contains(&row.flag))
        .map(|row| &row.flag)
        .collect();
    assert!(lacks.is_empty(), "hull run lacks {lacks:?}");
}

#[test]
fn every_row_names_a_test_that_exists_and_uses_the_flag() {
    for row in rows() {
        let words = ["yes", "part", "not yet", "nothing"];
        assert!(words.iter().any(|word| row.does.starts_with(word)), "{row:?}");
        let (file, name) = row.test.split_once("::").unwrap_or_else(|| panic!("no test: {row:?}"));
        let places = [format!("tests/flags/{file}.rs"), format!("tests/{file}.rs")];
        let texts: Vec<_> = places
            .iter()
            .filter_map(|place| std::fs::read_to_string(root().join("tests").join(place)).ok())
            .collect();
        let (text, begin) = texts
            .iter()
            .find_map(|text| Some((text, text.find(&format!("fn {name}()"))?)))
            .unwrap_or_else(|| panic!("no such test: {row:?}"));
        let body = text[begin..].split("\n#[test]").next().unwrap();
        let short = short_of(&row.flag);
        let uses = body.contains(&row.flag) || short.is_some_and(|short| body.contains(&short));
        assert!(uses, "{} does not use {}", row.test, row.flag);
    }
}

/// The one-letter form that tests use as well.
fn short_of(flag: &str) -> Option<String> {
    let letter = match flag {
        "--env" => 'e',
        "--interactive" => 'i',
        "--label" => 'l',
        "--publish" => 'p',
        "--publish-all" => 'P',
        "--quiet" => 'q',
        "--tty" => 't',
        "--user" => 'u',
        "--volume" => 'v',
        "--workdir" => 'w',
        "--attach" => 'a',
        "--detach" => 'd',
        _ => return None,
    };
    Some(format!("-{letter} "))
}
