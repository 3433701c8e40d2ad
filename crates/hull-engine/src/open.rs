//! Opening an engine: what runs is taken over, what is half-made is finished or undone.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hull_container::host::HostFacts;
use hull_container::owners;
use hull_model::security::Seccomp;
use hull_net::names::Instance;
use hull_store::Store;
use tokio::task::JoinSet;

use crate::config::{CgroupDriver, Config};
use crate::engine::{Engine, Inner, Parts};
use crate::error::{Error, Kind, Result};
use crate::guest::{Guest, Task};
use crate::id_ranges::{IdRanges, LOCK_FILE};
use crate::networks::{DEFAULT_INSTANCE, Networks};
use crate::paths::Paths;
use crate::record::GuestRecord;
use crate::records::{GuestRecords, of_store};
use crate::shim;

/// Where data is by default; that engine's things have plain names in the kernel.
const DEFAULT_DATA_ROOT: &str = "/var/lib/hull";

impl Engine {
    /// Opens the data at `config.data_root` and takes over every guest that runs. Ready on return.
    pub async fn open(config: Config) -> Result<Self> {
        let prepared = tokio::task::spawn_blocking(move || prepare(config)).await;
        let (parts, records) = prepared.map_err(Error::internal("open the engine"))??;
        let engine = Self { inner: Inner::new(parts) };
        let tasks = engine.adopt_all(records).await?;
        engine.remove_strays().await?;
        // Not before: what is started again would be taken for a stray.
        tasks.into_iter().for_each(|task| engine.inner.run(task));
        Ok(engine)
    }

    async fn adopt_all(&self, records: Vec<GuestRecord>) -> Result<Vec<Task>> {
        {
            let mut index = self.inner.index();
            for record in &records {
                index.take_name(&record.name, record.id)?;
            }
        }
        let mut adoptions = JoinSet::new();
        for record in records {
            let (guest, mut task) = Guest::new(&self.inner, record);
            self.inner.index().add(guest);
            adoptions.spawn(async move {
                task.adopt().await;
                task
            });
        }
        let mut tasks = Vec::new();
        while let Some(adopted) = adoptions.join_next().await {
            tasks.push(adopted.map_err(Error::internal("take over a guest"))?);
        }
        Ok(tasks)
    }

    /// Directories of guests without a record, or shims of guests that do not live. Records are
    /// written before and removed after everything else, so these are left over from a disk that lost
    /// what was last written to it.
    async fn remove_strays(&self) -> Result<()> {
        let guests = self.guests();
        let id = |guest: &Guest| guest.id().to_string();
        let known: HashSet<String> = guests.iter().map(id).collect();
        let lives = |guest: &&Guest| guest.view().is_running();
        let alive: HashSet<String> = guests.iter().filter(lives).map(id).collect();
        let inner = Arc::clone(&self.inner);
        let removed = tokio::task::spawn_blocking(move || {
            for id in names_in(&inner.paths.run_dirs()) {
                if !alive.contains(&id) {
                    let dir = inner.paths.run_dirs().join(&id);
                    tracing::warn!(dir = %dir.display(), "removing the remains of a guest");
                    shim::program::end_of(&dir);
                    remove_cgroup(&dir);
                    crate::paths::remove_logged(&dir, |dir| fs::remove_dir_all(dir));
                }
            }
            for id in inner.store.writables.list()? {
                if !known.contains(&id) {
                    tracing::warn!(guest = id, "removing the files of an unknown guest");
                    inner.store.writables.remove(&id)?;
                }
            }
            Ok(())
        });
        removed
            .await
            .map_err(Error::internal("look for remains"))?
            .map_err(of_store("look for remains"))
    }
}

/// Removes the cgroup of a guest nobody knows, with all that is in it: where it is, its plan says.
fn remove_cgroup(run_dir: &Path) {
    const PATIENCE: Duration = Duration::from_secs(5);
    // Without a plan there was no shim, and so no cgroup.
    let Ok(plan) = hull_shim::plan::ShimPlan::read(run_dir) else { return };
    if let Err(error) = plan.launch.cgroup.remove(PATIENCE) {
        tracing::warn!(dir = %run_dir.display(), %error, "cannot remove the remains of a cgroup");
    }
}

