//! Writing values into the files of a cgroup: a new one's, or all or nothing into one in use.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::{Cgroup, CgroupError, Missing, Write};

impl Cgroup {
    /// Changes limits of a running guest: writes what `plan::limits` gave.
    ///
    /// All or nothing: after an error, every file says what it said before.
    pub fn update(&self) -> Result<Changed, CgroupError> {
        for directory in &self.directories {
            if let Some((file, max)) = &directory.keep_used {
                check_use(directory.full().join(file), *max)?;
            }
        }
        let mut changed = Changed::default();
        for directory in &self.directories {
            let at = directory.full();
            let written = remember(&at, &directory.writes, &mut changed.0)
                .and_then(|()| write_all(&at, &directory.writes));
            if let Err(error) = written {
                changed.undo();
                return Err(error);
            }
        }
        Ok(changed)
    }
}

/// What the files of an update said before it.
#[derive(Debug, Default)]
pub struct Changed(Vec<(PathBuf, Vec<Write>)>);

impl Changed {
    /// Puts everything back: what came with the update failed.
    pub fn undo(self) {
        for (directory, writes) in &self.0 {
            for write in writes {
                // The error that led here is the one to report; what cannot be put back is a limit
                // that the guest has outgrown meanwhile. Twice, as the order may matter.
                write_one(directory, write).unwrap_or_default();
            }
            write_all(directory, writes).unwrap_or_default();
        }
    }
}

