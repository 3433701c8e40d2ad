//! What isolates this process, as far as it can tell itself.

use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::limits;

/// Nanoseconds since 1970 at which the user asked for this container, set by the CLI.
const STARTED_AT: &str = "HULL_STARTED_AT";

/// Names and values, in the order to show them.
pub(crate) fn all() -> Vec<(&'static str, String)> {
    let status = read("/proc/self/status");
    let mounts = read("/proc/self/mountinfo");
    [
        ("started in", started_in(std::env::var(STARTED_AT).ok().as_deref(), now())),
        ("process", process(&status)),
        ("user", user(&status, &read("/proc/self/uid_map"))),
        ("host name", named(&read("/proc/sys/kernel/hostname"))),
        ("kernel", kernel(&read("/proc/sys/kernel/osrelease"))),
        ("namespaces", namespaces()),
        ("root", root(&mounts)),
        ("limits", limits::describe(&read("/proc/self/cgroup"), &mounts)),
        ("rights", rights(&status)),
        ("network", network(&read("/proc/net/dev"))),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
    .collect()
}

/// A small file's text, empty if there is none.
pub(crate) fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn now() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos()
}

fn started_in(asked_at: Option<&str>, now: u128) -> Option<String> {
    let passed = now.checked_sub(asked_at?.trim().parse().ok()?)?;
    let tenths = passed / 100_000;
    Some(format!("{}.{} ms, from the command to this line", tenths / 10, tenths % 10))
}

fn named(text: &str) -> Option<String> {
    let name = text.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

fn kernel(release: &str) -> Option<String> {
    named(release).map(|release| format!("Linux {release} ({})", std::env::consts::ARCH))
}

/// A line of `/proc/self/status`.
fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

fn process(status: &str) -> Option<String> {
    let pid: u32 = field(status, "Pid")?.parse().ok()?;
    Some(match pid {
        1 => "1, the first of its own process namespace".to_owned(),
        pid => pid.to_string(),
    })
}

/// Who we are inside and, by the map, on the host.
fn user(status: &str, map: &str) -> Option<String> {
    let uid: u64 = field(status, "Uid")?.split_whitespace().next()?.parse().ok()?;
    let name = if uid == 0 { "root (0)".to_owned() } else { uid.to_string() };
    let outside = map.lines().find_map(|line| {
        let mut numbers = line.split_whitespace().map(str::parse::<u64>);
        let (inside, outside, count) =
            (numbers.next()?.ok()?, numbers.next()?.ok()?, numbers.next()?.ok()?);
        let offset = uid.checked_sub(inside).filter(|offset| *offset < count)?;
        outside.checked_add(offset)
    });
    Some(match outside {
        Some(outside) if outside != uid => format!("{name} here, {outside} on the host"),
        Some(_) => format!("{name}, the same on the host"),
        None => name,
    })
}

/// The namespaces that are not the kernel's first ones, whose numbers are fixed
/// (`include/linux/nsfs.h` and `include/linux/proc_ns.h`).
fn namespaces() -> Option<String> {
    // The first mount namespace has had such a number since Linux 6.18; before, it got the first
    // one that was free.
    const FIRST_MOUNTS: [u64; 3] = [0xEFFF_FFF8, 0xF000_0000, 0xF000_0001];
    const FIRST: [(&str, u64); 6] = [
        ("user", 0xEFFF_FFFD),
        ("pid", 0xEFFF_FFFC),
        ("net", 0xEFFF_FFF9),
        ("ipc", 0xEFFF_FFFF),
        ("uts", 0xEFFF_FFFE),
        ("cgroup", 0xEFFF_FFFB),
    ];
    let number = |name: &str| {
        let link = fs::read_link(format!("/proc/self/ns/{name}")).ok()?;
        link.to_str()?.split(['[', ']']).nth(1)?.parse::<u64>().ok()
    };
    let mut own = Vec::new();
    if !FIRST_MOUNTS.contains(&number("mnt")?) {
        own.push("mount");
    }
    for (name, first) in FIRST {
        if number(name)? != first {
            own.push(name);
        }
    }
    let own = if own.is_empty() { "none".to_owned() } else { own.join(", ") };
    Some(format!("{own} of its own"))
}

/// What `/` is, from `/proc/self/mountinfo`: `id parent dev root target options … - type …`.
fn root(mounts: &str) -> Option<String> {
    let line = mounts.lines().rfind(|line| line.split(' ').nth(4) == Some("/"))?;
    let options = line.split(' ').nth(5)?;
    let filesystem = line.split(" - ").nth(1)?.split(' ').next()?;
    let access = match options.split(',').any(|option| option == "ro") {
        true => "read-only",
        false => "writable, in a layer of its own",
    };
    Some(format!("{filesystem}, {access}"))
}

fn rights(status: &str) -> Option<String> {
    let effective = u64::from_str_radix(field(status, "CapEff")?, 16).ok()?;
    let seccomp = match field(status, "Seccomp") {
        Some("2") => "system calls filtered",
        Some("1") => "almost no system calls",
        _ => "system calls not filtered",
    };
    let gain = match field(status, "NoNewPrivs") {
        Some("1") => ", no new privileges",
        _ => "",
    };
    Some(format!("{} of 41 capabilities, {seccomp}{gain}", effective.count_ones()))
}

fn network(devices: &str) -> Option<String> {
    let names: Vec<&str> =
        devices.lines().filter_map(|line| Some(line.split_once(':')?.0.trim())).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Name:\thello\nPid:\t1\nUid:\t0\t0\t0\t0\nCapEff:\t00000000a80425fb\n\
                          NoNewPrivs:\t0\nSeccomp:\t2\n";

    #[test]
    fn the_user_is_shown_with_what_it_is_on_the_host() {
        let shown = |map| user(STATUS, map).unwrap();
        assert_eq!(shown("0 524288 65536\n"), "root (0) here, 524288 on the host");
        assert_eq!(shown("         0          0 4294967295\n"), "root (0), the same on the host");
        assert_eq!(shown("1 5 2\n"), "root (0)");
        assert_eq!(shown("0 18446744073709551615 x\nnonsense"), "root (0)");
        assert_eq!(user("", ""), None);
    }

    #[test]
    fn rights_and_root_are_read_from_proc() {
        assert_eq!(rights(STATUS).unwrap(), "14 of 41 capabilities, system calls filtered");
        let mounts =
            "1 2 0:3 / / ro,relatime - overlay overlay rw\n9 1 0:4 / /proc rw - proc p rw\n";
        assert_eq!(root(mounts).unwrap(), "overlay, read-only");
        assert_eq!(root("garbage\n"), None);
        assert_eq!(process("Pid:\t7\n").unwrap(), "7");
        assert_eq!(network("a | b\n    lo: 1 2\n  eth0: 3\n").unwrap(), "lo, eth0");
    }

    #[test]
    fn the_time_is_left_out_unless_it_makes_sense() {
        let shown = |asked| started_in(asked, 20_000_000_000);
        assert_eq!(shown(Some("19991250000")).unwrap(), "8.7 ms, from the command to this line");
        for bad in [None, Some(""), Some("x"), Some("-1"), Some("20000000001")] {
            assert_eq!(shown(bad), None);
        }
    }
}
