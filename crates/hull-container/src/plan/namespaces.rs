//! Where a guest's namespaces come from.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Where each namespace comes from. By default all are new, but for users and time.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Namespaces {
    /// Users and capabilities.
    pub user: User,
    /// Mounts. Never [`Namespace::Host`]: what a guest mounts must not appear on the host.
    pub mount: Namespace,
    /// Processes.
    pub pid: Namespace,
    /// System V IPC, POSIX message queues.
    pub ipc: Namespace,
    /// Host name.
    pub uts: Namespace,
    /// Network.
    pub net: Namespace,
    /// View of the cgroup tree.
    pub cgroup: Namespace,
    /// What the clocks say.
    pub time: Time,
}

/// Where one namespace comes from.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub enum Namespace {
    /// The shim's, which is the host's.
    Host,
    /// Made for the guest.
    #[default]
    New,
    /// This file of `/proc/PID/ns`, or a bind mount of one.
    Join(PathBuf),
}

/// Where the user namespace comes from.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub enum User {
    /// The host's: root inside is root outside.
    #[default]
    Host,
    /// Made for the guest, with these maps. They must map root.
    New {
        /// Users.
        uids: Vec<IdMap>,
        /// Groups.
        gids: Vec<IdMap>,
    },
    /// This file of `/proc/PID/ns`, or a bind mount of one; the maps are the ones it has.
    Join(PathBuf),
}

/// Where the time namespace comes from.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub enum Time {
    /// The shim's, which is the host's.
    #[default]
    Host,
    /// Made for the guest, with its clocks set off against the host's.
    New {
        /// `CLOCK_MONOTONIC` and its kin.
        monotonic: Offset,
        /// `CLOCK_BOOTTIME` and its kin.
        boottime: Offset,
    },
    /// This file of `/proc/PID/ns`, or a bind mount of one.
    Join(PathBuf),
}

/// A difference between clocks.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Offset {
    /// Seconds, possibly negative.
    pub seconds: i64,
    /// Further nanoseconds, fewer than a second's.
    pub nanoseconds: u32,
}

/// Consecutive ids inside and outside.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct IdMap {
    /// First id inside; in a mount's map, on disk.
    pub inside: u32,
    /// First id on the host.
    pub outside: u32,
    /// How many.
    pub count: u32,
}

impl IdMap {
    /// The host's id of `id`, if one of `maps` has it.
    pub fn outside(maps: &[Self], id: u32) -> Option<u32> {
        maps.iter().find_map(|map| {
            let offset = id.checked_sub(map.inside).filter(|offset| *offset < map.count)?;
            map.outside.checked_add(offset)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_found_in_several_ranges() {
        let map = |inside, outside, count| IdMap { inside, outside, count };
        let maps = [map(0, 1_000, 1), map(1, 100_000, 10), map(50, u32::MAX - 1, 5)];
        let rows = [
            (0, Some(1_000)),
            (1, Some(100_000)),
            (10, Some(100_009)),
            (11, None),
            (49, None),
            (51, Some(u32::MAX)),
            (52, None),
        ];
        for (inside, outside) in rows {
            assert_eq!(IdMap::outside(&maps, inside), outside, "{inside}");
        }
    }
}
