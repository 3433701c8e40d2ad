//! The files of a guest, for those who copy from and to it. Only reads a guest's state; the one thing
//! it keeps from happening is a start while something is written into a guest that does not run.

mod commit;
mod owner;
mod path;
mod view;

use std::io::{Read, Write};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::sync::Arc;

use hull_model::time::Timestamp;
use hull_store::layer::{Owner, Rules, unpack_into};
use hull_store::tree::{self, Change, Ids, Located};
use rustix::fs::{AtFlags, StatVfsMountFlags, StatxFlags, fstatvfs, statx};
use rustix::io::Errno;

pub use commit::Commit;
pub use view::Files;

use crate::error::{Error, Kind, Result};
use crate::records::of_store;
use path::CopyPath;
use view::Access;

/// What a path in a guest is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PathStat {
    /// Its last part.
    pub name: String,
    /// Its length.
    pub size: u64,
    /// Kind and permissions, as in `inode(7)`.
    pub mode: u32,
    /// When it was last changed.
    pub modified: Timestamp,
    /// Where a symbolic link leads inside, all links followed; empty for anything else.
    pub link_target: String,
}

/// How an archive goes into a guest.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Unpack {
    /// Refuse to put a directory in the place of anything else, and the other way round.
    pub keep_kinds: bool,
    /// Give the files to the guest's user, if it has one that is not root.
    pub to_user: bool,
}

/// Where a launch makes something to mount on: Docker makes these in a layer of its own, below what
/// the guest writes (moby `daemon/initlayer`).
const MADE: [&str; 12] = [
    "dev",
    "dev/console",
    "dev/pts",
    "dev/shm",
    "etc",
    "etc/hostname",
    "etc/hosts",
    "etc/mtab",
    "etc/resolv.conf",
    "proc",
    "sys",
    ".dockerenv",
];

impl Files {
    /// What `path` is. Blocks.
    pub fn stat(&self, path: &str) -> Result<PathStat> {
        let path = CopyPath::new(path)?;
        self.see(Access::Read, |root, _| self.stat_in(root, &path).map(|(stat, _)| stat))?
    }

    /// Writes what is at `path` as an archive to `out`, after `announce` was told what it is. Blocks.
    pub fn pack(
        &self,
        path: &str,
        announce: impl FnOnce(PathStat) + Send,
        out: impl Write + Send,
    ) -> Result<()> {
        let path = CopyPath::new(path)?;
        self.see(Access::Read, |root, ids| {
            let (stat, found) = self.stat_in(root, &path)?;
            let name = path.base().as_bytes().to_vec();
            self.publish("archive-path");
            announce(stat);
            let doing = || format!("copy {} from the container", path.full());
            let packed = if found.is_directory() {
                let open = tree::open_located(&found).map_err(Error::internal(doing()))?;
                tree::pack_tree(open, &name, ids, out, &mut || self.still_there())
            } else {
                tree::pack_file(found.file.as_fd(), &name, ids, out)
            };
            packed.map_err(|error| of_store(doing())(error.into()))?;
            self.still_there().map_err(Error::internal(doing()))
        })?
    }

    /// Unpacks the archive `source` into the directory `path`. Blocks.
    pub fn unpack(&self, path: &str, how: Unpack, source: impl Read + Send) -> Result<()> {
        let path = CopyPath::new(path)?;
        let done = self.see(Access::Write, |root, ids| {
            self.check_target(root, &path)?;
            let owner = match how.to_user {
                true => owner::of(root, &self.record().spec.process.user)?,
                false => None,
            };
            let owner = owner.map_or(Owner::Archived, |(user, group)| Owner::Given(user, group));
            let rules = Rules { ids: ids.clone(), owner, keep_kinds: how.keep_kinds, rename: None };
            let doing = format!("copy to {} in the container", path.full());
            let root = root.try_clone_to_owned().map_err(Error::internal(doing.clone()))?;
            let (user, group) = ids.root();
            let identity = hull_sys::identity::Assumed::new(user, group);
            let _identity = identity.map_err(Error::internal("act as the container's root"))?;
            let check = &mut || self.still_there();
            unpack_into(root, path.full(), rules, source, check)
                .map_err(of_store(doing.clone()))?;
            self.still_there().map_err(Error::internal(doing))
        })?;
        if done.is_ok() {
            self.publish("extract-to-dir");
        }
        done
    }

    /// What it changed in its image's files. Blocks.
    pub fn changes(&self) -> Result<Vec<Change>> {
        let (upper, below) = self.layers()?;
        let _lease = self.lease_layers()?;
        let doing = "list the container's changes";
        let below = hull_store::view::read_only(&below).map_err(|e| of_store(doing)(e.into()))?;
        tree::changes(&upper, below, &MADE).map_err(|e| of_store(doing)(e.into()))
    }

