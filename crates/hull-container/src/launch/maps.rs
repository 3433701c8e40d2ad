//! Which ids of the host the guest's ids are.

use std::fs;

use rustix::process::Pid;

use crate::failure::{Doing, Failure};
use crate::plan::{IdMap, User};

/// Both maps of a process's user namespace, as the launcher sees them.
#[derive(Debug)]
pub(crate) struct Maps {
    uids: Vec<IdMap>,
    gids: Vec<IdMap>,
}

impl Maps {
    /// Those of the new process `pid`, whose user namespace comes from `user`.
    pub(crate) fn of(pid: Pid, user: &User) -> Result<Self, Failure> {
        let read = |file: &str| {
            let path = format!("/proc/{}/{file}", pid.as_raw_nonzero());
            fs::read_to_string(&path).map(|text| parse(&text)).doing(format!("read {path}"))
        };
        match user {
            User::Host => {
                let all = vec![IdMap { inside: 0, outside: 0, count: u32::MAX }];
                Ok(Self { uids: all.clone(), gids: all })
            }
            User::New { uids, gids } => Ok(Self { uids: uids.clone(), gids: gids.clone() }),
            User::Join(_) => Ok(Self { uids: read("uid_map")?, gids: read("gid_map")? }),
        }
    }

    /// The host's user and group of root inside.
    pub(crate) fn root(&self) -> (u32, u32) {
        self.outside(0, 0).unwrap_or_default()
    }

    /// The host's user and group of these inside, if both are mapped.
    pub(crate) fn outside(&self, uid: u32, gid: u32) -> Option<(u32, u32)> {
        Some((IdMap::outside(&self.uids, uid)?, IdMap::outside(&self.gids, gid)?))
    }
}

/// The lines of `/proc/PID/uid_map`.
fn parse(text: &str) -> Vec<IdMap> {
    let line = |line: &str| {
        let mut numbers = line.split_whitespace().map(|word| word.parse().ok());
        let mut next = || numbers.next().flatten();
        Some(IdMap { inside: next()?, outside: next()?, count: next()? })
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_table_is_read() {
        let maps = parse("         0     100000      65536\n     70000          5          1\nx\n");
        let show: Vec<_> = maps.iter().map(|m| (m.inside, m.outside, m.count)).collect();
        assert_eq!(show, [(0, 100_000, 65_536), (70_000, 5, 1)]);
    }
}
