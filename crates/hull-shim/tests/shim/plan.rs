//! A small guest as a plan.

use std::path::{Path, PathBuf};

use hull_container::cgroup::{Cgroup, Directory, Hierarchy, Missing, Write};
use hull_container::plan::{
    Capabilities, Device, IdMap, LaunchPlan, Mount, Namespaces, NodeKind, Process, Root, Rootfs,
    Source, User,
};

/// Docker's default capabilities.
const CAPABILITIES: u64 = 0xa804_25fb;

const HIERARCHIES: [&str; 3] = ["memory", "pids", "freezer"];

pub(crate) fn launch(id: &str, root: &Path, args: &[&str]) -> LaunchPlan {
    let map = || vec![IdMap { inside: 0, outside: 0x7000_0000, count: 65_536 }];
    LaunchPlan {
        id: id.to_owned(),
        namespaces: namespaces(User::New { uids: map(), gids: map() }),
        cgroup: cgroup(id),
        root: Root {
            files: Rootfs::Overlay {
                lowers: vec![root.join("lower")],
                upper: root.join("upper"),
                work: root.join("work"),
            },
            ..Root::default()
        },
        mounts: vec![
            mount("/proc", "proc", &[]),
            Mount {
                target: "/dev".to_owned(),
                source: Source::Devices { options: Vec::new() },
                ..Mount::default()
            },
            mount("/dev/pts", "devpts", &[("newinstance", ""), ("ptmxmode", "0666")]),
            mount("/dev/shm", "tmpfs", &[("size", "8m")]),
        ],
        devices: [("null", 3), ("zero", 5), ("urandom", 9)]
            .map(|(name, minor)| Device {
                path: format!("/dev/{name}"),
                kind: NodeKind::Character,
                major: 1,
                minor,
                mode: 0o666,
                uid: 0,
                gid: 0,
            })
            .to_vec(),
        hostname: Some("test".to_owned()),
        oom_score_adj: Some(0),
        process: process(args),
        ..LaunchPlan::default()
    }
}

pub(crate) fn process(args: &[&str]) -> Process {
    Process {
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        env: vec!["PATH=/bin".to_owned()],
        cwd: "/".to_owned(),
        capabilities: Capabilities {
            bounding: CAPABILITIES,
            effective: CAPABILITIES,
            permitted: CAPABILITIES,
            inheritable: 0,
            ambient: 0,
        },
        umask: 0o22,
        ..Process::default()
    }
}

fn namespaces(user: User) -> Namespaces {
    Namespaces { user, ..Namespaces::default() }
}

fn mount(target: &str, filesystem: &str, options: &[(&str, &str)]) -> Mount {
    let options = options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Mount {
        target: target.to_owned(),
        source: Source::New { filesystem: filesystem.to_owned(), options: options.collect() },
        ..Mount::default()
    }
}

/// The hierarchies of this host that the tests look at.
fn cgroup(id: &str) -> Cgroup {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let directories = mounts.lines().filter_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        let mount = PathBuf::from(before.split(' ').nth(4)?);
        let words: Vec<&str> = after.split(' ').collect();
        let hierarchy = match words[0] {
            "cgroup2" => Hierarchy::V2,
            "cgroup" => {
                let name = words[2].split(',').find(|name| HIERARCHIES.contains(name))?;
                Hierarchy::V1(vec![name.to_owned()])
            }
            _ => return None,
        };
        let path = PathBuf::from("hull-shim-tests").join(id);
        let (inherit, parents, writes, devices) = Default::default();
        Some(Directory {
            mount,
            path,
            hierarchy,
            inherit,
            parents,
            writes,
            devices,
            keep_used: None,
        })
    });
    Cgroup { directories: directories.collect() }
}

/// Limits memory to `bytes`, without swap where that is accounted.
pub(crate) fn limit_memory(cgroup: &mut Cgroup, bytes: u64) {
    let memory = |d: &&mut Directory| d.has("memory");
    if let Some(directory) = cgroup.directories.iter_mut().find(memory) {
        for file in ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"] {
            directory.writes.push(Write {
                file: file.to_owned(),
                value: bytes.to_string(),
                missing: Missing::Ignore,
            });
        }
    } else if let Some(unified) =
        cgroup.directories.iter_mut().find(|directory| directory.hierarchy == Hierarchy::V2)
    {
        for (file, value) in [("memory.max", bytes), ("memory.swap.max", 0)] {
            unified.writes.push(Write {
                file: file.to_owned(),
                value: value.to_string(),
                missing: Missing::Ignore,
            });
        }
    }
}
