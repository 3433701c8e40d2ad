//! All devices of all files, as they are now: files may come and go while the engine runs.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::spec::{Edits, Spec};

/// Longest file that is read; a file for eight GPUs has some ten KiB.
const SIZE_MAX: u64 = 4 << 20;
/// Files read in one directory.
const FILES_MAX: usize = 1_024;

/// Devices by their full name, `vendor/class=name`.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    devices: BTreeMap<String, Found>,
    /// Files that cannot be used, and why.
    errors: Vec<String>,
}

#[derive(Debug)]
enum Found {
    /// Which one of which file, and the directory's rank.
    Device { spec: Arc<Spec>, index: usize, rank: usize },
    /// Two files of one directory define it, so nobody can know which is meant.
    Conflict { rank: usize },
}

impl Registry {
    /// Reads the directories; of two that define a device, the later goes first.
    pub(crate) fn read(directories: &[PathBuf]) -> Self {
        let mut registry = Self::default();
        for (rank, directory) in directories.iter().enumerate() {
            for path in files(directory) {
                match load(&path) {
                    Ok(spec) => registry.add(&Arc::new(spec), rank),
                    Err(why) => registry.errors.push(format!("{}: {why}", path.display())),
                }
            }
        }
        registry
    }

    fn add(&mut self, spec: &Arc<Spec>, rank: usize) {
        for (index, device) in spec.devices.iter().enumerate() {
            let name = format!("{}={}", spec.kind, device.name);
            let found = Found::Device { spec: Arc::clone(spec), index, rank };
            match self.devices.entry(name) {
                Entry::Vacant(place) => {
                    place.insert(found);
                }
                Entry::Occupied(mut place) => match place.get() {
                    Found::Device { rank: other, .. } | Found::Conflict { rank: other }
                        if *other == rank =>
                    {
                        place.insert(Found::Conflict { rank });
                    }
                    Found::Device { .. } | Found::Conflict { .. } => {
                        place.insert(found);
                    }
                },
            }
        }
    }

    /// The names of the devices that can be given.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let usable = |(_, found): &(&String, &Found)| matches!(found, Found::Device { .. });
        self.devices.iter().filter(usable).map(|(name, _)| name.as_str())
    }

    /// Why some files are not used.
    pub(crate) fn errors(&self) -> &[String] {
        &self.errors
    }

    /// What the devices `names` need, in order: once for each file what all of its devices need, then
    /// each one's own.
    pub(crate) fn edits(&self, names: &[String]) -> Result<Vec<Edits>, String> {
        let (mut edits, mut unknown) = (Vec::new(), Vec::new());
        let mut seen: Vec<&Arc<Spec>> = Vec::new();
        for name in names {
            let Some(Found::Device { spec, index, .. }) = self.devices.get(name) else {
                unknown.push(name.as_str());
                continue;
            };
            if !seen.iter().any(|other| Arc::ptr_eq(other, spec)) {
                seen.push(spec);
                edits.push(spec.container_edits.clone());
            }
            edits.push(spec.devices[*index].container_edits.clone());
        }
        if unknown.is_empty() {
            return Ok(edits);
        }
        let mut why =
            format!("CDI device injection failed: unresolvable CDI devices {}", unknown.join(", "));
        for error in &self.errors {
            why.push_str("; hint: not used is ");
            why.push_str(error);
        }
        Err(why)
    }
}

/// The files of a directory, by name; one that is not there has none.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let known = |path: &PathBuf| {
        let extension = path.extension().and_then(|text| text.to_str());
        matches!(extension, Some("json" | "yaml")) && path.is_file()
    };
    let mut files: Vec<_> =
        entries.map(|entry| entry.path()).filter(known).take(FILES_MAX).collect();
    files.sort();
    files
}

fn load(path: &Path) -> Result<Spec, String> {
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let length = file.take(SIZE_MAX + 1).read_to_string(&mut text);
    if length.map_err(|error| error.to_string())? as u64 > SIZE_MAX {
        return Err(format!("longer than {SIZE_MAX} bytes"));
    }
    Spec::parse(&text, path.extension().is_some_and(|extension| extension == "json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(directory: &Path, name: &str, devices: &[&str], variable: &str) {
        let devices: Vec<_> = devices
            .iter()
            .map(|name| format!(r#"{{"name":"{name}","containerEdits":{{"env":["D={name}"]}}}}"#))
            .collect();
        let text = format!(
            r#"{{"cdiVersion":"0.5.0","kind":"v.com/c","devices":[{}],
                "containerEdits":{{"env":["{variable}"]}}}}"#,
            devices.join(",")
        );
        std::fs::write(directory.join(name), text).unwrap();
    }

    fn show(registry: &Registry, names: &[&str]) -> String {
        let names: Vec<_> = names.iter().map(|name| format!("v.com/c={name}")).collect();
        match registry.edits(&names) {
            Ok(edits) => {
                let env: Vec<_> = edits.into_iter().flat_map(|edits| edits.env).flatten().collect();
                env.join(" ")
            }
            Err(why) => why,
        }
    }

    #[test]
    fn later_directories_go_first_and_conflicts_take_a_device_away() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        write(first.path(), "a.json", &["x", "y"], "F=1");
        write(first.path(), "b.json", &["y", "z"], "F=2");
        write(second.path(), "c.json", &["z"], "F=3");
        std::fs::write(second.path().join("broken.yaml"), "kind: [").unwrap();
        std::fs::write(second.path().join("other.txt"), "no").unwrap();
        let missing = PathBuf::from("/no/such/directory");
        let directories = [first.path().to_owned(), missing, second.path().to_owned()];
        let registry = Registry::read(&directories);
        assert_eq!(registry.names().collect::<Vec<_>>(), ["v.com/c=x", "v.com/c=z"]);
        assert_eq!(show(&registry, &["x", "z", "x"]), "F=1 D=x F=3 D=z D=x");
        let why = show(&registry, &["y", "nope"]);
        let begin = "CDI device injection failed: unresolvable CDI devices v.com/c=y, v.com/c=nope";
        assert!(why.starts_with(begin) && why.contains("broken.yaml"), "{why}");
        assert_eq!(registry.errors().len(), 1);
    }
}
