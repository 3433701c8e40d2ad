//! The files of a guest as it sees them, for its engine: the tree of a running one, and a private
//! assembly of the mounts of one that does not run.
//!
//! Nothing of a guest is executed or loaded here, and no path of it is looked up anywhere but below the
//! root that is given: `docker cp` was both once (CVE-2018-15664, CVE-2019-14271).

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hull_sys::mount::{self, Depth, Propagation, attribute};
use hull_sys::namespace::{self, Kinds};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, Mode, OFlags, open};
use rustix::mount::{MoveMountFlags, OpenTreeFlags, move_mount, open_tree};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::failure::{Doing as _, Failure};
use crate::launch::resolve::{self, Links, Wanted};

/// The tree of a running process, as it sees it.
#[derive(Debug)]
pub struct Live {
    /// Its root directory.
    pub root: OwnedFd,
    /// Keeps its mounts together when it ends: without, what is mounted below the root would vanish
    /// while it is read, and its absence would pass for an empty directory.
    _mounts: File,
}

/// Holds the tree of the process `pid`. `is_ours` says whether a process of that number is the one
/// that is meant; it is asked while the number cannot go to another one.
pub fn live(pid: u32, is_ours: impl FnOnce() -> bool) -> Result<Live, Failure> {
    let gone = || Failure::new(crate::Kind::NotRunning, format!("process {pid} has ended"));
    let number = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or_else(gone)?;
    let process = pidfd_open(number, PidfdFlags::empty()).map_err(|_ended| gone())?;
    if !is_ours() {
        return Err(gone());
    }
    let directory = PathBuf::from(format!("/proc/{pid}"));
    let mounts = File::open(directory.join("ns/mnt")).doing("hold the guest's mounts")?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = open(directory.join("root"), flags, Mode::empty()).doing("hold the guest's root")?;
    // It lived all the time, so all of this was its own.
    let mut polled = [PollFd::new(&process, PollFlags::IN)];
    match poll(&mut polled, Some(&at_once())).doing("look at the guest's process")? {
        0 => Ok(Live { root, _mounts: mounts }),
        _ended => Err(gone()),
    }
}

fn at_once() -> Timespec {
    Timespec::try_from(Duration::ZERO).unwrap_or(Timespec { tv_sec: 0, tv_nsec: 0 })
}

/// A file or directory of the host in a private assembly.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Bind {
    /// Where it is on the host.
    pub source: PathBuf,
    /// Where it appears, absolute.
    pub target: String,
    /// Whether it can be written.
    pub read_only: bool,
}

/// What is done about a place that is missing for a mount.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Missing {
    /// It is made, as at a start.
    Make,
    /// Nothing is mounted there.
    Skip,
}

