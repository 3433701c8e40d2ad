//! Every command of the README and the guide is run, as it is written.
//!
//! A block of ```sh is a script. The blocks of one page run in one sandbox, in order. A block that
//! cannot run here has `<!-- not tested: REASON -->` in the line before it; they are listed.

use hull_tests::sandbox::Sandbox;
use hull_tests::{Tool, need, program};

/// A block of commands of a page.
struct Block {
    line: usize,
    script: String,
    untested: Option<String>,
}

fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut reason = None;
    let mut open: Option<Block> = None;
    for (at, line) in text.lines().enumerate() {
        match &mut open {
            Some(_) if line.trim() == "```" => blocks.extend(open.take()),
            Some(block) => block.script.push_str(&format!("{line}\n")),
            None if line.trim() == "```sh" => {
                open = Some(Block { line: at + 1, script: String::new(), untested: reason.take() });
            }
            None => {
                let mark = line.trim().strip_prefix("<!-- not tested: ");
                let found = mark.and_then(|rest| rest.strip_suffix(" -->")).map(str::to_owned);
                if found.is_some() || !line.trim().is_empty() {
                    reason = found;
                }
            }
        }
    }
    assert!(open.is_none(), "a block is open at the end");
    blocks
}

fn commands_work(page: &str) {
    need!("unshare", "ip", "nft", "busybox", "docker");
    let text = std::fs::read_to_string(program::workspace().join(page)).unwrap();
    let mut script = String::new();
    let mut count = 0;
    for block in blocks(&text) {
        if let Some(reason) = block.untested {
            eprintln!("{page}:{}: not tested: {reason}", block.line);
            continue;
        }
        count += 1;
        script.push_str(&format!("echo '## {page}:{}'\n{}\n", block.line, block.script));
    }
    assert!(count > 0, "{page} has no command that is tested");
    // As a user would: `cargo` where the sources are, with what is fetched already.
    let done = Sandbox::new().run(&script, Some(&program::workspace()));
    let place = done.stdout.lines().rfind(|line| line.starts_with("## ")).unwrap_or("at the start");
    assert_eq!(done.status, 0, "{place}\n{}\n{}", done.stdout, done.stderr);
}

#[test]
fn the_readmes_commands_work() {
    commands_work("README.md");
}

#[test]
fn the_guides_commands_work() {
    commands_work("docs/guide.md");
}

#[test]
fn the_runtimes_commands_work() {
    need!("podman", "conmon");
    commands_work("docs/runtime.md");
}

#[test]
fn the_commands_about_user_namespaces_work() {
    commands_work("docs/user-namespaces.md");
}

#[test]
fn man_pages_and_completions_are_made_of_the_same_definitions() {
    let dir = tempfile::tempdir().unwrap();
    Tool::new(program::hull(), "man").arg(dir.path()).ok();
    let page = dir.path().join("hull-run.1");
    let text = std::fs::read_to_string(&page).unwrap();
    assert!(text.contains("\\-\\-network"), "{text}");
    for shell in ["bash", "zsh", "fish"] {
        let script = Tool::new(program::hull(), &format!("completion {shell}")).ok();
        assert!(script.contains("hull"), "{shell}");
    }
}
