//! Owners of files on disk, made to appear as the guest should see them.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use hull_sys::mount::{self, Depth};
use hull_sys::namespace::Kinds;
use hull_sys::process::{Fork, Parentage};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, pidfd_send_signal, waitpid};

use super::write_maps;
use crate::failure::{Doing, Failure};
use crate::plan::{IdMap, Owners, Reach, Refusal};

/// User namespaces that mounts are mapped by: the guest's, and others made for one mount each.
#[derive(Debug)]
pub(super) struct Mapper {
    guest: Option<OwnedFd>,
    others: Vec<(Maps, OwnedFd)>,
}

type Maps = (Vec<IdMap>, Vec<IdMap>);

impl Mapper {
    /// With the guest's own user namespace, if it has one.
    pub(super) fn new(guest: Option<OwnedFd>) -> Self {
        Self { guest, others: Vec::new() }
    }

    /// Maps the detached `tree`, called `name` in messages. Gives a warning if not all could be.
    pub(super) fn map(
        &mut self,
        tree: &OwnedFd,
        owners: &Owners,
        name: &str,
    ) -> Result<Option<String>, Failure> {
        let failed = |error: &io::Error| {
            let error = crate::failure::plain(error);
            let hint = "the file system has no id-mapped mounts, or is id-mapped already";
            Failure::other(format!("map the owners of {name}: {error}; hint: {hint}"))
        };
        match owners {
            Owners::Disk => Ok(None),
            Owners::Guest { reach, refusal } => {
                let Some(namespace) = &self.guest else { return Ok(None) };
                match (mount::map_ids(tree.as_fd(), depth(*reach), namespace.as_fd()), refusal) {
                    (Ok(()), _) => Ok(None),
                    (Err(error), Refusal::Warn) if is_refusal(&error) => {
                        map_what_can_be(tree, namespace, name).map(Some).map_err(|e| failed(&e))
                    }
                    (Err(error), _) => Err(failed(&error)),
                }
            }
            Owners::Mapped { uids, gids, reach } => {
                let namespace = self.namespace((uids, gids)).map_err(|failure| {
                    Failure::other(format!("map the owners of {name}: {failure}"))
                })?;
                let mapped = mount::map_ids(tree.as_fd(), depth(*reach), namespace.as_fd());
                mapped.map(|()| None).map_err(|error| failed(&error))
            }
        }
    }

    fn namespace(&mut self, (uids, gids): (&[IdMap], &[IdMap])) -> Result<&OwnedFd, Failure> {
        let known =
            self.others.iter().position(|((u, g), _)| (u.as_slice(), g.as_slice()) == (uids, gids));
        let at = match known {
            Some(at) => at,
            None => {
                let namespace = make(uids, gids)?;
                self.others.push(((uids.to_vec(), gids.to_vec()), namespace));
                self.others.len() - 1
            }
        };
        Ok(&self.others[at].1)
    }
}

/// The mount itself if possible, and a word about the rest.
fn map_what_can_be(tree: &OwnedFd, namespace: &OwnedFd, name: &str) -> io::Result<String> {
    match mount::map_ids(tree.as_fd(), Depth::One, namespace.as_fd()) {
        Ok(()) => Ok(format!(
            "{name}: the owners of files in mounts below it cannot be mapped; they belong to nobody"
        )),
        Err(error) if is_refusal(&error) => {
            Ok(format!("{name}: its file system cannot map owners; its files belong to nobody"))
        }
        Err(error) => Err(error),
    }
}

fn is_refusal(error: &io::Error) -> bool {
    [Errno::INVAL, Errno::PERM, Errno::OPNOTSUPP]
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// A user namespace with these maps and nobody in it.
fn make(uids: &[IdMap], gids: &[IdMap]) -> Result<OwnedFd, Failure> {
    let doing = "make a user namespace for a mount";
    match hull_sys::process::fork(Kinds::USER, None, Parentage::Caller).doing(doing)? {
        // It only has to exist for as long as its maps are written.
        Fork::Child => loop {
            rustix::event::pause();
        },
        Fork::Parent(child) => {
            let opened = write_maps(child.pid, "uid_map", uids)
                .and_then(|()| write_maps(child.pid, "gid_map", gids))
                .and_then(|()| open(child.pid));
            pidfd_send_signal(&child.pidfd, Signal::KILL).doing(doing)?;
            rustix::io::retry_on_intr(|| waitpid(Some(child.pid), WaitOptions::empty()))
                .doing(doing)?;
            opened
        }
    }
}

fn open(pid: Pid) -> Result<OwnedFd, Failure> {
    let path = format!("/proc/{}/ns/user", pid.as_raw_nonzero());
    Ok(File::open(&path).doing(format!("open {path}"))?.into())
}

/// The kernel wrapper's word for it.
pub(super) fn depth(reach: Reach) -> Depth {
    match reach {
        Reach::One => Depth::One,
        Reach::Tree => Depth::Tree,
    }
}
