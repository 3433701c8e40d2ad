//! What the host offers, read once and passed in.

mod limits;

use std::path::{Path, PathBuf};
use std::{fs, io};

use hull_model::block::{Block, Disk};
use hull_model::limits::Supported;
use hull_model::security;
use rustix::fs::{FileType, Mode, OFlags};

use crate::cgroup::Hierarchy;
use crate::plan::{Device, NodeKind};

/// Facts about the host that plans depend on.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct HostFacts {
    /// All cgroup mounts, one for each hierarchy.
    pub cgroups: Vec<CgroupMount>,
    /// The kernel's version, major and minor.
    pub kernel: (u32, u32),
    /// The highest capability the kernel knows.
    pub last_capability: u32,
    /// Whether the kernel has system call filters.
    pub seccomp: bool,
    /// Whether user namespaces may be made.
    pub user_namespaces: bool,
    /// Which limits can be kept.
    pub limits: Supported,
    /// Why guests' layers cannot have their owners mapped, if they cannot ([`crate::owners`]): then
    /// guests run in the host's user namespace.
    pub unmappable: Option<String>,
    /// `/sys/devices/system/cpu/cpu*/thermal_throttle`, which Docker hides since they tell what
    /// neighbours do.
    pub thermal_throttle: Vec<String>,
}

/// One mounted cgroup hierarchy.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CgroupMount {
    /// Where it is mounted.
    pub mount: PathBuf,
    /// Which generation; for v1 its controllers or its name.
    pub hierarchy: Hierarchy,
    /// What is available in a v2 hierarchy.
    pub controllers: Vec<String>,
    /// Symbolic links beside a v1 mount (`cpu` for `cpu,cpuacct`).
    pub links: Vec<String>,
}

/// A device node of the host, to be given to a guest.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct GrantedDevice {
    /// The node as it will be inside.
    pub node: Device,
    /// Any of `r`, `w`, `m`.
    pub access: String,
}

/// The most device nodes one directory given with `--device` may hold.
const NODES_MAX: usize = 4_096;

impl HostFacts {
    /// Reads them from `/proc` and `/sys`.
    pub fn read() -> io::Result<Self> {
        let cgroups = cgroup_mounts(&fs::read_to_string("/proc/self/mountinfo")?);
        let release = rustix::system::uname().release().to_string_lossy().into_owned();
        let number =
            |path: &str| -> Option<u32> { fs::read_to_string(path).ok()?.trim().parse().ok() };
        let limits = limits::supported(&cgroups);
        Ok(Self {
            cgroups,
            kernel: kernel_version(&release),
            last_capability: number("/proc/sys/kernel/cap_last_cap").unwrap_or(40),
            seccomp: Path::new("/proc/sys/kernel/seccomp").exists(),
            user_namespaces: number("/proc/sys/user/max_user_namespaces")
                .is_some_and(|max| max > 0),
            limits,
            unmappable: None,
            thermal_throttle: thermal_throttle(),
        })
    }

    /// Whether `controller` can limit anything here.
    pub fn has_controller(&self, controller: &str) -> bool {
        self.cgroups.iter().any(|one| {
            let names = match &one.hierarchy {
                Hierarchy::V1(names) => names,
                Hierarchy::V2 => &one.controllers,
            };
            names.iter().any(|name| name == controller)
        })
    }

    /// `1` or `2`, as Docker's `CgroupVersion`: where the controllers are.
    pub fn cgroup_version(&self) -> &'static str {
        let v1 = |one: &CgroupMount| matches!(&one.hierarchy, Hierarchy::V1(_));
        if self.cgroups.iter().any(v1) { "1" } else { "2" }
    }
}

/// Gives every block device that `block` names by its node the number that it has now.
pub fn disks(block: &mut Block) -> io::Result<()> {
    for disk in block.disks_mut() {
        let Disk::Path(path) = &*disk else { continue };
        let stat = rustix::fs::stat(path.as_path()).map_err(|error| {
            let text = format!("no such block device {}: {error}", path.display());
            io::Error::new(io::Error::from(error).kind(), text)
        })?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::BlockDevice {
            return Err(io::Error::other(format!("{} is not a block device", path.display())));
        }
        let (major, minor) = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
        *disk = Disk::Number { major, minor };
    }
    Ok(())
}

/// The nodes that `devices` of a spec mean; a directory stands for all nodes below it.
pub fn devices(devices: &[security::Device]) -> io::Result<Vec<GrantedDevice>> {
    let mut found = Vec::new();
    for security::Device { host, guest, access } in devices {
        add(Path::new(host), guest, access, &mut found).map_err(|error| {
            io::Error::new(error.kind(), format!("error gathering device information while adding custom device {host:?}: {error}"))
        })?;
    }
    Ok(found)
}

/// All device nodes of the host, for privileged guests; terminals and mounts of their own excepted.
pub fn all_devices() -> io::Result<Vec<GrantedDevice>> {
    let skipped = ["pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev", "console"];
    let mut found = Vec::new();
    for entry in fs::read_dir("/dev")? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !skipped.contains(&name.as_str()) && !entry.file_type()?.is_symlink() {
            // What is neither node nor directory, or goes away meanwhile, is not given.
            add(&entry.path(), &format!("/dev/{name}"), "rwm", &mut found).unwrap_or_default();
        }
    }
    Ok(found)
}

