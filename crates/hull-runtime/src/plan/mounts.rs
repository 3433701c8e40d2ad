//! `mounts`: the words of `mount(8)` and of the specification, as attributes and sources.

use std::path::{Path, PathBuf};

use hull_container::cgroup::{Cgroup, Hierarchy};
use hull_container::host::HostFacts;
use hull_container::plan::{
    Attributes, CgroupView, Links, Mount, Namespace, Namespaces, Owners, Propagation, Reach, Source,
};
use hull_sys::mount::attribute::{
    ATIME, NO_ATIME, NO_DEV, NO_DIR_ATIME, NO_EXEC, NO_SUID, NO_SYMLINK_FOLLOW, READ_ONLY,
    STRICT_ATIME,
};

use super::namespaces::id_maps;
use crate::config;
use crate::failure::Failure;

/// A word, the bits it is about, and those of them that it sets.
type Word = (&'static str, u64, u64);

/// Words that change a mount; with an `r` before them they change all below it too.
pub(crate) const ATTRIBUTES: [Word; 20] = [
    ("ro", READ_ONLY, READ_ONLY),
    ("rw", READ_ONLY, 0),
    ("nosuid", NO_SUID, NO_SUID),
    ("suid", NO_SUID, 0),
    ("nodev", NO_DEV, NO_DEV),
    ("dev", NO_DEV, 0),
    ("noexec", NO_EXEC, NO_EXEC),
    ("exec", NO_EXEC, 0),
    ("noatime", ATIME, NO_ATIME),
    ("atime", ATIME, 0),
    ("relatime", ATIME, 0),
    ("norelatime", ATIME, 0),
    ("strictatime", ATIME, STRICT_ATIME),
    ("nostrictatime", ATIME, 0),
    ("nodiratime", NO_DIR_ATIME, NO_DIR_ATIME),
    ("diratime", NO_DIR_ATIME, 0),
    ("nosymfollow", NO_SYMLINK_FOLLOW, NO_SYMLINK_FOLLOW),
    ("symfollow", NO_SYMLINK_FOLLOW, 0),
    // What every mount is anyway.
    ("defaults", 0, 0),
    ("", 0, 0),
];

/// Words about mounts made later on either side.
pub(crate) const PROPAGATIONS: [(&str, Propagation); 4] = [
    ("private", Propagation::Private),
    ("slave", Propagation::Slave),
    ("shared", Propagation::Shared),
    ("unbindable", Propagation::Unbindable),
];

/// Words with a meaning of their own.
pub(crate) const OTHERS: [&str; 8] =
    ["bind", "rbind", "idmap", "ridmap", "remount", "tmpcopyup", "dest-nofollow", "src-nofollow"];

/// What the words of one mount say.
#[derive(Debug, Default)]
struct Words {
    bind: Option<bool>,
    remount: bool,
    attributes: Attributes,
    recursive: Attributes,
    propagation: Vec<(Propagation, Reach)>,
    map: Option<Reach>,
    copy_up: bool,
    links: Links,
    /// For the file system.
    options: Vec<(String, String)>,
}

/// What mounts depend on beside themselves.
pub(super) struct Around<'a> {
    pub(super) bundle: &'a Path,
    pub(super) host: &'a HostFacts,
    pub(super) cgroup: &'a Cgroup,
    pub(super) namespaces: &'a Namespaces,
}

