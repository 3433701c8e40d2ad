//! `ps`.

use serde_json::json;

use super::Session;
use crate::arguments::Options;
use crate::failure::{Doing, Failure};
use crate::help::say;

/// Prints the host's numbers of a container's processes, or what `ps` says of them.
pub(super) fn ps(session: &Session<'_>, options: &Options) -> Result<u8, Failure> {
    let (_, record) = session.open(options.operand(0))?;
    let pids: Vec<i32> =
        record.cgroup.processes()?.iter().map(|pid| pid.as_raw_nonzero().get()).collect();
    match options.value("format").unwrap_or("table") {
        "json" => say(&format!("{}\n", json!(pids))),
        "table" => {
            let words = options.operands().get(1..).unwrap_or_default();
            let default = ["-ef".to_owned()];
            let words = if words.is_empty() { &default[..] } else { words };
            say(&filter(&host_table(words)?, &pids)?)
        }
        other => Err(Failure::new(format!("invalid format option {other:?}: table or json"))),
    }
}

fn host_table(words: &[String]) -> Result<String, Failure> {
    let mut command = hull_sys::spawn::command("ps");
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    let output = command.args(words).output().doing("run ps; hint: --format json needs none")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(Failure::new(format!("ps {}: {said}", words.join(" "))));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The head of `table` and its lines about `pids`.
fn filter(table: &str, pids: &[i32]) -> Result<String, Failure> {
    let mut lines = table.lines();
    let head = lines.next().unwrap_or_default();
    let column = head
        .split_whitespace()
        .position(|name| name == "PID")
        .ok_or_else(|| Failure::new("ps shows no PID column; hint: choose options that do"))?;
    let ours = |line: &&str| {
        let cell = line.split_whitespace().nth(column).and_then(|cell| cell.parse().ok());
        cell.is_some_and(|pid: i32| pids.contains(&pid))
    };
    let lines: Vec<&str> = std::iter::once(head).chain(lines.filter(ours)).collect();
    Ok(lines.join("\n") + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_of_the_container_are_shown() {
        let table = "UID PID CMD\nroot 1 init\nroot 12 sh 1\nroot x 12\n";
        assert_eq!(filter(table, &[12]).unwrap(), "UID PID CMD\nroot 12 sh 1\n");
        assert!(filter("CMD\nsh\n", &[1]).unwrap_err().to_string().contains("no PID column"));
    }
}
