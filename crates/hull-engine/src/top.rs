//! What runs in a guest, as `ps(1)` shows it.

use crate::error::{Error, Kind, Result};
use crate::guest::Guest;

/// A table of processes.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Processes {
    /// Names of the columns.
    pub titles: Vec<String>,
    /// A row for each process; as many fields as titles.
    pub rows: Vec<Vec<String>>,
}

impl Guest {
    /// Its processes in the form that `ps` with `arguments` gives them on the host (Docker's
    /// default is `-ef`). The arguments never go through a shell.
    pub async fn processes(&self, arguments: &str) -> Result<Processes> {
        let record = self.record();
        if !record.state.is_alive() {
            let text = format!("container {} is not running", record.id);
            return Err(Error::new(Kind::Conflict, text));
        }
        let cgroup = self.engine()?.cgroup_of(&record)?;
        let arguments: Vec<String> = arguments.split_whitespace().map(str::to_owned).collect();
        self.engine()?.publish(&record, "top", &[]);
        let listed = tokio::task::spawn_blocking(move || {
            let pids = cgroup.processes().map_err(Error::internal("list the guest's processes"))?;
            let pids: Vec<i32> = pids.iter().map(|pid| pid.as_raw_nonzero().get()).collect();
            // Only `-q` makes ps list processes that are not of its own terminal whatever else it
            // is asked for; where that does not go together, it is asked without, as Docker does.
            let list: Vec<_> = pids.iter().map(ToString::to_string).collect();
            let mut selected = arguments.clone();
            selected.extend(["-q".to_owned(), list.join(",")]);
            let table = ps(&selected).or_else(|_does_not_go| ps(&arguments))?;
            select(&table, &pids)
        });
        listed.await.map_err(Error::internal("list the guest's processes"))?
    }
}

fn ps(arguments: &[String]) -> Result<String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "ps has so many formats that only ps can give them; no shell, clean environment"
    )]
    let output = std::process::Command::new("ps")
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LC_ALL", "C.UTF-8")
        .stdin(std::process::Stdio::null())
        .output()
        .map_err(|source| {
            let text = "run ps on the host (hint: Debian has it in the package procps)";
            Error::caused(Kind::Unavailable, text, source)
        })?;
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr);
        let text = format!("ps: {}", reason.lines().next().unwrap_or("failed"));
        return Err(Error::new(Kind::Invalid, text));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The rows of `table` that are about `pids`. The last column may have spaces in it.
fn select(table: &str, pids: &[i32]) -> Result<Processes> {
    let mut lines = table.lines();
    let titles: Vec<String> =
        lines.next().unwrap_or_default().split_whitespace().map(str::to_owned).collect();
    let Some(pid_column) = titles.iter().position(|title| title == "PID") else {
        let text = "Couldn't find PID field in ps output";
        return Err(Error::new(Kind::Invalid, text));
    };
    let rows = lines.map(|line| fields(line, titles.len())).filter(|row| {
        let pid = row.get(pid_column).and_then(|text| text.parse().ok());
        pid.is_some_and(|pid| pids.contains(&pid))
    });
    Ok(Processes { rows: rows.collect(), titles })
}

fn fields(line: &str, count: usize) -> Vec<String> {
    let mut fields = Vec::with_capacity(count);
    let mut rest = line.trim_start();
    while fields.len() + 1 < count {
        let (field, tail) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        fields.push(field.to_owned());
        rest = tail.trim_start();
    }
    fields.push(rest.trim_end().to_owned());
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_guests_processes_are_shown_with_their_whole_commands() {
        let table = "UID   PID PPID CMD\nroot    1    0 init\nroot   42    1 sh -c  'a b'\n";
        let shown = select(table, &[42]).unwrap();
        assert_eq!(shown.titles, ["UID", "PID", "PPID", "CMD"]);
        assert_eq!(shown.rows, [["root", "42", "1", "sh -c  'a b'"]]);
        assert!(select("USER CMD\n", &[1]).is_err());
    }
}
