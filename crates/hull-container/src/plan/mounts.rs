//! What is mounted in a guest, in which order.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hull_model::guest::GuestSpec;
use hull_model::mount as model;
use hull_model::name::Name;
use hull_model::namespace::{Ipc, Partner};
use hull_sys::mount::attribute::{NO_ATIME, NO_DEV, NO_EXEC, NO_SUID, READ_ONLY, STRICT_ATIME};

use super::{
    Attributes, CgroupView, Mount, Owners, PlanError, Propagation, Reach, Refusal, Source,
};
use crate::cgroup::Hierarchy;
use crate::host::{CgroupMount, HostFacts};

const KERNEL: u64 = NO_SUID | NO_DEV | NO_EXEC;

/// Terminals a guest can have at once: LXC's number (`lxc.pty.max`). The kernel has 4,096 for all
/// guests together (`kernel.pty.max`), which one of them could otherwise take.
const TERMINALS_MAX: &str = "1024";

/// Docker's hidden paths (moby `oci/defaults.go`).
const MASKED: [&str; 11] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
];
/// Hidden too; its own constant because the list of processors' files follows it.
const FIRMWARE: &str = "/sys/firmware";
/// Docker's protected paths (likewise).
const READ_ONLY_PATHS: [&str; 5] =
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// All mounts, those nearer to the root first.
pub(super) fn all(
    spec: &GuestSpec,
    files: &[(PathBuf, String)],
    volumes: &BTreeMap<Name, PathBuf>,
    (host, ipc): (&HostFacts, Option<Partner>),
) -> Result<Vec<Mount>, PlanError> {
    let mut mounts = defaults(spec, host);
    mounts.extend(shm(spec, ipc)?);
    for (path, target) in files {
        mounts.push(bind(target, path.clone(), 0, Propagation::Private, Reach::One));
    }
    let mut asked = Vec::new();
    for mount in &spec.mounts {
        asked.push(one(mount, volumes)?);
    }
    // What a user mounts replaces ours: `-v /my/hosts:/etc/hosts`, `--tmpfs /dev/shm`. The kernel's
    // own stay below it, because later steps count on them.
    let kept = |mount: &Mount| {
        matches!(mount.target.as_str(), "/proc" | "/dev" | "/dev/pts")
            || asked.iter().all(|other| other.target != mount.target)
    };
    mounts.retain(kept);
    mounts.append(&mut asked);
    // Stable: of two at one depth, the one asked for later covers the earlier.
    mounts.sort_by_key(|mount| Path::new(&mount.target).components().count());
    Ok(mounts)
}

fn defaults(spec: &GuestSpec, host: &HostFacts) -> Vec<Mount> {
    let privileged = spec.security.privileged;
    let kernel_read_only = if privileged { KERNEL } else { KERNEL | READ_ONLY };
    let mut mounts = vec![
        new("/proc", "proc", &[], KERNEL),
        Mount {
            target: "/dev".to_owned(),
            source: Source::Devices { options: Vec::new() },
            attributes: Attributes::set(NO_SUID | STRICT_ATIME),
            ..Mount::default()
        },
        new("/sys", "sysfs", &[], kernel_read_only),
        new(
            "/dev/pts",
            "devpts",
            &[
                ("newinstance", ""),
                ("ptmxmode", "0666"),
                ("mode", "0620"),
                ("gid", "5"),
                ("max", TERMINALS_MAX),
            ],
            NO_SUID | NO_EXEC,
        ),
        new("/dev/mqueue", "mqueue", &[], KERNEL),
    ];
    let writable = spec.security.writable_cgroups;
    mounts.extend(cgroups(host, if writable { KERNEL } else { kernel_read_only }));
    mounts
}