fn prepare(config: Config) -> Result<(Parts, Vec<GuestRecord>)> {
    let paths = Paths { data_root: config.data_root.clone(), exec_root: config.exec_root.clone() };
    for root in [&paths.data_root, &paths.exec_root] {
        private_dir(root).map_err(Error::internal(format!("make {}", root.display())))?;
    }
    claim_exec_root(&paths)?;
    if let Seccomp::Profile(text) = &config.seccomp {
        // Better now than at each start. All capabilities: every rule is then looked at.
        let host = HostFacts::read().map_err(Error::internal("look at the host"))?;
        let host = hull_container::seccomp::Host { kernel: host.kernel };
        hull_container::seccomp::compile(text, u64::MAX, &host).map_err(|error| {
            Error::caused(Kind::Invalid, "use the daemon's seccomp profile", error)
        })?;
    }
    let doing = format!("open the store at {}", paths.data_root.display());
    let store = Arc::new(Store::open(&paths.data_root).map_err(of_store(doing))?);
    let records = GuestRecords(Arc::clone(&store)).load()?;
    let bin = paths.exec_root.join("bin");
    let install = |program: hull_programs::Program| {
        let doing = format!("put {} into {}", program.name, bin.display());
        program.install(&bin).map_err(Error::internal(doing))
    };
    let shim = install(hull_programs::SHIM)?;
    let shim = hull_sys::mount::read_only_program(&shim)
        .map_err(Error::internal(format!("make {} read-only", shim.display())))?;
    let init = install(hull_programs::INIT)?;
    let taken = records.iter().filter_map(|record| record.id_range);
    let foreign = config.ids_taken.clone();
    let id_ranges = IdRanges::open(config.id_pool, foreign, Path::new(LOCK_FILE), taken)
        .map_err(Error::internal("find out which host ids are in use"))?;
    let mut in_use: Vec<_> = records.iter().filter(|record| record.endpoint.is_some()).collect();
    // Those that are known to run come first: if two records name one address, it is theirs.
    in_use.sort_by_key(|record| record.pid.is_none());
    let in_use: Vec<_> = in_use.iter().filter_map(|record| record.endpoint.clone()).collect();
    let instance = instance_of(&paths.data_root)?;
    let bridge = config.bridge.clone();
    let networks = Networks::open(Arc::clone(&store), instance, bridge, &in_use)?;
    let host = facts(&paths.data_root)?;
    if config.cgroup_driver == CgroupDriver::Systemd {
        hull_container::systemd::check(&host)
            .map_err(|error| Error::new(Kind::Invalid, error.to_string()))?;
        hull_container::systemd::slice_path(&config.cgroup_parent)
            .map_err(|error| Error::new(Kind::Invalid, error.to_string()))?;
    }
    let registry = hull_registry::Client::new(&config.registries)
        .map_err(Error::internal("set up the registry client"))?;
    let parts = Parts { config, paths, host, shim, init, store, networks, id_ranges, registry };
    Ok((parts, records))
}

/// What the host offers, to guests whose layers are at `data_root`.
fn facts(data_root: &Path) -> Result<HostFacts> {
    let mut host = HostFacts::read().map_err(Error::internal("read what the host offers"))?;
    host.unmappable = match host.user_namespaces {
        true => owners::obstacle(data_root, host.kernel)
            .map_err(Error::internal(format!("look at {}", data_root.display())))?,
        false => Some("this kernel gives no user namespaces (user.max_user_namespaces)".to_owned()),
    };
    if let Some(why) = &host.unmappable {
        tracing::warn!(why, "guests run in the host's user namespace");
    }
    Ok(host)
}

/// Makes sure that no engine with other data has its guests in this exec root: they would be taken
/// for remains of ours, and ended.
fn claim_exec_root(paths: &Paths) -> Result<()> {
    let file = paths.exec_root.join("data-root");
    let doing = || format!("look whose {} is", paths.exec_root.display());
    let own = fs::canonicalize(&paths.data_root).map_err(Error::internal(doing()))?;
    let own = own.as_os_str().as_encoded_bytes();
    match fs::read(&file) {
        Ok(found) if found == own => return Ok(()),
        // A crash may have left it empty.
        Ok(found) if !found.is_empty() => {
            let text = format!(
                "exec root {} belongs to the engine with data root {}; hint: choose another one, \
                 or remove {} if that engine is no more",
                paths.exec_root.display(),
                String::from_utf8_lossy(&found),
                file.display()
            );
            return Err(Error::new(Kind::Conflict, text));
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(Error::caused(Kind::Internal, doing(), error)),
    }
    fs::write(&file, own).map_err(Error::internal(doing()))
}

/// Names this engine's things in the kernel: its own name for each data root.
fn instance_of(data_root: &Path) -> Result<Instance> {
    let name = if data_root == Path::new(DEFAULT_DATA_ROOT) {
        DEFAULT_INSTANCE.to_owned()
    } else {
        let bytes = data_root.as_os_str().as_encoded_bytes();
        format!("{DEFAULT_INSTANCE}-{:016x}", shim::program::fingerprint(bytes))
    };
    name.parse().map_err(Error::internal("name the engine"))
}

/// Makes a directory for root's eyes only; one that is there keeps its mode.
fn private_dir(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn names_in(dir: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.collect()
}