/// Runs `work` on a thread that alone sees `root` (a detached mount) with `binds` on it, in their order.
/// When it returns, the mounts are gone.
pub fn assembled<T: Send>(
    root: &OwnedFd,
    binds: &[Bind],
    (missing, read_only): (Missing, bool),
    work: impl FnOnce(BorrowedFd<'_>) -> T + Send,
) -> Result<T, Failure> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            assemble(root, binds, missing)?;
            if read_only {
                mount::set_attributes(root.as_fd(), Depth::One, attribute::READ_ONLY, 0)
                    .doing("make the root read-only")?;
            }
            Ok(work(root.as_fd()))
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Whether there is a place for each of `binds` in the detached tree `root`.
pub fn has_places(root: &OwnedFd, binds: &[Bind]) -> Result<bool, Failure> {
    for bind in binds {
        if resolve::find(root, &bind.target)?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// In a mount namespace of the calling thread's own: attaching needs one, and the host's is not ours to
/// change.
fn assemble(root: &OwnedFd, binds: &[Bind], missing: Missing) -> Result<(), Failure> {
    let trees: Vec<OwnedFd> =
        binds.iter().map(|bind| clone(&bind.source)).collect::<Result<_, _>>()?;
    namespace::leave(Kinds::MOUNT).doing("make a mount namespace")?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let host = open("/", flags, Mode::empty()).doing("open the root directory")?;
    // The host's mounts are here too, until this thread ends: nothing goes back to them.
    mount::set_propagation(host.as_fd(), Depth::Tree, Propagation::Private)
        .doing("make the mounts private")?;
    attach(root, CWD, c"/").doing("attach the root")?;
    for (bind, tree) in binds.iter().zip(&trees) {
        if bind.read_only {
            mount::set_attributes(tree.as_fd(), Depth::Tree, attribute::READ_ONLY, 0)
                .doing_at("make read-only the mount of", &bind.source)?;
        }
        let place = match missing {
            Missing::Skip => resolve::find(root, &bind.target)?,
            Missing::Make => {
                Some(resolve::ensure(root, &bind.target, wanted(tree)?, Links::Follow)?)
            }
        };
        if let Some(place) = place {
            attach(tree, place.as_fd(), c"").doing(format!("mount at {}", bind.target))?;
        }
    }
    Ok(())
}

fn clone(path: &Path) -> Result<OwnedFd, Failure> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE;
    let tree = open_tree(CWD, path, flags).map_err(io::Error::from);
    let tree = tree.doing_at("clone the mount of", path)?;
    mount::set_propagation(tree.as_fd(), Depth::Tree, Propagation::Private)
        .doing_at("set the propagation of", path)?;
    Ok(tree)
}

fn wanted(tree: &OwnedFd) -> Result<Wanted, Failure> {
    let stat = rustix::fs::fstat(tree).doing("look at a mount's source")?;
    let kind = rustix::fs::FileType::from_raw_mode(stat.st_mode);
    Ok(if kind == rustix::fs::FileType::Directory { Wanted::Directory } else { Wanted::File })
}

fn attach(tree: &OwnedFd, at: BorrowedFd<'_>, name: &std::ffi::CStr) -> rustix::io::Result<()> {
    let mut flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    if name.is_empty() {
        flags |= MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    }
    move_mount(tree, c"", at, name, flags)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{ResolveFlags, openat2};
    use std::io::Read as _;

    fn text(root: BorrowedFd<'_>, path: &str) -> Option<String> {
        let resolve = ResolveFlags::IN_ROOT;
        let mut file: File =
            openat2(root, path, OFlags::RDONLY, Mode::empty(), resolve).ok()?.into();
        let mut text = String::new();
        file.read_to_string(&mut text).ok()?;
        Some(text)
    }

    fn mounts() -> usize {
        std::fs::read_to_string("/proc/self/mountinfo").unwrap().lines().count()
    }

    #[test]
    #[expect(clippy::print_stderr, reason = "a test that is skipped says why")]
    fn an_assembly_is_seen_by_its_thread_alone_and_leaves_nothing() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: not root");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for name in ["root/there", "volume", "escape"] {
            std::fs::create_dir_all(at(name)).unwrap();
        }
        std::os::unix::fs::symlink(at("escape"), at("root/link")).unwrap();
        std::fs::write(at("volume/f"), "inside").unwrap();
        let bind = |target: &str, read_only| Bind {
            source: at("volume"),
            target: target.to_owned(),
            read_only,
        };
        let before = mounts();
        let root = || clone(&at("root")).unwrap();
        let binds = [bind("/there", true), bind("/missing", false), bind("/link/x", false)];
        assert!(!has_places(&root(), &binds).unwrap());
        let seen = assembled(&root(), &binds, (Missing::Skip, false), |root| {
            (text(root, "there/f"), text(root, "missing/f"))
        });
        assert_eq!(seen.unwrap(), (Some("inside".to_owned()), None));
        let flags = OFlags::WRONLY | OFlags::CREATE;
        let seen = assembled(&root(), &binds, (Missing::Make, false), |root| {
            let resolve = ResolveFlags::IN_ROOT;
            let write = |path| openat2(root, path, flags, Mode::RWXU, resolve).map(drop);
            (text(root, "missing/f"), write("there/new").is_err(), write("missing/new"))
        });
        assert_eq!(seen.unwrap(), (Some("inside".to_owned()), true, Ok(())));
        assert!(at("volume/new").exists() && at("root/missing").exists());
        // A link of the image leads around inside.
        assert_eq!(std::fs::read_dir(at("escape")).unwrap().count(), 0);
        assert_eq!(mounts(), before);
    }

    #[test]
    fn a_process_that_ended_or_is_another_has_no_tree() {
        let own = std::process::id();
        assert!(live(own, || true).is_ok());
        assert_eq!(live(own, || false).unwrap_err().kind, crate::Kind::NotRunning);
        assert_eq!(live(u32::MAX, || true).unwrap_err().kind, crate::Kind::NotRunning);
    }
}
