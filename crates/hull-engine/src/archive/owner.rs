//! The user of a guest in numbers, from its own files, which are hostile: read up to a bound, and only
//! if they are regular.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsRawFd as _, BorrowedFd};

use hull_store::tree::locate_followed;
use rustix::fs::{CWD, FileType, Mode, OFlags, openat};

use crate::error::{Error, Kind, Result};

/// The most that is read of either file.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// The user and group that `text` (`user`, `uid`, `user:group`, `uid:gid`) means in the tree `root`;
/// `None` if it is empty, which is root, or root by its number.
pub(super) fn of(root: BorrowedFd<'_>, text: &str) -> Result<Option<(u32, u32)>> {
    if text.is_empty() {
        return Ok(None);
    }
    let passwd = read(root, "/etc/passwd");
    let group = read(root, "/etc/group");
    let found = find(text, &passwd, &group);
    found.map(Some).ok_or_else(|| {
        let text = format!("unable to find user {text}: no matching entries in passwd file");
        Error::new(Kind::Invalid, text)
    })
}

fn find(text: &str, passwd: &str, group: &str) -> Option<(u32, u32)> {
    let (user, wanted) = text.split_once(':').map_or((text, None), |(u, g)| (u, Some(g)));
    let (uid, primary) = match (entry(passwd, user, 2, 3), user.parse().ok()) {
        (Some(ids), _) => ids,
        (None, Some(uid)) => (uid, 0),
        (None, None) => return None,
    };
    let gid = match wanted {
        None | Some("") => primary,
        Some(name) => match entry(group, name, 2, 2) {
            Some((gid, _)) => gid,
            None => name.parse().ok()?,
        },
    };
    Some((uid, gid))
}

/// The two numbers in the line of `name`, which may be the first number itself.
fn entry(text: &str, name: &str, first: usize, second: usize) -> Option<(u32, u32)> {
    text.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let number = |at: usize| fields.get(at)?.parse::<u32>().ok();
        let ids = (number(first)?, number(second)?);
        (fields.first() == Some(&name) || name.parse() == Ok(ids.0)).then_some(ids)
    })
}

/// The text of a regular file; empty if there is none.
fn read(root: BorrowedFd<'_>, path: &str) -> String {
    let Ok(found) = locate_followed(root, path) else { return String::new() };
    if FileType::from_raw_mode(found.stat.st_mode) != FileType::RegularFile {
        return String::new();
    }
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let link = format!("/proc/self/fd/{}", found.file.as_raw_fd());
    let Ok(file) = openat(CWD, link, flags, Mode::empty()) else { return String::new() };
    let mut text = Vec::new();
    match File::from(file).take(FILE_BYTES_MAX).read_to_end(&mut text) {
        Ok(_) => String::from_utf8_lossy(&text).into_owned(),
        Err(_unreadable) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_name_and_number() {
        let passwd = "root:x:0:0::/root:\nbroken\nweb:x:33:34::/:\n";
        let group = "root:x:0:\nstaff:x:50:web\n";
        for (text, ids) in [
            ("root", Some((0, 0))),
            ("web", Some((33, 34))),
            ("33", Some((33, 34))),
            ("1000", Some((1000, 0))),
            ("web:staff", Some((33, 50))),
            ("7:8", Some((7, 8))),
            ("web:", Some((33, 34))),
            ("nobody", None),
            ("web:none", None),
        ] {
            assert_eq!(find(text, passwd, group), ids, "{text}");
        }
    }
}
