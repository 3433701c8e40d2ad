//! The engine: opened, asked for guests, closed.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hull_container::cgroup::Cgroup;
use hull_container::host::HostFacts;
use hull_model::event::Subject;
use hull_model::id::{ExecId, GuestId};
use hull_store::Store;
use tokio::task::JoinSet;

use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::events::Events;
use crate::guest::{Guest, WaitFor};
use crate::id_ranges::IdRanges;
use crate::images::Images;
use crate::index::Index;
use crate::networks::Networks;
use crate::paths::Paths;
use crate::record::GuestRecord;
use crate::records::{GuestRecords, of_store};
use crate::stats::Sampler;
use crate::volumes::Volumes;

/// An engine. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    pub(crate) inner: Arc<Inner>,
}

/// What all guests of an engine share.
pub(crate) struct Inner {
    pub(crate) config: Config,
    pub(crate) paths: Paths,
    pub(crate) host: HostFacts,
    /// On a mount that cannot be written, whatever a guest gets hold of.
    pub(crate) shim: OwnedFd,
    pub(crate) init: PathBuf,
    pub(crate) store: Arc<Store>,
    pub(crate) records: GuestRecords,
    pub(crate) id_ranges: IdRanges,
    pub(crate) networks: Arc<Networks>,
    pub(crate) events: Arc<Events>,
    pub(crate) sampler: Sampler,
    pub(crate) registry: hull_registry::Client,
    pub(crate) filters: hull_container::seccomp::Cache,
    index: Mutex<Index>,
    taking: Mutex<()>,
    tasks: Mutex<JoinSet<()>>,
    /// What is done without anybody waiting for it.
    errands: Mutex<JoinSet<()>>,
    closing: AtomicBool,
}

/// What becomes of running guests when an engine is closed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Guests {
    /// They run on; the next engine on the same data takes them over.
    Leave,
    /// They are stopped, and what the kernel holds for this engine is removed.
    Stop,
}

impl Engine {
    /// All guests, oldest ids first.
    pub fn guests(&self) -> Vec<Guest> {
        self.inner.index().all()
    }

    /// The guest with this id, name, or beginning of an id.
    pub fn guest(&self, reference: &str) -> Result<Guest> {
        self.inner.index().find(reference)
    }

    /// The guest and the exec with this id or beginning of an id.
    pub fn exec(&self, reference: &str) -> Result<(Guest, ExecId)> {
        let missing = || crate::guest::no_exec(reference);
        if reference.is_empty() {
            return Err(missing());
        }
        let find = |guest: Guest| guest.find_exec(reference).map(|id| (guest, id));
        self.guests().into_iter().find_map(find).ok_or_else(missing)
    }

    /// The images.
    pub fn images(&self) -> Images {
        Images { engine: self.clone() }
    }

    /// The volumes.
    pub fn volumes(&self) -> Volumes {
        Volumes { engine: self.clone() }
    }

    /// The networks that are always there.
    pub fn networks(&self) -> crate::networks::Defaults {
        self.inner.networks.defaults()
    }

    /// The news.
    pub fn events(&self) -> &Arc<Events> {
        &self.inner.events
    }

    /// What the host offers.
    pub fn host(&self) -> &HostFacts {
        &self.inner.host
    }

    /// The devices of the Container Device Interface by name, and why some files are not used. Reads
    /// files.
    pub fn vendor_devices(&self) -> (Vec<String>, Vec<String>) {
        let registry = crate::cdi::Registry::read(&self.inner.config.cdi_directories);
        (registry.names().map(str::to_owned).collect(), registry.errors().to_vec())
    }

    /// What the engine was opened with.
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// Stops serving guests, and the guests too if told so. Everything is on disk already.
    pub async fn close(&self, guests: Guests) -> Result<()> {
        if guests == Guests::Stop {
            self.inner.closing.store(true, Ordering::Release);
            self.stop_all().await;
            // Whoever takes guests off their network is done before the network goes.
            let errands = std::mem::take(&mut *self.inner.errands());
            errands.join_all().await;
            let networks = Arc::clone(&self.inner.networks);
            let removed = tokio::task::spawn_blocking(move || networks.remove_all()).await;
            removed.map_err(Error::internal("remove the networks"))??;
            self.inner.remove_cgroup_parent();
        }
        let mut tasks = std::mem::take(&mut *self.inner.tasks());
        tasks.shutdown().await;
        self.inner.sampler.close();
        let errands = std::mem::take(&mut *self.inner.errands());
        errands.join_all().await;
        Ok(())
    }

    async fn stop_all(&self) {
        let timeout = hull_model::guest::StopTimeout::After(self.inner.config.shutdown_timeout);
        let mut stops = JoinSet::new();
        for guest in self.guests().into_iter().filter(|guest| guest.view().is_running()) {
            stops.spawn(async move {
                let patience = guest.record().spec.stop_timeout.unwrap_or(timeout);
                match guest.stop(None, Some(patience)).await {
                    Err(error) if error.kind != Kind::Unchanged => {
                        tracing::warn!(guest = %guest.id(), %error, "cannot stop");
                    }
                    Ok(()) | Err(_) => {}
                }
                if guest.record().spec.auto_remove {
                    // An engine that closes meanwhile has no guests to wait for.
                    guest.wait(WaitFor::Removed).await.ok();
                }
            });
        }
        while stops.join_next().await.is_some() {}
    }
}