/// POSIX shared memory goes where System V's is: names in it are as common as its keys.
fn shm(spec: &GuestSpec, partner: Option<Partner>) -> Result<Option<Mount>, PlanError> {
    Ok(match spec.namespaces.ipc {
        Ipc::None => None,
        Ipc::Host => {
            let path = PathBuf::from("/dev/shm");
            Some(bind("/dev/shm", path, KERNEL, Propagation::Private, Reach::Tree))
        }
        Ipc::Private | Ipc::Shareable => {
            let size = spec.shm_size.map_or(64 << 20, |size| size.get()).to_string();
            Some(new("/dev/shm", "tmpfs", &[("mode", "1777"), ("size", &size)], KERNEL))
        }
        Ipc::Guest(_) => {
            let Partner { pid, .. } = partner.ok_or(PlanError::NoPartner("ipc"))?;
            Some(Mount {
                target: "/dev/shm".to_owned(),
                source: Source::Foreign {
                    namespace: format!("/proc/{pid}/ns/mnt").into(),
                    path: "/dev/shm".to_owned(),
                },
                attributes: Attributes::set(KERNEL),
                propagation: vec![(Propagation::Private, Reach::One)],
                // It belongs to the user namespace that both are in.
                owners: Owners::Disk,
                ..Mount::default()
            })
        }
    })
}

/// The guest's view of its cgroups. On hybrid hosts that is v1's, as with Docker.
fn cgroups(host: &HostFacts, attributes: u64) -> Option<Mount> {
    let mut hierarchies = Vec::new();
    let mut links = Vec::new();
    for one in &host.cgroups {
        let (Hierarchy::V1(names), Some(name)) = (&one.hierarchy, one.mount.file_name()) else {
            continue;
        };
        let name = name.to_string_lossy().into_owned();
        let options = names.iter().flat_map(|name| match name.strip_prefix("name=") {
            Some(name) => {
                vec![("none".to_owned(), String::new()), ("name".to_owned(), name.into())]
            }
            None => vec![(name.clone(), String::new())],
        });
        links.extend(one.links.iter().map(|link| (link.clone(), name.clone())));
        hierarchies.push((name, CgroupView::Hierarchy(options.collect())));
    }
    if !hierarchies.is_empty() {
        return Some(Mount {
            target: "/sys/fs/cgroup".to_owned(),
            source: Source::CgroupV1 { hierarchies, links },
            attributes: Attributes::set(attributes),
            ..Mount::default()
        });
    }
    let unified = host.cgroups.iter().any(|one| one.hierarchy == Hierarchy::V2);
    unified.then(|| new("/sys/fs/cgroup", "cgroup2", &[], attributes))
}

/// `mounts` for a guest in the host's cgroup namespace and a user namespace of its own, which cannot
/// mount what belongs to the host: it is shown its own directories instead, as by runc.
pub(super) fn without_cgroup_namespace(
    mut mounts: Vec<Mount>,
    path: &Path,
    host: &HostFacts,
) -> Vec<Mount> {
    let place = |name: &str| {
        let is_it = |one: &&CgroupMount| one.mount.file_name().is_some_and(|file| file == name);
        host.cgroups.iter().find(is_it).map(|one| one.mount.join(path))
    };
    for mount in mounts.iter_mut().filter(|mount| mount.target == "/sys/fs/cgroup") {
        if let Source::CgroupV1 { hierarchies, .. } = &mut mount.source {
            for (name, view) in hierarchies {
                if let Some(directory) = place(name) {
                    *view = CgroupView::Directory(directory);
                }
            }
        }
        let is_v2 =
            matches!(&mount.source, Source::New { filesystem, .. } if filesystem == "cgroup2");
        let v2 = host.cgroups.iter().find(|one| one.hierarchy == Hierarchy::V2);
        if let Some(one) = v2.filter(|_| is_v2) {
            mount.source = Source::Bind { path: one.mount.join(path), recursive: false };
        }
    }
    mounts
}