fn check_use(path: PathBuf, max: u64) -> Result<(), CgroupError> {
    let text = fs::read_to_string(&path).map_err(|source| CgroupError::Path {
        doing: "read",
        path: path.clone(),
        source,
    })?;
    match text.trim().parse() {
        Ok(used) if used > max => Err(CgroupError::InUse { path, used, max }),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Writes `writes` below `directory`, in order; those that only work after a later one, then.
///
/// Such are a limit of memory and that of memory with swap, or a quota and its period: which of them
/// must come first depends on whether they grow or shrink.
pub(crate) fn write_all(directory: &Path, writes: &[Write]) -> Result<(), CgroupError> {
    let mut pending: Vec<&Write> = writes.iter().collect();
    loop {
        let count = pending.len();
        let mut first = None;
        let mut failed = Vec::new();
        for write in pending {
            match write_one(directory, write) {
                Ok(()) => {}
                Err(error) if is_order(&error) => {
                    first.get_or_insert(error);
                    failed.push(write);
                }
                Err(error) => return Err(error),
            }
        }
        match first {
            None => return Ok(()),
            Some(error) if failed.len() == count => return Err(error),
            Some(_) => pending = failed,
        }
    }
}

fn is_order(error: &CgroupError) -> bool {
    let invalid = Some(Errno::INVAL.raw_os_error());
    matches!(error, CgroupError::Write { source, .. } if source.raw_os_error() == invalid)
}

fn write_one(directory: &Path, write: &Write) -> Result<(), CgroupError> {
    let Write { file, value, missing } = write;
    let path = directory.join(file);
    // Not fs::write: it would create a file where the kernel has none and name it a success on a
    // directory that is no cgroup.
    let written = fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .and_then(|mut file| io::Write::write_all(&mut file, value.as_bytes()));
    let Err(source) = written else { return Ok(()) };
    if source.raw_os_error() == Some(Errno::OPNOTSUPP.raw_os_error()) {
        return Err(CgroupError::Refused { path, value: value.clone() });
    }
    if source.kind() != ErrorKind::NotFound || !directory.is_dir() {
        return Err(CgroupError::Write { path, value: value.clone(), source });
    }
    match missing {
        Missing::Ignore => Ok(()),
        Missing::Instead(other) => write_one(directory, other),
        Missing::Fail => Err(CgroupError::Unsupported { path, value: value.clone() }),
    }
}

/// Notes what the files of `writes` say now, in front of what was noted before.
fn remember(
    directory: &Path,
    writes: &[Write],
    before: &mut Vec<(PathBuf, Vec<Write>)>,
) -> Result<(), CgroupError> {
    let mut old = Vec::new();
    for write in writes {
        let mut write = write;
        let path = loop {
            let path = directory.join(&write.file);
            match &write.missing {
                Missing::Instead(other) if !path.exists() => write = other,
                Missing::Instead(_) | Missing::Fail | Missing::Ignore => break path,
            }
        };
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            // Writing it will say so, unless it does not matter.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(source) => return Err(CgroupError::Path { doing: "read", path, source }),
        };
        old.extend(previous(write, &text));
    }
    before.push((directory.to_owned(), old));
    Ok(())
}

/// What puts a file that says `text` back after `write`; `None` where a file says other things than
/// are written to it.
fn previous(write: &Write, text: &str) -> Option<Write> {
    let put = |value: &str| {
        let (file, value) = (write.file.clone(), value.to_owned());
        Some(Write { file, value, missing: Missing::Ignore })
    };
    let Some((key, rest)) = write.value.split_once(' ') else {
        return match text.trim_end().split_once('\n') {
            // Settings of single devices below the one for all.
            Some((first, _)) if first.starts_with("default ") => put(first),
            Some(_) => None,
            None => put(text.trim_end()),
        };
    };
    if !key.contains(':') && !rest.contains('=') && key != "default" {
        // Such as `cpu.max`: words of one line.
        return put(text.trim_end());
    }
    let of_key = |line: &&str| line.split(' ').next() == Some(key);
    if let Some(line) = text.lines().find(of_key) {
        return put(line);
    }
    let none = match rest.split_once('=') {
        Some(_) => rest
            .split(' ')
            .filter_map(|word| Some(format!("{}=max", word.split_once('=')?.0)))
            .collect::<Vec<_>>()
            .join(" "),
        None if write.file.contains("weight") => "default".to_owned(),
        None => "0".to_owned(),
    };
    put(&format!("{key} {none}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn back(file: &str, value: &str, text: &str) -> Option<String> {
        let (file, value) = (file.to_owned(), value.to_owned());
        previous(&Write { file, value, missing: Missing::Fail }, text).map(|write| write.value)
    }

    #[test]
    fn every_kind_of_file_can_be_put_back() {
        let back =
            |file: &str, value: &str, text: &str| back(file, value, text).unwrap_or_default();
        assert_eq!(back("pids.max", "7", "max\n"), "max");
        assert_eq!(back("cpu.max", "5000 10000", "max 100000\n"), "max 100000");
        assert_eq!(back("cpuset.cpus", "0", "0-1\n"), "0-1");
        assert_eq!(back("io.weight", "default 5", "default 100\n8:0 7\n"), "default 100");
        assert_eq!(back("io.bfq.weight", "5", "default 100\n8:0 7\n"), "default 100");
        assert_eq!(back("io.weight", "8:0 5", "default 100\n"), "8:0 default");
        assert_eq!(back("io.weight", "8:0 5", "default 100\n8:0 7\n"), "8:0 7");
        assert_eq!(back("io.max", "8:0 rbps=5", ""), "8:0 rbps=max");
        let line = "8:0 rbps=1 wbps=max riops=max wiops=max";
        assert_eq!(back("io.max", "8:0 rbps=5", line), line);
        assert_eq!(back("blkio.throttle.read_bps_device", "8:0 5", "8:16 9\n"), "8:0 0");
        assert_eq!(
            back("rdma.max", "mlx5 hca_handle=2 hca_object=3", ""),
            "mlx5 hca_handle=max hca_object=max"
        );
        assert_eq!(back("memory.oom_control", "1", "oom_kill_disable 0\nunder_oom 0\n"), "");
    }

    #[test]
    fn a_missing_file_is_no_support_and_a_missing_directory_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let write = |missing| Write { file: "x.max".into(), value: "1".into(), missing };
        let all = |missing| write_all(dir.path(), &[write(missing)]).map_err(|e| e.to_string());
        let refused = all(Missing::Fail).unwrap_err();
        assert!(refused.starts_with("not supported by this kernel: /"), "{refused}");
        assert_eq!(all(Missing::Ignore), Ok(()));
        assert!(!dir.path().join("x.max").exists());
        let other = Write { file: "y.max".into(), value: "2".into(), missing: Missing::Fail };
        assert!(all(Missing::Instead(Box::new(other.clone()))).unwrap_err().contains("y.max"));
        fs::write(dir.path().join("y.max"), "").unwrap();
        all(Missing::Instead(Box::new(other))).unwrap();
        assert_eq!(fs::read_to_string(dir.path().join("y.max")).unwrap(), "2");
        let gone = write_all(&dir.path().join("gone"), &[write(Missing::Ignore)]).unwrap_err();
        assert!(matches!(gone, CgroupError::Write { .. }), "{gone}");
    }
}
