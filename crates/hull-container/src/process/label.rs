//! Labels of Linux security modules, and the one `/proc` that may be trusted with them.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags, ResolveFlags, fstat, fstatfs, openat2};
use rustix::io::Errno;

use crate::failure::{Doing, Failure};
use crate::plan::{Label, Process};
use crate::weakened::{Defence, stands};

/// The host's `/proc`, opened by the launcher in its own mount namespace.
///
/// What a guest has at `/proc` may be anything by the time it matters; a label or a setting written
/// there would not arrive, or would arrive elsewhere (CVE-2019-16884, CVE-2025-52881).
#[derive(Debug)]
pub(crate) struct HostProc(OwnedFd);

impl HostProc {
    /// Opens it if it is `wanted`, above the `preserved` descriptors.
    pub(crate) fn open_if(wanted: bool, preserved: u32) -> Result<Option<Self>, Failure> {
        if !wanted {
            return Ok(None);
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let proc = rustix::fs::open("/proc", flags, Mode::empty()).doing("open /proc")?;
        verify(&proc)?;
        let end = i32::try_from(preserved).unwrap_or(0).saturating_add(3);
        let proc = rustix::io::fcntl_dupfd_cloexec(&proc, end).doing("open /proc")?;
        Ok(Some(Self(proc)))
    }

    /// Opens the setting at `path` below `/proc/sys` for writing. Nothing on the way may be a link or
    /// another mount, or lead out of there again.
    fn setting_of_kernel(&self, path: &str) -> rustix::io::Result<OwnedFd> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_XDEV | ResolveFlags::NO_SYMLINKS;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let settings = openat2(&self.0, "sys", flags, Mode::empty(), resolve)?;
        openat2(&settings, path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty(), resolve)
    }

    /// Opens the setting at `path` below `/proc/sys` for writing.
    pub(crate) fn setting(&self, path: &str) -> rustix::io::Result<OwnedFd> {
        if stands(Defence::Sysctls) {
            return self.setting_of_kernel(path);
        }
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        rustix::fs::openat(&self.0, format!("sys/{path}"), flags, Mode::empty())
    }

    /// Opens the file at `path` below the calling thread's own directory for writing.
    fn own(&self, path: &str) -> rustix::io::Result<OwnedFd> {
        // `thread-self` is a link of the kernel's own, and the only one.
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_XDEV | ResolveFlags::NO_MAGICLINKS;
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        openat2(&self.0, format!("thread-self/{path}"), flags, Mode::empty(), resolve)
    }
}

impl AsFd for HostProc {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Refuses what is not the root of a procfs.
pub(crate) fn verify(proc: &OwnedFd) -> Result<(), Failure> {
    /// `PROC_SUPER_MAGIC` of `linux/magic.h`.
    const PROC_MAGIC: u32 = 0x9fa0;
    /// `PROC_ROOT_INO` of `linux/proc_fs.h`.
    const ROOT_INODE: u64 = 1;
    let kind = fstatfs(proc).doing("look at /proc")?.f_type;
    let inode = fstat(proc).doing("look at /proc")?.st_ino;
    if u32::try_from(kind).ok() == Some(PROC_MAGIC) && inode == ROOT_INODE {
        return Ok(());
    }
    Err(Failure::other("/proc is not the kernel's"))
}

/// The open file that gives the process its label when it executes.
#[derive(Debug)]
pub(crate) struct Prepared {
    file: OwnedFd,
    text: String,
}

/// Opens what it takes to execute with the process's label.
pub(crate) fn prepare(
    process: &Process,
    host: Option<&HostProc>,
) -> Result<Option<Prepared>, Failure> {
    let Some(label) = &process.label else { return Ok(None) };
    let host = host.ok_or_else(|| Failure::other("set a label: /proc was not opened"))?;
    let (name, text) = match label {
        Label::AppArmor(profile) => {
            (format!("AppArmor (profile {profile})"), format!("exec {profile}"))
        }
        Label::SeLinux(context) => (format!("SELinux (label {context})"), context.clone()),
    };
    // Where several modules are stacked, the plain file is the first one's only.
    let (module, paths): (_, &[&str]) = match label {
        Label::AppArmor(_) => ("/sys/module/apparmor", &["attr/apparmor/exec", "attr/exec"]),
        Label::SeLinux(_) => ("/sys/fs/selinux", &["attr/exec"]),
    };
    if !Path::new(module).exists() {
        return Err(Failure::other(format!("not supported by this kernel: {name}")));
    }
    for path in paths {
        match host.own(path) {
            Ok(file) => return Ok(Some(Prepared { file, text })),
            Err(Errno::NOENT) => {}
            Err(error) => return Err(error).doing(format!("set {name}: open {path}")),
        }
    }
    Err(Failure::other(format!("not supported by this kernel: {name}: it is not enabled")))
}

/// The option that labels the files of a new file system.
pub(crate) fn of_mounts(label: Option<&str>) -> Result<Option<(String, String)>, Failure> {
    let Some(label) = label.filter(|label| !label.is_empty()) else { return Ok(None) };
    if !Path::new("/sys/fs/selinux").exists() {
        return Err(Failure::other(format!(
            "not supported by this kernel: SELinux (mount label {label})"
        )));
    }
    Ok(Some(("context".to_owned(), label.to_owned())))
}

impl Prepared {
    /// The next program executes with the label.
    pub(crate) fn apply(&self) -> Result<(), Failure> {
        let Self { file, text } = self;
        rustix::io::write(file, text.as_bytes()).doing(format!("set label {text:?}")).map(drop)
    }
}