/// The mount number `at`.
pub(super) fn mount(
    wanted: &config::Mount,
    at: usize,
    around: &Around<'_>,
) -> Result<Mount, Failure> {
    let field = |name: &str| format!("mounts[{at}].{name}");
    let target = target(&wanted.destination, &field("destination"))?;
    let mut words = Words::default();
    for option in wanted.options.iter().flatten() {
        words.take(option).map_err(|failure| failure.during(field("options")))?;
    }
    let kind = wanted.r#type.as_deref().unwrap_or_default();
    let bind = words.bind.or((kind == "bind").then_some(false));
    let owners = words.owners(wanted, &field("uidMappings"), bind.is_some())?;
    let given = wanted.source.as_deref().unwrap_or_default();
    let (bundle, options) = (around.bundle, std::mem::take(&mut words.options));
    let source = match (bind, kind) {
        _ if words.remount => Source::Mounted { options },
        (Some(_), _) if given.is_empty() => {
            return Err(Failure::new(format!("{}: missing, for a bind mount", field("source"))));
        }
        (Some(recursive), _) => {
            no_options(&options, &field("options"))?;
            Source::Bind { path: bundle.join(given), recursive }
        }
        (None, "") => return Err(Failure::new(format!("{}: missing", field("type")))),
        (None, "cgroup") => cgroups(around),
        (None, "cgroup2") => Source::New { filesystem: "cgroup2".to_owned(), options },
        (None, "tmpfs") if target == "/dev" => Source::Devices { options },
        (None, kind) => new(kind, given, options),
    };
    // The kernel's view of itself is not changed by a container that cannot change it anyway, so
    // nothing is taken away here: the words say all.
    Ok(Mount {
        target,
        source,
        attributes: words.attributes,
        recursive: words.recursive,
        propagation: words.propagation,
        owners,
        links: words.links,
        copy_up: words.copy_up,
    })
}

/// An absolute path; relative ones, which older versions of the specification knew, are made so.
fn target(destination: &str, field: &str) -> Result<String, Failure> {
    if destination.is_empty() || destination.contains('\0') {
        return Err(Failure::new(format!("{field}: {destination:?} is no path")));
    }
    Ok(if destination.starts_with('/') {
        destination.to_owned()
    } else {
        format!("/{destination}")
    })
}

fn new(filesystem: &str, source: &str, mut options: Vec<(String, String)>) -> Source {
    // Kernel file systems carry their own name as source, which means nothing.
    if !source.is_empty() && source != "none" {
        options.insert(0, ("source".to_owned(), source.to_owned()));
    }
    Source::New { filesystem: filesystem.to_owned(), options }
}

fn no_options(options: &[(String, String)], field: &str) -> Result<(), Failure> {
    match options.first() {
        None => Ok(()),
        Some((key, _)) => Err(Failure::new(format!(
            "{field}: {key:?} is not an option of a bind mount; hint: options of its file system \
             belong to the mount it shows"
        ))),
    }
}

/// The container's own cgroups: all v1 hierarchies where there are any, else the unified one.
fn cgroups(around: &Around<'_>) -> Source {
    let own_view = around.namespaces.cgroup != Namespace::Host;
    let mut hierarchies = Vec::new();
    let mut links = Vec::new();
    for one in &around.host.cgroups {
        let (Hierarchy::V1(names), Some(name)) = (&one.hierarchy, one.mount.file_name()) else {
            continue;
        };
        let name = name.to_string_lossy().into_owned();
        let directory = around.cgroup.directories.iter().find(|known| known.mount == one.mount);
        let view = match directory {
            Some(directory) if !own_view => CgroupView::Directory(directory.full()),
            _ => CgroupView::Hierarchy(names.iter().flat_map(|name| v1_options(name)).collect()),
        };
        links.extend(one.links.iter().map(|link| (link.clone(), name.clone())));
        hierarchies.push((name, view));
    }
    if !hierarchies.is_empty() {
        return Source::CgroupV1 { hierarchies, links };
    }
    match around.cgroup.unified() {
        Some(directory) if !own_view => Source::Bind { path: directory.full(), recursive: false },
        _ => Source::New { filesystem: "cgroup2".to_owned(), options: Vec::new() },
    }
}

fn v1_options(name: &str) -> Vec<(String, String)> {
    match name.strip_prefix("name=") {
        Some(name) => vec![("none".to_owned(), String::new()), ("name".to_owned(), name.into())],
        None => vec![(name.to_owned(), String::new())],
    }
}

