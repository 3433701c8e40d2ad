//! Who a guest's processes belong to, in the guest's own words.

use std::collections::HashMap;
use std::fs;
use std::io::Read;

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags};

/// The most that is read of a guest's `/etc/passwd` and `/etc/group`.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// Ids of the host as names and numbers of one guest.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) users: Ids,
    pub(super) groups: Ids,
}

/// Users, or groups.
#[derive(Debug, Default)]
pub(super) struct Ids {
    map: Vec<Extent>,
    names: HashMap<u32, String>,
}

/// One line of `uid_map` (`user_namespaces(7)`).
#[derive(Clone, Copy, Debug)]
struct Extent {
    inside: u32,
    outside: u32,
    count: u32,
}

impl Names {
    /// Reads them from where the process `first` is. What cannot be read stays as the host has it.
    pub(super) fn read(first: u32) -> Self {
        let map = |file: &str| {
            let text = fs::read_to_string(format!("/proc/{first}/{file}"));
            text.map(|text| extents(&text)).unwrap_or_default()
        };
        let names =
            |file: &str| guest_file(first, file).map(|text| names(&text)).unwrap_or_default();
        Self {
            users: Ids { map: map("uid_map"), names: names("etc/passwd") },
            groups: Ids { map: map("gid_map"), names: names("etc/group") },
        }
    }
}

impl Ids {
    /// The number inside; `None` for one that the guest does not have.
    pub(super) fn number(&self, outside: u32) -> Option<u32> {
        self.map.iter().find_map(|extent| {
            let at = outside.checked_sub(extent.outside)?;
            (at < extent.count).then(|| extent.inside.checked_add(at))?
        })
    }

    /// The name inside, or the number where the guest has no name for it.
    pub(super) fn name(&self, outside: u32) -> Option<String> {
        let number = self.number(outside)?;
        Some(self.names.get(&number).cloned().unwrap_or_else(|| number.to_string()))
    }

    #[cfg(test)]
    pub(super) fn of(map: &str, names: &str) -> Self {
        Self { map: extents(map), names: self::names(names) }
    }
}

fn extents(text: &str) -> Vec<Extent> {
    let one = |line: &str| {
        let mut numbers = line.split_ascii_whitespace().map(|word| word.parse::<u32>().ok());
        let (inside, outside, count) = (numbers.next()??, numbers.next()??, numbers.next()??);
        Some(Extent { inside, outside, count })
    };
    text.lines().filter_map(one).collect()
}

/// `name:x:id:…` in both files. The first name of an id counts, and only one that is a word: the rest
/// of the row is behind it.
fn names(text: &str) -> HashMap<u32, String> {
    let mut names = HashMap::new();
    for line in text.lines() {
        let mut fields = line.split(':');
        let (Some(name), Some(_), Some(id)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        let is_word = !name.is_empty()
            && name.len() <= 64
            && name.chars().all(|c| !c.is_whitespace() && !c.is_control());
        if let (true, Ok(id)) = (is_word, id.parse()) {
            names.entry(id).or_insert_with(|| name.to_owned());
        }
    }
    names
}

/// A file below the root of a process, whatever links are on the way. It could be a pipe that nobody
/// writes to, or endless: neither is read.
fn guest_file(first: u32, path: &str) -> Option<String> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(format!("/proc/{first}/root"), flags, Mode::empty()).ok()?;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let file = rustix::fs::openat2(&root, path, flags, Mode::empty(), resolve).ok()?;
    let kind = FileType::from_raw_mode(rustix::fs::fstat(&file).ok()?.st_mode);
    if kind != FileType::RegularFile {
        return None;
    }
    let mut bytes = Vec::new();
    fs::File::from(file).take(FILE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_put_as_the_guest_has_them() {
        let ids = Ids::of(
            "         0 1879048192      65536\n",
            "root:x:0:0::/:\nweb:x:33:33::/:\nother:x:33::\nbad name:x:5:\nx\n",
        );
        for (outside, want) in [
            (1_879_048_192, Some("root")),
            (1_879_048_192 + 33, Some("web")),
            (1_879_048_192 + 5, Some("5")),
            (1_879_048_192 + 65_536, None),
            (0, None),
        ] {
            assert_eq!(ids.name(outside).as_deref(), want, "{outside}");
        }
        assert_eq!(ids.number(1_879_048_192 + 33), Some(33));
        let host = Ids::of("0 0 4294967295\n", "");
        assert_eq!(host.name(999).as_deref(), Some("999"));
        assert!(Ids::of("4294967295 0 2\n", "").number(1).is_none(), "an id that does not exist");
    }
}