fn one(mount: &model::Mount, volumes: &BTreeMap<Name, PathBuf>) -> Result<Mount, PlanError> {
    let target = mount.target.as_str();
    let attributes = if mount.read_only { READ_ONLY } else { 0 };
    Ok(match &mount.source {
        model::Source::Bind { path, propagation, non_recursive, .. } => {
            let propagation = match propagation {
                model::Propagation::Private | model::Propagation::Rprivate => Propagation::Private,
                model::Propagation::Slave | model::Propagation::Rslave => Propagation::Slave,
                model::Propagation::Shared | model::Propagation::Rshared => Propagation::Shared,
            };
            let reach = if *non_recursive { Reach::One } else { Reach::Tree };
            bind(target, PathBuf::from(path), attributes, propagation, reach)
        }
        model::Source::Volume { name, .. } => {
            let path = name.as_ref().and_then(|name| volumes.get(name)).ok_or_else(|| {
                PlanError::NoVolume { target: target.to_owned(), name: name.clone() }
            })?;
            bind(target, path.clone(), attributes, Propagation::Private, Reach::Tree)
        }
        model::Source::Tmpfs { size, mode, options } => {
            let mut made = tmpfs(target, options)?;
            made.attributes.set |= attributes;
            if let Source::New { options, .. } = &mut made.source {
                options.extend(size.map(|size| ("size".to_owned(), size.get().to_string())));
                let has_mode = options.iter().any(|(key, _)| key == "mode");
                if !has_mode || mode.is_some() {
                    options.push(("mode".to_owned(), format!("{:o}", mode.unwrap_or(0o1777))));
                }
            }
            made
        }
    })
}

/// Docker's flags for a tmpfs are `noexec,nosuid,nodev`; words of `mount(8)` change them.
fn tmpfs(target: &str, words: &[String]) -> Result<Mount, PlanError> {
    const FLAGS: [(&str, u64, bool); 11] = [
        ("noexec", NO_EXEC, true),
        ("exec", NO_EXEC, false),
        ("nosuid", NO_SUID, true),
        ("suid", NO_SUID, false),
        ("nodev", NO_DEV, true),
        ("dev", NO_DEV, false),
        ("ro", READ_ONLY, true),
        ("rw", READ_ONLY, false),
        ("noatime", NO_ATIME, true),
        ("atime", NO_ATIME, false),
        ("relatime", NO_ATIME, false),
    ];
    let mut mount = new(target, "tmpfs", &[], KERNEL);
    let Source::New { options, .. } = &mut mount.source else { return Ok(mount) };
    for word in words.iter().filter(|word| !word.is_empty()) {
        if let Some((_, bit, set)) = FLAGS.iter().find(|(name, ..)| name == word) {
            mount.attributes.set = mount.attributes.set & !bit | if *set { *bit } else { 0 };
            continue;
        }
        // Only options of the file system itself: others could name a path of the host.
        let known = ["size", "nr_blocks", "nr_inodes", "mode", "uid", "gid", "huge", "mpol"];
        match word.split_once('=') {
            Some((key, value)) if known.contains(&key) => {
                options.push((key.to_owned(), value.to_owned()));
            }
            _ => {
                let (target, option) = (target.to_owned(), word.clone());
                return Err(PlanError::TmpfsOption { target, option });
            }
        }
    }
    Ok(mount)
}

pub(super) fn masked(spec: &GuestSpec, host: &HostFacts) -> Vec<String> {
    match (&spec.security.masked_paths, spec.security.privileged) {
        (Some(paths), _) => paths.clone(),
        (None, true) => Vec::new(),
        (None, false) => {
            let fixed = MASKED.into_iter().chain([FIRMWARE]).map(str::to_owned);
            fixed.chain(host.thermal_throttle.iter().cloned()).collect()
        }
    }
}

pub(super) fn read_only(spec: &GuestSpec) -> Vec<String> {
    match (&spec.security.read_only_paths, spec.security.privileged) {
        (Some(paths), _) => paths.clone(),
        (None, true) => Vec::new(),
        (None, false) => READ_ONLY_PATHS.map(str::to_owned).into(),
    }
}

fn new(target: &str, filesystem: &str, options: &[(&str, &str)], attributes: u64) -> Mount {
    let own = |&(key, value): &(&str, &str)| (key.to_owned(), value.to_owned());
    Mount {
        target: target.to_owned(),
        source: Source::New {
            filesystem: filesystem.to_owned(),
            options: options.iter().map(own).collect(),
        },
        attributes: Attributes::set(attributes),
        ..Mount::default()
    }
}