impl Words {
    fn take(&mut self, word: &str) -> Result<(), Failure> {
        if let Some(found) = ATTRIBUTES.iter().find(|(name, ..)| *name == word) {
            change(&mut self.attributes, found);
            return Ok(());
        }
        if let Some(found) = propagation(word) {
            self.propagation.push(found);
            return Ok(());
        }
        match word {
            "bind" => self.bind = Some(self.bind.unwrap_or(false)),
            "rbind" => self.bind = Some(true),
            "remount" => self.remount = true,
            "idmap" => self.map = Some(Reach::One),
            "ridmap" => self.map = Some(Reach::Tree),
            "tmpcopyup" => self.copy_up = true,
            "dest-nofollow" => self.links = Links::LastCovered,
            "src-nofollow" => {
                return Err(Failure::new(
                    "\"src-nofollow\" is not supported: a link cannot be mounted",
                ));
            }
            _ => return self.further(word),
        }
        Ok(())
    }

    /// Words that change the whole tree, and what only the file system knows.
    fn further(&mut self, word: &str) -> Result<(), Failure> {
        let below = word.strip_prefix('r').filter(|name| !name.is_empty() && *name != "defaults");
        let found = ATTRIBUTES.iter().find(|(name, ..)| Some(*name) == below);
        if let Some(found) = found {
            change(&mut self.recursive, found);
            return Ok(());
        }
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        if key.is_empty() || word.contains('\0') {
            return Err(Failure::new(format!("{word:?} is no option")));
        }
        self.options.push((key.to_owned(), value.to_owned()));
        Ok(())
    }

    fn owners(&self, wanted: &config::Mount, field: &str, bind: bool) -> Result<Owners, Failure> {
        let uids = id_maps(wanted.uid_mappings.as_deref(), field)?;
        let gids = id_maps(wanted.gid_mappings.as_deref(), field)?;
        if !bind && (self.map.is_some() || !uids.is_empty()) {
            return Err(Failure::new(format!("{field}: only bind mounts can be id-mapped")));
        }
        match (uids.is_empty(), gids.is_empty()) {
            (true, true) => Ok(self.map.map_or(Owners::Disk, |reach| Owners::Guest {
                reach,
                refusal: hull_container::plan::Refusal::Fail,
            })),
            (false, false) => {
                Ok(Owners::Mapped { uids, gids, reach: self.map.unwrap_or(Reach::One) })
            }
            _ => Err(Failure::new(format!("{field}: users and groups must both be mapped"))),
        }
    }
}

/// Later words win, as with `mount(8)`.
fn change(attributes: &mut Attributes, (_, bits, set): &Word) {
    attributes.set = attributes.set & !bits | set;
    attributes.clear = attributes.clear & !bits | bits & !set;
}

/// The propagation that `word` names, with an `r` before it for the whole tree.
pub(super) fn propagation(word: &str) -> Option<(Propagation, Reach)> {
    let find = |name: &str| {
        PROPAGATIONS.iter().find(|(known, _)| *known == name).map(|(_, propagation)| *propagation)
    };
    find(word)
        .map(|found| (found, Reach::One))
        .or_else(|| Some((find(word.strip_prefix('r')?)?, Reach::Tree)))
}

/// Every word this runtime understands, for `features`.
pub(crate) fn words() -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for (name, ..) in ATTRIBUTES.iter().filter(|(name, ..)| !name.is_empty()) {
        all.push((*name).to_owned());
        if *name != "defaults" {
            all.push(format!("r{name}"));
        }
    }
    for (name, _) in PROPAGATIONS {
        all.extend([name.to_owned(), format!("r{name}")]);
    }
    all.extend(OTHERS.iter().filter(|name| **name != "src-nofollow").map(|&n| n.to_owned()));
    all.sort();
    all
}

/// A path of the bundle, or an absolute one.
pub(super) fn in_bundle(bundle: &Path, path: &str) -> PathBuf {
    bundle.join(path)
}