fn add(host: &Path, guest: &str, access: &str, found: &mut Vec<GrantedDevice>) -> io::Result<()> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let stat = rustix::fs::fstat(rustix::fs::open(host, flags, Mode::empty())?)?;
    let kind = FileType::from_raw_mode(stat.st_mode);
    if found.len() >= NODES_MAX {
        return Err(io::Error::other(format!("more than {NODES_MAX} device nodes")));
    }
    if kind == FileType::Directory {
        for entry in fs::read_dir(host)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_symlink() || kind.is_file() {
                continue;
            }
            let name = entry.file_name();
            let guest = format!("{}/{}", guest.trim_end_matches('/'), name.to_string_lossy());
            add(&entry.path(), &guest, access, found).unwrap_or_default();
        }
        return Ok(());
    }
    if !matches!(kind, FileType::BlockDevice | FileType::CharacterDevice) {
        return Err(io::Error::other("not a device node"));
    }
    let node = Device {
        path: guest.to_owned(),
        kind: if kind == FileType::BlockDevice { NodeKind::Block } else { NodeKind::Character },
        major: rustix::fs::major(stat.st_rdev),
        minor: rustix::fs::minor(stat.st_rdev),
        mode: stat.st_mode & 0o777,
        uid: stat.st_uid,
        gid: stat.st_gid,
    };
    found.push(GrantedDevice { node, access: access.to_owned() });
    Ok(())
}

/// The cgroup mounts of a `mountinfo`, the first of each hierarchy.
fn cgroup_mounts(mountinfo: &str) -> Vec<CgroupMount> {
    let mut found: Vec<CgroupMount> = Vec::new();
    for line in mountinfo.lines() {
        let Some((left, right)) = line.split_once(" - ") else { continue };
        let (Some(mount), mut right) = (left.split(' ').nth(4), right.split(' ')) else { continue };
        let (Some(kind), Some(options)) = (right.next(), right.nth(1)) else { continue };
        let mount = PathBuf::from(mount);
        let hierarchy = match kind {
            "cgroup2" => Hierarchy::V2,
            "cgroup" => Hierarchy::V1(v1_names(options)),
            _ => continue,
        };
        if found.iter().any(|one| one.hierarchy == hierarchy) {
            continue;
        }
        let controllers = fs::read_to_string(mount.join("cgroup.controllers")).unwrap_or_default();
        found.push(CgroupMount {
            controllers: controllers.split_whitespace().map(str::to_owned).collect(),
            links: links_to(&mount),
            mount,
            hierarchy,
        });
    }
    found
}

/// Controllers and `name=` among a v1 mount's options.
fn v1_names(options: &str) -> Vec<String> {
    let flags = ["rw", "ro", "xattr", "noprefix", "clone_children", "none", "favordynmods"];
    options
        .split(',')
        .filter(|option| !flags.contains(option) && !option.starts_with("release_agent="))
        .map(str::to_owned)
        .collect()
}

/// Links in the same directory that lead to `mount`.
fn links_to(mount: &Path) -> Vec<String> {
    let name = mount.file_name();
    let entries = mount.parent().and_then(|parent| fs::read_dir(parent).ok());
    let mut links: Vec<String> = entries
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| fs::read_link(entry.path()).is_ok_and(|to| to.file_name() == name))
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    links.sort();
    links
}

fn thermal_throttle() -> Vec<String> {
    let entries = fs::read_dir("/sys/devices/system/cpu").into_iter().flatten().flatten();
    let mut paths: Vec<String> = entries
        .map(|entry| entry.path().join("thermal_throttle"))
        .filter(|path| path.exists())
        .map(|path| path.to_string_lossy().into_owned())
        .collect();
    paths.sort();
    paths
}

fn kernel_version(release: &str) -> (u32, u32) {
    let mut numbers =
        release.split(|c: char| !c.is_ascii_digit()).map(|digits| digits.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_of_every_layout_are_recognized() {
        let text = "\
            30 29 0:26 / /no/such/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n\
            31 29 0:27 / /no/such/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
            32 29 0:28 / /no/such/systemd rw - cgroup cgroup rw,xattr,name=systemd\n\
            33 29 0:29 / /no/such/unified rw - cgroup2 cgroup2 rw,nsdelegate\n\
            34 29 0:26 / /elsewhere/memory rw - cgroup cgroup rw,memory\n\
            35 29 0:30 / /tmp rw - tmpfs tmpfs rw\nnonsense\n";
        let found: Vec<String> = cgroup_mounts(text)
            .iter()
            .map(|one| format!("{} {:?}", one.mount.display(), one.hierarchy))
            .collect();
        assert_eq!(
            found,
            [
                "/no/such/memory V1([\"memory\"])",
                "/no/such/cpu,cpuacct V1([\"cpu\", \"cpuacct\"])",
                "/no/such/systemd V1([\"name=systemd\"])",
                "/no/such/unified V2",
            ]
        );
    }

    #[test]
    fn kernel_versions_are_read_past_their_suffixes() {
        assert_eq!(kernel_version("6.18.44-fc-v657"), (6, 18));
        assert_eq!(kernel_version("5.15"), (5, 15));
        assert_eq!(kernel_version(""), (0, 0));
    }

    #[test]
    fn devices_are_read_from_the_host() {
        let ask = |host: &str| {
            let (host, guest) = (host.to_owned(), "/dev/x".to_owned());
            devices(&[security::Device { host, guest, access: "rw".to_owned() }])
        };
        let node = &ask("/dev/null").unwrap()[0].node;
        assert_eq!((node.kind, node.major, node.minor), (NodeKind::Character, 1, 3));
        assert!(ask("/etc/passwd").unwrap_err().to_string().contains("not a device node"));
        assert!(ask("/dev/no-such").unwrap_err().to_string().contains("/dev/no-such"));
    }
}
