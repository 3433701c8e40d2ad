//! What `ps` wrote, as rows of the guest's processes. Pure but for the ids of a process.

use std::collections::HashSet;
use std::fs;

use super::Processes;
use super::names::{Ids, Names};
use crate::error::{Error, Kind, Result};

/// Refuses arguments that give another column the name by which processes are found (moby
/// `daemon/top_unix.go`, `validatePSArgs`).
pub(super) fn check(arguments: &str) -> Result<()> {
    for word in arguments.split_ascii_whitespace() {
        for column in word.split(',') {
            let Some((name, title)) = column.split_once('=') else { continue };
            let name = name.trim_start_matches(['-', 'o']);
            if title.starts_with("PID") && name != "pid" && !name.is_empty() {
                let text = format!("specifying \"{name}={title}\" is not allowed");
                return Err(Error::new(Kind::Invalid, text));
            }
        }
    }
    Ok(())
}

/// The rows of `text` that are about `pids`. The last column may have spaces in it.
pub(super) fn select(text: &str, pids: &[i32]) -> Result<Processes> {
    let pids: HashSet<i32> = pids.iter().copied().collect();
    let mut lines = text.lines();
    let titles: Vec<String> =
        lines.next().unwrap_or_default().split_ascii_whitespace().map(str::to_owned).collect();
    let Some(column) = titles.iter().position(|title| title == "PID") else {
        return Err(Error::new(Kind::Internal, "Couldn't find PID field in ps output"));
    };
    let mut is_ours = false;
    let rows = lines.map(|line| fields(line, titles.len())).filter(|row| {
        let pid = row.get(column).map_or("", String::as_str);
        // The threads of the process above (`ps m`).
        if pid != "-" {
            is_ours = pid.parse().is_ok_and(|pid| pids.contains(&pid));
        }
        is_ours
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

/// Whose a column is, which of its ids, and whether it is shown as a name.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Owner {
    is_group: bool,
    /// Place in the lines of `/proc/PID/status`: real, effective, saved, of files.
    which: usize,
    is_name: bool,
}

/// What a title says; `is_full` for `ps -f`, whose `UID` is a name.
fn owner(title: &str, is_full: bool) -> Option<Owner> {
    let user = |which, is_name| Some(Owner { is_group: false, which, is_name });
    let group = |which, is_name| Some(Owner { is_group: true, which, is_name });
    match title {
        "UID" => user(1, is_full),
        "USER" | "EUSER" => user(1, true),
        "EUID" => user(1, false),
        "RUSER" => user(0, true),
        "RUID" => user(0, false),
        "SUSER" => user(2, true),
        "SUID" | "SVUID" => user(2, false),
        "FUSER" => user(3, true),
        "FUID" => user(3, false),
        "GROUP" | "EGROUP" => group(1, true),
        "GID" | "EGID" => group(1, false),
        "RGROUP" => group(0, true),
        "RGID" => group(0, false),
        "SGROUP" => group(2, true),
        "SGID" | "SVGID" => group(2, false),
        "FGROUP" => group(3, true),
        "FGID" => group(3, false),
        _ => None,
    }
}

/// Puts users and groups as the guest has them.
pub(super) fn put_names(processes: &mut Processes, names: &Names) {
    let status = |pid: &str| fs::read_to_string(format!("/proc/{pid}/status")).ok();
    put(processes, names, status);
}

fn put(processes: &mut Processes, names: &Names, status: impl Fn(&str) -> Option<String>) {
    let Processes { titles, rows } = processes;
    let is_full = titles.iter().any(|title| title == "STIME");
    let owners: Vec<(usize, Owner)> = titles
        .iter()
        .enumerate()
        .filter_map(|(at, title)| owner(title, is_full).map(|owner| (at, owner)))
        .collect();
    let Some(column) = titles.iter().position(|title| title == "PID") else { return };
    if owners.is_empty() {
        return;
    }
    for row in rows {
        // Digits only: it becomes part of a path.
        let pid = row.get(column).filter(|pid| pid.parse::<u32>().is_ok());
        let Some(status) = pid.and_then(|pid| status(pid)) else { continue };
        for (at, Owner { is_group, which, is_name }) in &owners {
            let (line, ids) =
                if *is_group { ("Gid:", &names.groups) } else { ("Uid:", &names.users) };
            let shown = id(&status, line, *which).and_then(|id| shown(ids, id, *is_name));
            if let (Some(shown), Some(cell)) = (shown, row.get_mut(*at)) {
                *cell = shown;
            }
        }
    }
}

fn shown(ids: &Ids, id: u32, is_name: bool) -> Option<String> {
    if is_name { ids.name(id) } else { ids.number(id).map(|number| number.to_string()) }
}

fn id(status: &str, line: &str, which: usize) -> Option<u32> {
    let numbers = status.lines().find_map(|text| text.strip_prefix(line))?;
    numbers.split_ascii_whitespace().nth(which)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_guests_processes_are_shown_with_their_whole_commands() {
        let table = "UID   PID PPID CMD\nroot    1    0 init\nroot   42    1 sh -c  'a b'\n\
                     root    -    - -\nroot   43    1 x\nroot    -    - -\n";
        let shown = select(table, &[42]).unwrap();
        assert_eq!(shown.titles, ["UID", "PID", "PPID", "CMD"]);
        assert_eq!(shown.rows, [["root", "42", "1", "sh -c  'a b'"], ["root", "-", "-", "-"]]);
        let missing = select("USER CMD\n", &[1]).unwrap_err();
        assert_eq!(missing.to_string(), "Couldn't find PID field in ps output");
    }

    #[test]
    fn no_other_column_may_be_called_pid() {
        for good in ["-ef", "-o pid,cmd", "-o pid=PID,cmd", "-opid=PID", "-o comm=COMMAND", "aux"] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in ["-o comm=PID", "-o pid,ppid=PIDx", "-eo uid=PID"] {
            let refused = check(bad).unwrap_err();
            assert!(refused.to_string().ends_with("is not allowed"), "{bad}: {refused}");
        }
    }

    #[test]
    fn owners_are_the_guests() {
        let names = Names {
            users: Ids::of("0 1000000 65536\n", "root:x:0:\nweb:x:33:\n"),
            groups: Ids::of("0 1000000 65536\n", "wheel:x:0:\n"),
        };
        let status = |pid: &str| {
            (pid == "7").then(|| {
                "Name:\tx\nUid:\t1000000\t1000033\t1000000\t1000033\nGid:\t1000000\t1000000\t5\t5\n"
                    .to_owned()
            })
        };
        let shown = |titles: &str, row: &str| {
            let split = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
            let mut processes = Processes { titles: split(titles), rows: vec![split(row)] };
            put(&mut processes, &names, status);
            processes.rows.remove(0).join(" ")
        };
        for (titles, row, want) in [
            ("UID PID STIME CMD", "1000033+ 7 10:00 x", "web 7 10:00 x"),
            ("F UID PID", "0 1000+ 7", "0 33 7"),
            ("USER RUSER PID GROUP GID", "a b 7 c d", "web root 7 wheel 0"),
            ("PID SGID CMD", "7 5 x", "7 5 x"),
            ("USER PID", "gone 8", "gone 8"),
            ("USER PID", "- -", "- -"),
        ] {
            assert_eq!(shown(titles, row), want, "{titles}");
        }
    }
}
