//! The rules that rustc and clippy cannot check.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{fs, process::Command};

use serde_json::Value;

use crate::Outcome;
use crate::attack::FEATURE;
use crate::run::{cargo, output};

/// Longest file that still reads as one subject. Tests in the file are not counted.
const LINES_MAX: usize = 800;
/// Longest the map of the whole may be.
const MAP_LINES_MAX: usize = 200;

pub(crate) fn run() -> Outcome {
    let metadata = ["metadata", "--no-deps", "--format-version", "1"];
    let metadata: Value = serde_json::from_str(&output(cargo().args(metadata))?)?;
    let mut faults = edge_faults(&fs::read_to_string("layers.txt")?, &edges(&metadata));
    for path in tracked()? {
        // A file that was removed and not committed yet.
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let found = match path.extension().and_then(|ending| ending.to_str()) {
            Some("rs") => code_faults(&text),
            Some("md") => page_faults(&path, &text),
            Some("toml") => manifest_faults(&text),
            _ => Vec::new(),
        };
        faults.extend(found.into_iter().map(|fault| format!("{}: {fault}", path.display())));
    }
    for fault in &faults {
        eprintln!("tidy: {fault}");
    }
    if faults.is_empty() { Ok(()) } else { Err(format!("{} faults", faults.len()).into()) }
}

/// Every file git knows or would add.
fn tracked() -> Outcome<Vec<PathBuf>> {
    let list = ["ls-files", "--cached", "--others", "--exclude-standard"];
    Ok(output(Command::new("git").args(list))?.lines().map(PathBuf::from).collect())
}

/// The crates below `crates/`, and which of ours each needs to be built. What only its tests need
/// is not counted: nothing depends on that.
fn edges(metadata: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let packages = || metadata["packages"].as_array().into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let ours: BTreeSet<String> = packages().map(|package| text(&package["name"])).collect();
    let in_crates = packages().filter(|package| {
        let manifest = text(&package["manifest_path"]);
        Path::new(&manifest).ancestors().nth(2).is_some_and(|dir| dir.ends_with("crates"))
    });
    in_crates
        .map(|package| {
            let needs = package["dependencies"].as_array().into_iter().flatten();
            let needs = needs.filter(|need| need["kind"] != "dev").map(|need| text(&need["name"]));
            (text(&package["name"]), needs.filter(|name| ours.contains(name)).collect())
        })
        .collect()
}

/// Edges that `layers.txt` does not allow, crates it does not know, and lines that say nothing.
fn edge_faults(layers: &str, edges: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let lines = layers.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    let allowed: BTreeMap<&str, BTreeSet<&str>> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, needs)| (name.trim(), needs.split_whitespace().collect()))
        .collect();
    let mut faults = Vec::new();
    for (name, needs) in edges {
        let Some(may) = allowed.get(name.as_str()) else {
            faults.push(format!("{name} is not in layers.txt"));
            continue;
        };
        for need in needs.iter().filter(|need| !may.contains(need.as_str())) {
            faults.push(format!("{name} must not depend on {need} (layers.txt)"));
        }
    }
    for name in allowed.keys().filter(|name| !edges.contains_key(**name)) {
        faults.push(format!("layers.txt has {name}, which is no crate"));
    }
    faults
}

/// What is wrong with a source file.
fn code_faults(text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    // Unit tests are last in a file, in a module of their own.
    let tests = text.lines().position(|line| line == "#[cfg(test)]");
    if tests.unwrap_or_else(|| text.lines().count()) > LINES_MAX {
        faults.push(format!("over {LINES_MAX} lines; split it by subject"));
    }
    if !text.starts_with("//!") {
        faults.push("say in a `//!` line what this file is for".to_owned());
    }
    for (at, line) in text.lines().enumerate() {
        // In two parts, so that this line does not find itself.
        for mark in [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:")] {
            let unnumbered =
                |(_, rest): (&str, &str)| !rest.trim_start_matches('(').starts_with('#');
            if line.contains("//") && line.split_once(mark).is_some_and(unnumbered) {
                faults.push(format!("line {}: {mark} without an issue: {mark}(#7)", at + 1));
            }
        }
    }
    faults
}

/// Whoever asks for the feature that takes defences away. It is declared, with nothing in it, and
/// asked for by `cargo xtask attack` alone.
fn manifest_faults(text: &str) -> Vec<String> {
    let declared = format!("{FEATURE} = []");
    let asks = |line: &&str| {
        let line = line.split('#').next().unwrap_or_default().trim();
        line.contains(FEATURE) && line != declared
    };
    let found = text.lines().filter(asks);
    found.map(|line| format!("{line:?}: only `cargo xtask attack` takes defences away")).collect()
}

/// What is wrong with a page: its links to other files, and the length of the map.
fn page_faults(path: &Path, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    if path == Path::new("ARCHITECTURE.md") && text.lines().count() > MAP_LINES_MAX {
        faults.push(format!("over {MAP_LINES_MAX} lines; a map is read in one sitting"));
    }
    let dir = path.parent().unwrap_or(Path::new(""));
    for target in links(text).filter(|target| !target.contains("://") && !target.starts_with('#')) {
        let file = target.split('#').next().unwrap_or_default();
        if !dir.join(file).exists() {
            faults.push(format!("links to {target}, which is not there"));
        }
    }
    faults.extend(test_faults(text));
    let lines = || text.lines().map(str::trim);
    if lines().any(|line| matches!(line, "```bash" | "```shell" | "```console")) {
        faults.push("blocks of commands are ```sh: those are run by the tests".to_owned());
    }
    faults
}