fn bind(
    target: &str,
    path: PathBuf,
    attributes: u64,
    propagation: Propagation,
    reach: Reach,
) -> Mount {
    let (set, target) = (Attributes::set(attributes), target.to_owned());
    // Read-only is so all the way down, as in Docker since 25.
    let (attributes, recursive) = match reach {
        Reach::One => (set, Attributes::default()),
        Reach::Tree => (Attributes::default(), set),
    };
    Mount {
        target,
        source: Source::Bind { path, recursive: reach == Reach::Tree },
        attributes,
        recursive,
        propagation: vec![(propagation, reach)],
        owners: Owners::Guest { reach, refusal: Refusal::Warn },
        ..Mount::default()
    }
}

#[cfg(test)]
mod tests {
    use hull_model::bytes::Bytes;
    use hull_model::mount::{Origin, Target};

    use super::*;

    fn spec(mounts: &[(&str, model::Source)]) -> GuestSpec {
        let mount = |(target, source): &(&str, model::Source)| model::Mount {
            target: Target::new(target).unwrap(),
            source: source.clone(),
            read_only: false,
            origin: Origin::Binds,
        };
        GuestSpec { mounts: mounts.iter().map(mount).collect(), ..GuestSpec::default() }
    }

    fn bound(path: &str) -> model::Source {
        model::Source::Bind {
            path: path.into(),
            create: false,
            propagation: model::Propagation::Rprivate,
            non_recursive: false,
        }
    }

    fn targets(spec: &GuestSpec, files: &[(PathBuf, String)]) -> Vec<String> {
        let mounts = all(spec, files, &BTreeMap::new(), (&HostFacts::default(), None)).unwrap();
        let show = |mount: &Mount| match &mount.source {
            Source::Bind { path, .. } => format!("{}<{}", mount.target, path.display()),
            Source::New { .. }
            | Source::Foreign { .. }
            | Source::Devices { .. }
            | Source::CgroupV1 { .. }
            | Source::Mounted { .. } => mount.target.clone(),
        };
        mounts.iter().map(show).collect()
    }

    #[test]
    fn parents_come_first_and_users_mounts_replace_ours() {
        let files = [(PathBuf::from("/run/h"), "/etc/hosts".to_owned())];
        let spec = spec(&[
            ("/a/b", bound("/2")),
            ("/a", bound("/1")),
            ("/etc/hosts", bound("/mine")),
            ("/dev/shm", bound("/shm")),
        ]);
        assert_eq!(
            targets(&spec, &files),
            [
                "/proc",
                "/dev",
                "/sys",
                "/a</1",
                "/dev/pts",
                "/dev/mqueue",
                "/a/b</2",
                "/etc/hosts</mine",
                "/dev/shm</shm"
            ]
        );
    }

    fn tmpfs_of(options: &[&str]) -> Result<String, PlanError> {
        let options = options.iter().map(|&text| text.to_owned()).collect();
        let size = Some(Bytes::mib(1));
        let spec = spec(&[("/t", model::Source::Tmpfs { size, mode: None, options })]);
        let mounts = all(&spec, &[], &BTreeMap::new(), (&HostFacts::default(), None))?;
        let mount = mounts.iter().find(|mount| mount.target == "/t").unwrap();
        let Source::New { options, .. } = &mount.source else { panic!("no tmpfs") };
        let options: Vec<_> = options.iter().map(|(key, value)| format!("{key}={value}")).collect();
        Ok(format!("{:#x} {}", mount.attributes.set, options.join(",")))
    }

    #[test]
    fn tmpfs_options_are_docker_words() {
        assert_eq!(tmpfs_of(&[]).unwrap(), "0xe size=1048576,mode=1777");
        assert_eq!(tmpfs_of(&["exec", "ro"]).unwrap(), "0x7 size=1048576,mode=1777");
        assert_eq!(tmpfs_of(&["uid=5", "mode=700"]).unwrap(), "0xe uid=5,mode=700,size=1048576");
        let error = tmpfs_of(&["source=/etc"]).unwrap_err().to_string();
        assert_eq!(error, "invalid tmpfs option \"source=/etc\" for /t");
    }

    #[test]
    fn a_volume_must_be_known() {
        let source = model::Source::Volume { name: None, copy: true };
        let spec = spec(&[("/v", source)]);
        let error = all(&spec, &[], &BTreeMap::new(), (&HostFacts::default(), None)).unwrap_err();
        assert!(error.to_string().contains("/v"), "{error}");
    }
}