    /// Writes all its files, without what is mounted, as an archive. Blocks.
    pub fn export(&self, out: impl Write) -> Result<()> {
        self.may_start();
        let (upper, mut layers) = self.layers()?;
        let _lease = self.lease_layers()?;
        layers.insert(0, upper);
        let doing = "export the container";
        let root = hull_store::view::read_only(&layers).map_err(|e| of_store(doing)(e.into()))?;
        let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC;
        let root = rustix::fs::openat(&root, c".", flags, rustix::fs::Mode::empty())
            .map_err(Error::internal(doing))?;
        let packed = tree::pack_tree(root, b".", &Ids::default(), out, &mut || self.still_there());
        packed.map_err(|error| of_store(doing)(error.into()))?;
        self.still_there().map_err(Error::internal(doing))?;
        self.publish("export");
        Ok(())
    }

    fn stat_in(&self, root: BorrowedFd<'_>, path: &CopyPath) -> Result<(PathStat, Located)> {
        let found = self.found(path, tree::locate(root, path.full()))?;
        let link_target = match found.is_symlink() {
            true => tree::evaluate(root, path.full()).map_err(|e| self.lost(path, &e))?,
            false => String::new(),
        };
        let stat = PathStat {
            name: path.base().to_owned(),
            size: u64::try_from(found.stat.st_size).unwrap_or(0),
            mode: found.stat.st_mode,
            modified: modified(&found.stat),
            link_target,
        };
        Ok((stat, found))
    }

    /// What was located, unless it is a file of the kernel's: reading one can do anything, and to
    /// Docker it is not there.
    fn found(&self, path: &CopyPath, located: std::io::Result<Located>) -> Result<Located> {
        let located = located.map_err(|error| self.lost(path, &error))?;
        let kernels = tree::is_kernels(located.file.as_fd());
        if !located.is_directory() && kernels.map_err(|error| self.lost(path, &error))? {
            return Err(self.missing(path));
        }
        Ok(located)
    }

    fn lost(&self, path: &CopyPath, error: &std::io::Error) -> Error {
        match Errno::from_io_error(error) {
            Some(Errno::NOENT) => self.missing(path),
            Some(Errno::NOTDIR | Errno::LOOP | Errno::NAMETOOLONG | Errno::INVAL) => {
                Error::new(Kind::Invalid, format!("look at {}: {error}", path.full()))
            }
            _ => Error::new(Kind::Internal, format!("look at {}: {error}", path.full())),
        }
    }

    /// Docker's words, which tools match on.
    fn missing(&self, path: &CopyPath) -> Error {
        let text =
            format!("Could not find the file {} in container {}", path.as_sent(), self.name());
        Error::new(Kind::Missing, text)
    }

    /// Whether an archive can be unpacked at `path`.
    fn check_target(&self, root: BorrowedFd<'_>, path: &CopyPath) -> Result<()> {
        let found = self.found(path, tree::locate_followed(root, path.full()))?;
        if !found.is_directory() {
            return Err(Error::new(Kind::Invalid, "extraction point is not a directory"));
        }
        let looked = |e: Errno| self.lost(path, &e.into());
        let flags = fstatvfs(&found.file).map_err(looked)?.f_flag;
        if !flags.contains(StatVfsMountFlags::RDONLY) {
            return Ok(());
        }
        let mount = |at: BorrowedFd<'_>| {
            statx(at, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID).map(|stat| stat.stx_mnt_id)
        };
        let on_root = mount(found.file.as_fd()).map_err(looked)? == mount(root).map_err(looked)?;
        let text = match on_root {
            true => "container rootfs is marked read-only",
            false => "mounted volume is marked read-only",
        };
        Err(Error::new(Kind::Invalid, text))
    }

    /// The writable layer, and those below it, the uppermost first.
    fn layers(&self) -> Result<(std::path::PathBuf, Vec<std::path::PathBuf>)> {
        let image = self.image()?;
        let upper = self.engine().store.writables.paths(&self.record().id.to_string()).upper;
        Ok((upper, image.layer_dirs.clone()))
    }

    fn lease_layers(&self) -> Result<hull_store::content::Lease> {
        let mut lease = self.engine().store.layers.lease();
        self.image()?.layers.iter().for_each(|layer| lease.add(layer.0));
        Ok(lease)
    }

    fn image(&self) -> Result<Arc<hull_store::image::Image>> {
        let image = self.record().image;
        self.engine().store.images.get(&image).ok_or_else(|| {
            let text = format!("No such image: {image} (it was removed by force)");
            Error::new(Kind::Missing, text)
        })
    }

    fn publish(&self, action: &str) {
        self.engine().publish(self.record(), action, &[]);
    }
}

/// When a file was last changed; 1970 for what is older.
fn modified(stat: &rustix::fs::Stat) -> Timestamp {
    let seconds = u64::try_from(stat.st_mtime).unwrap_or(0);
    let nanos = stat.st_mtime_nsec;
    Timestamp::from_nanos(seconds.saturating_mul(1_000_000_000).saturating_add(nanos))
}
