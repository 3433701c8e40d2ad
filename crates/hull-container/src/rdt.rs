//! Intel's Resource Director Technology: shares of caches and memory bandwidth, by resctrl.

use std::fs;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use rustix::process::Pid;

use crate::failure::{Doing, Failure};
use crate::plan::Rdt;

/// Where the kernel's documentation (`arch/x86/resctrl.rst`) has it mounted.
const MOUNT: &str = "/sys/fs/resctrl";

/// Puts the process into its class of service and its monitoring group, making what is missing.
pub(crate) fn enter(rdt: &Rdt, id: &str, pid: Pid) -> Result<(), Failure> {
    enter_at(Path::new(MOUNT), rdt, id, pid)
}

/// Removes what was made for the guest `id`: its monitoring group, and the class called as itself.
pub fn remove(rdt: &Rdt, id: &str) -> Result<(), Failure> {
    remove_at(Path::new(MOUNT), rdt, id)
}

fn enter_at(mount: &Path, rdt: &Rdt, id: &str, pid: Pid) -> Result<(), Failure> {
    if !mount.join("schemata").exists() {
        let at = mount.display();
        return Err(Failure::other(format!(
            "not supported by this kernel: Intel RDT; hint: is resctrl mounted at {at}?"
        )));
    }
    let class = class(mount, rdt, id)?;
    match fs::create_dir(&class) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error).doing_at("make RDT class", &class),
    }
    for line in &rdt.schemata {
        if line.contains('\n') {
            return Err(Failure::other(format!("RDT schemata {line:?} are more than one line")));
        }
        let file = class.join("schemata");
        fs::write(&file, format!("{line}\n"))
            .doing(format!("write {line:?} to {}", file.display()))?;
    }
    let mut groups = vec![class.clone()];
    if rdt.monitoring {
        let group = class.join("mon_groups").join(plain(id)?);
        match fs::create_dir(&group) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).doing_at("make RDT monitoring group", &group),
        }
        groups.push(group);
    }
    for group in groups {
        let tasks = group.join("tasks");
        fs::write(&tasks, pid.as_raw_nonzero().to_string()).doing_at("enter RDT group", &tasks)?;
    }
    Ok(())
}

fn remove_at(mount: &Path, rdt: &Rdt, id: &str) -> Result<(), Failure> {
    let class = class(mount, rdt, id)?;
    let mut made = Vec::new();
    if rdt.monitoring {
        made.push(class.join("mon_groups").join(plain(id)?));
    }
    if rdt.class.is_empty() {
        made.push(class);
    }
    for path in made {
        match fs::remove_dir(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error).doing_at("remove RDT group", &path),
        }
    }
    Ok(())
}

/// The directory of the class: the guest's id names it if nothing else does. `/` is the root class.
fn class(mount: &Path, rdt: &Rdt, id: &str) -> Result<PathBuf, Failure> {
    match rdt.class.as_str() {
        "" => Ok(mount.join(plain(id)?)),
        "/" => Ok(mount.to_owned()),
        name => Ok(mount.join(plain(name)?)),
    }
}

/// A name that is one part of a path.
fn plain(name: &str) -> Result<&Path, Failure> {
    let path = Path::new(name);
    let mut parts = path.components();
    match (parts.next(), parts.next()) {
        // A trailing slash or a dot is no part, but would be more than the name.
        (Some(Component::Normal(part)), None) if part.as_encoded_bytes() == name.as_bytes() => {
            Ok(path)
        }
        _ => Err(Failure::other(format!("RDT group {name:?} is not a plain name"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(class: &str) -> Rdt {
        Rdt { class: class.to_owned(), schemata: vec!["L3:0=f".to_owned()], monitoring: true }
    }

    fn enter(mount: &Path, class: &str) -> Result<(), Failure> {
        enter_at(mount, &wanted(class), "me", Pid::from_raw(7).unwrap())
    }

    #[test]
    fn what_is_not_there_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let failure = enter(dir.path(), "gold").unwrap_err();
        assert!(
            failure.message.starts_with("not supported by this kernel: Intel RDT"),
            "{failure}"
        );
    }

    #[test]
    fn a_process_enters_its_class_and_nothing_outside() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("schemata"), "").unwrap();
        fs::create_dir_all(dir.path().join("gold/mon_groups")).unwrap();
        enter(dir.path(), "gold").unwrap();
        let read = |file: &str| fs::read_to_string(dir.path().join(file)).unwrap();
        assert_eq!(read("gold/schemata"), "L3:0=f\n");
        assert_eq!(
            (read("gold/tasks"), read("gold/mon_groups/me/tasks")),
            ("7".into(), "7".into())
        );
        for bad in ["../up", "a/b", ".", "..", "a/"] {
            assert!(enter(dir.path(), bad).unwrap_err().message.contains("plain name"), "{bad}");
        }
        let failure = enter_at(
            dir.path(),
            &Rdt { schemata: vec!["L3:0=f\nMB:0=1".to_owned()], ..wanted("gold") },
            "me",
            Pid::from_raw(7).unwrap(),
        );
        assert!(failure.unwrap_err().message.contains("more than one line"));
    }
}