impl Inner {
    pub(crate) fn new(parts: Parts) -> Arc<Self> {
        let Parts { config, paths, host, shim, init, store, networks, id_ranges, registry } = parts;
        Arc::new(Self {
            config,
            paths,
            host,
            shim,
            init,
            records: GuestRecords(Arc::clone(&store)),
            store,
            id_ranges,
            networks: Arc::new(networks),
            events: Arc::default(),
            sampler: Sampler::default(),
            registry,
            filters: hull_container::seccomp::Cache::default(),
            index: Mutex::default(),
            taking: Mutex::default(),
            tasks: Mutex::default(),
            errands: Mutex::default(),
            closing: AtomicBool::new(false),
        })
    }

    pub(crate) fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Held while images and volumes are taken into use, or removed because nobody uses them.
    pub(crate) fn taking(&self) -> MutexGuard<'_, ()> {
        self.taking.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tasks(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The errands under way. Those that ended are let go of here, so the set does not grow.
    fn errands(&self) -> MutexGuard<'_, JoinSet<()>> {
        let mut errands = self.errands.lock().unwrap_or_else(PoisonError::into_inner);
        while errands.try_join_next().is_some() {}
        errands
    }

    /// Whether all guests are being stopped, so that none is started again.
    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Begins to serve the guest of `record`.
    pub(crate) fn serve(self: &Arc<Self>, record: GuestRecord) {
        let (guest, task) = Guest::new(self, record);
        self.index().add(guest);
        self.run(task);
    }

    /// Runs a guest's task until the guest is removed or the engine closed.
    pub(crate) fn run(&self, task: crate::guest::Task) {
        self.run_until_closed(task.run());
    }

    /// Runs `task` until it ends or the engine is closed.
    pub(crate) fn run_until_closed(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks();
        // Those that ended are let go of here, so the set does not grow.
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }

    /// The guest does not exist any more.
    pub(crate) fn forget(&self, record: &GuestRecord) {
        self.index().remove(&record.id, &record.name);
    }

    /// The cgroup of a guest: where it is.
    pub(crate) fn cgroup_of(&self, record: &GuestRecord) -> Result<Cgroup> {
        Ok(hull_container::plan::cgroup(&self.cgroup_path(record)?, &self.host))
    }

    /// The same, below each hierarchy's mount.
    pub(crate) fn cgroup_path(&self, record: &GuestRecord) -> Result<PathBuf> {
        let parent = &self.config.cgroup_parent;
        hull_container::plan::cgroup_path(&record.spec, parent, record.id)
            .map_err(|source| Error::new(Kind::Invalid, source.to_string()))
    }

    /// Takes a guest that has ended off its network. Nobody waits for it: the kernel needs some
    /// milliseconds, and the address is not given to anybody else before.
    pub(crate) fn detach_later(&self, guest: GuestId, endpoint: crate::record::Endpoint) {
        let networks = Arc::clone(&self.networks);
        self.errands().spawn_blocking(move || {
            if let Err(error) = networks.detach(&endpoint) {
                tracing::warn!(%guest, %error, "cannot take the guest off its network");
            }
        });
    }

    /// Deletes a guest's files, and the volumes that were made for it alone.
    pub(crate) async fn delete_files(self: &Arc<Self>, record: &GuestRecord) -> Result<()> {
        let (inner, record) = (Arc::clone(self), record.clone());
        let deleted = tokio::task::spawn_blocking(move || {
            inner.paths.remove_run_dir(&record.id);
            crate::volumes::delete_own(&inner, &record)?;
            let id = record.id.to_string();
            inner.store.writables.remove(&id).map_err(of_store("remove the guest's files"))
        });
        deleted.await.map_err(Error::internal("remove the guest's files"))?
    }

    /// Tells everybody that `action` happened to a guest.
    pub(crate) fn publish(
        &self,
        record: &GuestRecord,
        action: impl Into<String>,
        extra: &[(&str, String)],
    ) {
        let mut attributes: BTreeMap<_, _> = record.spec.labels.clone();
        attributes.insert("image".to_owned(), record.spec.image.clone());
        attributes.insert("name".to_owned(), record.name.to_string());
        attributes.extend(extra.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        self.events.publish(Subject::Container, action, record.id.to_string(), attributes);
    }

    /// How much disk a guest takes.
    pub(crate) async fn size_of(&self, record: &GuestRecord) -> Result<crate::guest::Size> {
        let store = Arc::clone(&self.store);
        let (id, image): (GuestId, _) = (record.id, record.image);
        let measured = tokio::task::spawn_blocking(move || {
            let upper = store.writables.paths(&id.to_string()).upper;
            let written = match hull_store::tree::usage(&upper) {
                Ok(usage) => usage.bytes,
                Err(error) => return Err(of_store("measure the guest's files")(error.into())),
            };
            // An image removed by force leaves its guests; they are then measured without it.
            let below = store.images.get(&image).map_or(0, |image| image.size);
            Ok(crate::guest::Size { written, total: written + below })
        });
        measured.await.map_err(Error::internal("measure the guest's files"))?
    }

    /// The parent of all guests' cgroups, unless another engine's guests are in it.
    fn remove_cgroup_parent(&self) {
        if self.config.cgroup_driver == crate::config::CgroupDriver::Systemd {
            // A slice is systemd's, with others' units in it.
            return;
        }
        let parent = self.config.cgroup_parent.trim_matches('/');
        for hierarchy in &self.host.cgroups {
            // A cgroup with anything in it cannot be removed, which is just as well.
            std::fs::remove_dir(hierarchy.mount.join(parent)).unwrap_or_default();
        }
    }
}

/// What an engine is put together from.
pub(crate) struct Parts {
    pub(crate) config: Config,
    pub(crate) paths: Paths,
    pub(crate) host: HostFacts,
    pub(crate) shim: OwnedFd,
    pub(crate) init: PathBuf,
    pub(crate) store: Arc<Store>,
    pub(crate) networks: Networks,
    pub(crate) id_ranges: IdRanges,
    pub(crate) registry: hull_registry::Client,
}
