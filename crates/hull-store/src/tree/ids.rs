//! The owners of a guest's files, as the guest counts them and as the host sees them.

use std::path::Path;
use std::str::FromStr;

/// Users or groups of a user namespace: consecutive ids inside and outside, and how many.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct IdMap {
    lines: Vec<Line>,
    /// Whoever it is outside.
    always: Option<u32>,
}

/// First id inside, first id outside, and how many.
type Line = (u32, u32, u32);

/// The map of a user namespace cannot be read.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0:?} is no line of an id map")]
pub struct BadIdMap(String);

/// What the kernel shows for an id that has no counterpart (`/proc/sys/kernel/overflowuid`).
const NOBODY: u32 = 65_534;

impl IdMap {
    /// As the kernel writes `/proc/PID/uid_map`.
    fn line(line: &str) -> Option<Line> {
        let mut numbers = line.split_ascii_whitespace().map(u32::from_str);
        let mut next = || numbers.next()?.ok();
        let ids = (next()?, next()?, next()?);
        numbers.next().is_none().then_some(ids)
    }

    /// Everybody outside is `inside`.
    pub fn always(inside: u32) -> Self {
        Self { always: Some(inside), ..Self::default() }
    }

    /// The id inside of one that the host sees; nobody's if it has none.
    pub fn inside(&self, outside: u32) -> u32 {
        if let Some(inside) = self.always {
            return inside;
        }
        self.find(outside, |(inside, outside, count)| (outside, inside, count)).unwrap_or(NOBODY)
    }

    /// The host's id of one inside.
    pub fn outside(&self, inside: u32) -> Option<u32> {
        self.find(inside, |ids| ids)
    }

    fn find(&self, id: u32, turn: fn(Line) -> Line) -> Option<u32> {
        self.lines.iter().map(|ids| turn(*ids)).find_map(|(from, to, count)| {
            id.checked_sub(from).filter(|at| *at < count).map(|at| to.saturating_add(at))
        })
    }
}

impl Default for IdMap {
    /// Every id as it is.
    fn default() -> Self {
        Self { lines: vec![(0, 0, u32::MAX)], always: None }
    }
}

impl FromStr for IdMap {
    type Err = BadIdMap;

    fn from_str(text: &str) -> Result<Self, BadIdMap> {
        let line =
            |line: &str| Self::line(line).ok_or_else(|| BadIdMap(line.chars().take(80).collect()));
        let lines = text.lines().map(line).collect::<Result<_, _>>()?;
        Ok(Self { lines, always: None })
    }
}

/// The users and groups of a tree. The default is a tree whose files have the guest's ids on disk.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Ids {
    /// Users.
    pub users: IdMap,
    /// Groups.
    pub groups: IdMap,
}

impl Ids {
    /// Those of a process's user namespace, by its directory in `/proc`.
    pub fn of_process(directory: &Path) -> std::io::Result<Self> {
        let read = |name: &str| {
            let text = std::fs::read_to_string(directory.join(name))?;
            text.parse().map_err(|bad: BadIdMap| std::io::Error::other(bad))
        };
        Ok(Self { users: read("uid_map")?, groups: read("gid_map")? })
    }

    /// The host's user and group of root inside.
    pub fn root(&self) -> (u32, u32) {
        (self.users.outside(0).unwrap_or(0), self.groups.outside(0).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_found_both_ways() {
        let map: IdMap =
            "         0     100000       1000\n      1000       1000          1\n".parse().unwrap();
        for (inside, outside) in [(0, 100_000), (999, 100_999), (1_000, 1_000)] {
            assert_eq!((map.inside(outside), map.outside(inside)), (inside, Some(outside)));
        }
        assert_eq!(
            (map.inside(0), map.inside(101_000), map.outside(1_001)),
            (NOBODY, NOBODY, None)
        );
        let all = IdMap::default();
        assert_eq!(IdMap::always(0).inside(7), 0);
        assert_eq!((all.inside(7), all.outside(u32::MAX - 1)), (7, Some(u32::MAX - 1)));
    }

    #[test]
    fn maps_of_another_form_are_refused() {
        for bad in ["1 2", "a b c", "1 2 3 4", "0 0 99999999999"] {
            assert!(bad.parse::<IdMap>().is_err(), "{bad}");
        }
        assert_eq!("".parse::<IdMap>().unwrap().inside(0), NOBODY);
    }
}