/// Tests that a page names and that are not there: `name` in `path`, and `attack_…`, whose names are
/// in the tables of hull-container.
fn test_faults(text: &str) -> Vec<String> {
    let has = |path: &str, name: &str| {
        std::fs::read_to_string(path).is_ok_and(|code| {
            code.contains(&format!("fn {name}(")) || code.contains(&format!("(\"{name}\","))
        })
    };
    let words: Vec<&str> = text.split('`').collect();
    let mut faults = Vec::new();
    for at in (1..words.len()).step_by(2) {
        let name = words[at];
        if words.get(at + 1) == Some(&" in ")
            && words.get(at + 2).is_some_and(|p| p.ends_with(".rs"))
        {
            let path = words[at + 2];
            if !has(path, name) {
                faults.push(format!("names a test {name}, which is not in {path}"));
            }
        } else if name.starts_with("attack_") && !ATTACKS.iter().any(|path| has(path, name)) {
            faults.push(format!("names a test {name}, which is not there"));
        }
    }
    faults
}

/// Where the attacks are that succeed against a weakened hull.
const ATTACKS: [&str; 4] = [
    "crates/hull-container/tests/kernel/attacks/exhaustion.rs",
    "crates/hull-container/tests/kernel/attacks/others.rs",
    "crates/hull-container/tests/kernel/attacks/paths.rs",
    "crates/hull-container/tests/kernel/attacks/powers.rs",
];

/// Targets of `[text](target)`.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edge_that_is_not_allowed_is_a_fault_and_one_of_tests_is_none() {
        let metadata = serde_json::json!({"packages": [
            {"name": "a", "manifest_path": "/w/crates/a/Cargo.toml", "dependencies": [
                {"name": "b", "kind": null}, {"name": "c", "kind": "dev"},
                {"name": "d", "kind": "build"}, {"name": "serde", "kind": null}]},
            {"name": "b", "manifest_path": "/w/crates/b/Cargo.toml", "dependencies": []},
            {"name": "c", "manifest_path": "/w/crates/c/Cargo.toml", "dependencies": []},
            {"name": "d", "manifest_path": "/w/crates/d/Cargo.toml", "dependencies": []},
            {"name": "tests", "manifest_path": "/w/tests/Cargo.toml", "dependencies": [
                {"name": "a", "kind": null}]},
        ]});
        let edges = edges(&metadata);
        assert_eq!(edges.len(), 4);
        let none: &[&str] = &[];
        assert_eq!(edge_faults("# c\na: b d\nb:\nc:\nd:\n", &edges), none);
        assert_eq!(
            edge_faults("a: d\nb:\nc:\ne: a\n", &edges),
            [
                "a must not depend on b (layers.txt)",
                "d is not in layers.txt",
                "layers.txt has e, which is no crate"
            ]
        );
    }

    #[test]
    fn files_say_what_they_are_for_and_are_not_too_long() {
        let none: &[&str] = &[];
        assert_eq!(code_faults("//! What.\nfn a() {}\n"), none);
        assert_eq!(code_faults("fn a() {}\n").len(), 1);
        let long = format!("//! What.\n{}", "\n".repeat(LINES_MAX));
        assert_eq!(code_faults(&long).len(), 1);
        let tests = format!("//! What.\n#[cfg(test)]\n{}", "\n".repeat(LINES_MAX));
        assert_eq!(code_faults(&tests), none);
    }

    #[test]
    fn what_is_left_to_do_has_an_issue() {
        let line = |text: &str| format!("//! What.\n// {}{text}\n", concat!("TO", "DO"));
        assert_eq!(code_faults(&line(": later")).len(), 1);
        assert_eq!(code_faults(&line("(me): later")).len(), 1);
        let none: &[&str] = &[];
        assert_eq!(code_faults(&line("(#12): later")), none);
    }

    #[test]
    fn nobody_asks_for_a_hull_without_defences() {
        let none: &[&str] = &[];
        assert_eq!(manifest_faults("[features]\n# weakened: for tests\nweakened = []\n"), none);
        for bad in [
            "default = [\"weakened\"]",
            "weakened = [\"dep:x\"]",
            "a = { features = [\"weakened\"] }",
        ] {
            assert_eq!(manifest_faults(bad).len(), 1, "{bad}");
        }
    }

    #[test]
    fn links_of_pages_lead_somewhere() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("there.md"), "").unwrap();
        let page = dir.path().join("page.md");
        let text = "[a](there.md) [b](there.md#x) [c](https://example.org/x) [d](#here)";
        let none: &[&str] = &[];
        assert_eq!(page_faults(&page, text), none);
        assert_eq!(page_faults(&page, "[a](gone.md)"), ["links to gone.md, which is not there"]);
        assert_eq!(page_faults(&page, "```bash\nls\n```").len(), 1);
        let faults = test_faults("`no_such` in `xtask/src/tidy.rs`, `attack_no_such`, `a` and `b`");
        assert_eq!(faults.len(), 2, "{faults:?}");
    }
}
