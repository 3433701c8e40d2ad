//! What a daemon may leave in the kernel: processes, mounts, cgroups, links, firewall tables.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::command::Tool;
use crate::need::find;
use crate::wait::within;

/// Where to look for one daemon's traces.
#[derive(Debug)]
pub struct Traces {
    dir: PathBuf,
    data_root: PathBuf,
    cgroup_parent: String,
    /// How its links and tables are called, if it has a bridge.
    instance: Option<String>,
}

impl Traces {
    pub(crate) fn new(dir: &Path, data_root: &Path, cgroup_parent: &str, bridge: &str) -> Self {
        Self {
            dir: dir.to_owned(),
            data_root: data_root.to_owned(),
            cgroup_parent: cgroup_parent.to_owned(),
            instance: instance(bridge),
        }
    }

    /// What is there of it. Links and tables of the default network are no leak where the daemon
    /// was told to leave its guests running.
    pub(crate) fn left(&self, leaves_network: bool) -> Vec<String> {
        // The kernel takes a moment to end processes that were killed.
        within(std::time::Duration::from_secs(3), || {
            self.all(leaves_network).is_empty().then_some(())
        });
        self.all(leaves_network)
    }

    fn all(&self, leaves_network: bool) -> Vec<String> {
        let mut left: Vec<String> =
            self.processes().iter().map(|(pid, exe)| format!("process {pid}: {exe}")).collect();
        left.extend(self.mounts().iter().map(|path| format!("mount {path}")));
        if !leaves_network {
            left.extend(self.cgroups().iter().map(|path| format!("cgroup {}", path.display())));
            left.extend(self.links().iter().map(|name| format!("link {name}")));
            left.extend(self.tables().iter().map(|name| format!("nft table {name}")));
        }
        left
    }

    /// Processes of its programs, or with files of its data open as their root: shims and guests.
    pub fn processes(&self) -> Vec<(i32, String)> {
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            let exe = fs::read_link(entry.path().join("exe")).unwrap_or_default();
            let groups = fs::read_to_string(entry.path().join("cgroup")).unwrap_or_default();
            let ours = exe.starts_with(&self.dir)
                || groups.lines().any(|line| line.contains(&format!("/{}/", self.cgroup_parent)));
            if ours {
                found.push((pid, exe.display().to_string()));
            }
        }
        found
    }

    /// Mounts below its directories, in the host's mount namespace.
    pub fn mounts(&self) -> Vec<String> {
        let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let points = table.lines().filter_map(|line| line.split(' ').nth(4));
        let below = |point: &&str| {
            let point = Path::new(point);
            let is_disk = point == self.data_root || point == self.dir.join("disk");
            (point.starts_with(&self.dir) || point.starts_with(&self.data_root)) && !is_disk
        };
        points.filter(below).map(str::to_owned).collect()
    }

    /// Its cgroups, deepest first, in every hierarchy.
    pub fn cgroups(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let table = fs::read_to_string("/proc/self/mountinfo").unwrap();
        for line in table.lines().filter(|line| line.contains(" - cgroup")) {
            let root = Path::new(line.split(' ').nth(4).unwrap());
            directories(&root.join(&self.cgroup_parent), &mut found);
        }
        found
    }

    /// Its network links.
    pub fn links(&self) -> Vec<String> {
        let Some(instance) = &self.instance else { return Vec::new() };
        let mark = format!("hull:{instance}:");
        let mut links = Vec::new();
        for link in ip("-j -d link").as_array().into_iter().flatten() {
            if link["ifalias"].as_str().is_some_and(|alias| alias.starts_with(&mark)) {
                links.extend(link["ifname"].as_str().map(str::to_owned));
            }
        }
        links
    }

    /// Its nftables tables, as `family name`.
    pub fn tables(&self) -> Vec<String> {
        let Some(instance) = &self.instance else { return Vec::new() };
        let nft = find("nft").expect("nft is installed");
        let tables = Tool::new(nft, "list tables").ok();
        let ours = tables.lines().filter_map(|line| line.strip_prefix("table "));
        ours.filter(|table| table.split(' ').any(|word| word == instance))
            .map(str::to_owned)
            .collect()
    }

    /// Removes by force what is there.
    pub(crate) fn remove(&self) {
        for (pid, _) in self.processes() {
            if let Some(pid) = Pid::from_raw(pid) {
                // It may have ended in the meantime.
                kill_process(pid, Signal::KILL).unwrap_or_default();
            }
        }
        within(std::time::Duration::from_secs(3), || self.processes().is_empty().then_some(()));
        for cgroup in self.cgroups() {
            fs::remove_dir(cgroup).unwrap_or_default();
        }
        for link in self.links() {
            Tool::new(find("ip").unwrap(), &format!("link delete {link}")).run();
        }
        for table in self.tables() {
            Tool::new(find("nft").unwrap(), &format!("delete table {table}")).run();
        }
        for mount in self.mounts() {
            Tool::new("umount", "--lazy").arg(mount).run();
        }
    }
}

/// The name a daemon's links are marked with, read from the bridge with its address.
fn instance(bridge: &str) -> Option<String> {
    let address = bridge.split('/').next().unwrap_or_default();
    let links = ip("-j -d addr");
    let link = links.as_array()?.iter().find(|link| {
        let addresses = link["addr_info"].as_array();
        addresses.into_iter().flatten().any(|info| info["local"] == address)
    })?;
    Some(link["ifalias"].as_str()?.split(':').nth(1)?.to_owned())
}

fn ip(words: &str) -> Value {
    let ip = find("ip").expect("ip is installed");
    serde_json::from_str(&Tool::new(ip, words).ok()).unwrap_or_default()
}

fn directories(dir: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten().filter(|entry| entry.path().is_dir()) {
        directories(&entry.path(), found);
    }
    found.push(dir.to_owned());
}
