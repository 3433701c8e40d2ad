//! A guest's files as it sees them: through its own first process while it lives, else assembled for
//! one thread.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use hull_container::files::{self, Bind, Missing};
use hull_model::life::State;
use hull_store::tree::Ids;
use hull_store::view;
use tokio::sync::OwnedRwLockReadGuard;

use crate::engine::Inner;
use crate::error::{Error, Kind, Result};
use crate::failure::of_shim;
use crate::guest::Guest;
use crate::record::GuestRecord;
use crate::records::of_store;

/// Access to the files of a guest.
pub struct Files {
    engine: Arc<Inner>,
    guest: Guest,
    record: Arc<GuestRecord>,
    /// What the client calls it.
    name: String,
    /// Keeps a guest that does not run from being started.
    ended: Mutex<Option<OwnedRwLockReadGuard<()>>>,
}

/// What is to be done with files.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Access {
    Read,
    Write,
}

impl Guest {
    /// Access to its files; `name` stands for it in messages. It is not started, if it does not run,
    /// until that is dropped or only read.
    pub async fn files(&self, name: &str) -> Result<Files> {
        let engine = self.engine()?;
        let ended = self.writers().read_owned().await;
        let record = self.record();
        if self.view().removed || record.state == State::Removing {
            let text = format!("container {} is marked for removal: its files are gone", record.id);
            return Err(Error::new(Kind::Conflict, text));
        }
        let ended = Mutex::new((!record.state.is_alive()).then_some(ended));
        let (guest, name) = (self.clone(), name.to_owned());
        Ok(Files { engine, guest, record, name, ended })
    }
}

impl Files {
    pub(super) fn engine(&self) -> &Arc<Inner> {
        &self.engine
    }

    pub(super) fn record(&self) -> &GuestRecord {
        &self.record
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// An error once the guest is removed: what is left of its files must not pass for all of them.
    pub(super) fn still_there(&self) -> io::Result<()> {
        let view = self.guest.view();
        if view.removed || view.record.state == State::Removing {
            return Err(io::Error::other("the container was removed meanwhile"));
        }
        Ok(())
    }

    /// Calls `work` with the root of all files that the guest sees, and with whose they are.
    pub(super) fn see<T: Send>(
        &self,
        access: Access,
        work: impl FnOnce(BorrowedFd<'_>, &Ids) -> T + Send,
    ) -> Result<T> {
        match self.record.pid {
            Some(pid) if self.record.state.is_alive() => self.see_live(pid, work),
            _ => self.see_ended(access, work),
        }
    }

    fn see_live<T>(&self, pid: u32, work: impl FnOnce(BorrowedFd<'_>, &Ids) -> T) -> Result<T> {
        let cgroup = self.engine.cgroup_of(&self.record)?;
        let mut ids = Err(io::Error::from(io::ErrorKind::NotFound));
        let live = files::live(pid, || {
            let all = cgroup.processes().unwrap_or_default();
            let ours =
                all.iter().any(|process| u32::try_from(process.as_raw_nonzero().get()) == Ok(pid));
            ids = Ids::of_process(&PathBuf::from(format!("/proc/{pid}")));
            ours
        });
        let live = live.map_err(of_shim)?;
        let ids = ids.map_err(Error::internal("read the container's users"))?;
        Ok(work(live.root.as_fd(), &ids))
    }

    fn see_ended<T: Send>(
        &self,
        access: Access,
        work: impl FnOnce(BorrowedFd<'_>, &Ids) -> T + Send,
    ) -> Result<T> {
        let _lease = self.lease_layers()?;
        let binds = self.binds();
        let ids = Ids::default();
        let work = |root: BorrowedFd<'_>| work(root, &ids);
        if access == Access::Write {
            let how = (Missing::Make, self.record.spec.root_read_only);
            return files::assembled(&self.writable()?, &binds, how, work).map_err(of_shim);
        }
        let mut root = self.read_only()?;
        // A place that was never made, as nobody started it yet, can only be made by writing.
        if !files::has_places(&root, &binds).map_err(of_shim)? {
            let how = (Missing::Make, true);
            files::assembled(&self.writable()?, &binds, how, |_| ()).map_err(of_shim)?;
            root = self.read_only()?;
        }
        self.may_start();
        files::assembled(&root, &binds, (Missing::Skip, true), work).map_err(of_shim)
    }

    /// From here on its files are only read: a client that is slow to take them keeps nobody from
    /// starting it.
    pub(super) fn may_start(&self) {
        drop(self.ended.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    fn read_only(&self) -> Result<OwnedFd> {
        let (upper, mut layers) = self.layers()?;
        layers.insert(0, upper);
        let doing = "assemble the container's files";
        view::read_only(&layers).map_err(|error| of_store(doing)(error.into()))
    }

    fn writable(&self) -> Result<OwnedFd> {
        let (_, layers) = self.layers()?;
        let own = self.engine.store.writables.paths(&self.record.id.to_string());
        let doing = "assemble the container's files";
        view::writable(&layers, &own.upper, &own.work)
            .map_err(|error| of_store(doing)(error.into()))
    }

    /// Volumes, bind mounts, and the files that it shares with its host, once they are there. Memory
    /// that it had mounted went with its last run.
    fn binds(&self) -> Vec<Bind> {
        let record = &self.record;
        let directory = self.engine.paths.guest_dir(&record.id);
        let shared = crate::planning::SHARED_FILES.iter().map(|(name, target)| Bind {
            source: directory.join(name),
            target: (*target).to_owned(),
            read_only: false,
        });
        let shared = shared.filter(|bind| bind.source.exists());
        let mounts = record.mounts.iter().map(|mount| Bind {
            source: mount.source.clone(),
            target: mount.target.as_str().to_owned(),
            read_only: mount.read_only,
        });
        let mut all: Vec<Bind> = shared.chain(mounts).collect();
        // What is mounted in another mount comes after it.
        all.sort_by_key(|bind| bind.target.matches('/').count());
        all
    }
}
