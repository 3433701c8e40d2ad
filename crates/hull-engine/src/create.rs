//! Making a guest: names found, mounts resolved, recorded, then made.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use hull_model::guest::GuestSpec;
use hull_model::id::GuestId;
use hull_model::life::State;
use hull_model::merge::merge;
use hull_model::mount::{Mount, Origin, Propagation, Source};
use hull_model::name::Name;
use hull_model::time::Timestamp;
use hull_store::tree::{Owners, copy_into};
use hull_store::{Store, view};

use crate::engine::{Engine, Inner};
use crate::error::{Error, Kind, Result};
use crate::record::{GuestRecord, MountPoint};
use crate::records::of_store;
use crate::users;

/// Names tried before giving up; Docker tries six.
const NAME_ATTEMPTS: u32 = 16;

/// What is to be made.
#[derive(Clone, Debug)]
pub struct Create {
    /// Its name; `None` makes one up.
    pub name: Option<Name>,
    /// What it is to be, before the image's defaults.
    pub spec: GuestSpec,
}

/// What was made.
#[derive(Clone, Debug)]
pub struct Created {
    /// Its id.
    pub id: GuestId,
    /// What the user should know.
    pub warnings: Vec<String>,
}

impl Engine {
    /// Makes a guest. Afterwards it is recorded and can be started; if this fails, nothing of it is
    /// left.
    pub async fn create(&self, request: Create) -> Result<Created> {
        let inner = Arc::clone(&self.inner);
        // Served there and not here: whoever asked may leave meanwhile, and it would be made and
        // found by nobody.
        let made = tokio::task::spawn_blocking(move || {
            let record = inner.make(request)?;
            let id = record.id;
            inner.publish(&record, "create", &[]);
            let warnings = crate::advice::warnings(&record, inner.host.kernel);
            inner.serve(record);
            Ok(Created { id, warnings })
        });
        made.await.map_err(Error::internal("create a container"))?
    }
}

impl Inner {
    fn make(&self, Create { name, spec }: Create) -> Result<GuestRecord> {
        // Until the index knows, so that neither image nor volumes go after they were found.
        let taking = self.taking();
        let image = self.find_image(&spec.image)?;
        let defaults = image.config.config.clone().unwrap_or_default();
        let (spec, borrowed) = crate::borrow::mounts(spec, &self.index())?;
        let mut spec = merge(spec, &defaults)
            .map_err(|source| Error::new(Kind::Invalid, crate::records::chain(&source)))?;
        spec.init = spec.init.or(Some(self.config.init));
        self.check_parent(&spec.cgroup_parent)?;
        let id = GuestId::from_random(crate::random::bytes()?);
        let (spec, mut mounts) = resolve_mounts(spec, &self.store)?;
        borrowed.mark(&mut mounts);
        let unmappable = self.host.unmappable.as_deref();
        let host_user = users::host_user(&spec, self.config.users, unmappable)?;
        let name = self.reserve_name(name, id)?;
        let mut record = GuestRecord {
            id,
            name,
            created: Timestamp::from(SystemTime::now()),
            spec,
            image: image.id,
            // Until it is whole: a daemon that opens the engine then takes it back.
            state: State::Removing,
            pid: None,
            started: None,
            exit: None,
            out_of_memory: false,
            error: String::new(),
            stopped_by_user: false,
            restarts: 0,
            restarting: false,
            id_range: None,
            host_user,
            endpoint: None,
            mounts,
            health: None,
        };
        self.index().begin(&record);
        drop(taking);
        let made = self
            .records
            .save_blocking(&record)
            .and_then(|()| self.make_files(&record, &image.layer_dirs))
            .and_then(|()| {
                record.state = State::Created;
                self.records.save_blocking(&record)
            });
        if let Err(error) = made {
            self.unmake(&record);
            return Err(error);
        }
        Ok(record)
    }

    /// The image, which is made on the spot if it is the built-in one.
    fn find_image(&self, name: &str) -> Result<Arc<hull_store::image::Image>> {
        match self.store.images.resolve(name) {
            Err(error) if error.kind() == hull_store::Kind::Missing && is_hello(name) => {
                crate::images::load_hello(&self.store)?;
                self.store.images.resolve(name).map_err(of_store("find the built-in image"))
            }
            found => found.map_err(of_store("find the image")),
        }
    }

    fn reserve_name(&self, wanted: Option<Name>, id: GuestId) -> Result<Name> {
        let mut index = self.index();
        if let Some(name) = wanted {
            index.take_name(&name, id)?;
            return Ok(name);
        }
        let seed = u64::from_ne_bytes(crate::random::bytes()?);
        for attempt in 0..NAME_ATTEMPTS {
            let name = Name::random(seed.rotate_left(attempt * 4), attempt);
            if index.take_name(&name, id).is_ok() {
                return Ok(name);
            }
        }
        Err(Error::new(Kind::Conflict, "no free name was found; hint: give one with --name"))
    }

    fn make_files(&self, record: &GuestRecord, layers: &[PathBuf]) -> Result<()> {
        let id = record.id.to_string();
        self.store.writables.create(&id).map_err(of_store("make the guest's files"))?;
        for mount in &record.mounts {
            let Some(name) = &mount.volume else {
                make_source(record, mount)?;
                continue;
            };
            let (volume, made) =
                crate::volumes::make(&self.store, name, BTreeMap::new(), mount.anonymous)?;
            if made {
                crate::volumes::publish(&self.events, "create", name);
            }
            if copies(&record.spec.mounts, mount) {
                fill(layers, Path::new(mount.target.as_str()), &volume.path)?;
            }
        }
        Ok(())
    }

    /// Takes back what a failed creation left. Its first error is the one to report.
    fn unmake(&self, record: &GuestRecord) {
        let log = |what, error: Error| {
            tracing::warn!(guest = %record.id, %error, "cannot {what} of a failed create");
        };
        let own = |mount: &&MountPoint| mount.anonymous && mount.origin != Origin::Guest;
        for mount in record.mounts.iter().filter(own) {
            if let Some(name) = &mount.volume {
                crate::volumes::delete(&self.store, name)
                    .unwrap_or_else(|e| log("remove a volume", e));
            }
        }
        let id = record.id.to_string();
        let removed = self.store.writables.remove(&id).map_err(of_store("remove"));
        removed.unwrap_or_else(|error| log("remove the files", error));
        self.records.delete_blocking(&record.id).unwrap_or_else(|e| log("remove the record", e));
        self.index().remove(&record.id, &record.name);
    }
}

/// Gives anonymous volumes their names, and every mount the place where it comes from.
fn resolve_mounts(mut spec: GuestSpec, store: &Store) -> Result<(GuestSpec, Vec<MountPoint>)> {
    let mut points: Vec<MountPoint> = Vec::new();
    for Mount { target, source, read_only, origin } in &mut spec.mounts {
        if points.iter().any(|point| point.target == *target) {
            let text = format!("Duplicate mount point: {}", target.as_str());
            return Err(Error::new(Kind::Invalid, text));
        }
        let (volume, anonymous, path, propagation) = match source {
            Source::Tmpfs { .. } => continue,
            Source::Bind { path, propagation, .. } => {
                (None, false, PathBuf::from(&*path), *propagation)
            }
            Source::Volume { name, .. } => {
                let anonymous = name.is_none();
                let name = match name {
                    Some(name) => name.clone(),
                    None => Name::new(&crate::random::hex_id()?)
                        .map_err(Error::internal("name a volume"))?,
                };
                let path = store.volumes.place(&name);
                (Some(name), anonymous, path, Propagation::default())
            }
        };
        let (read_only, origin, target) = (*read_only, *origin, target.clone());
        points.push(MountPoint {
            volume,
            anonymous,
            source: path,
            target,
            read_only,
            propagation,
            origin,
        });
    }
    Ok((spec, points))
}

/// A bind mount's source: made if it is missing and `-v` asked for it, else it must be there.
fn make_source(record: &GuestRecord, point: &MountPoint) -> Result<()> {
    let path = &point.source;
    let exists = path.symlink_metadata().is_ok();
    let create = record.spec.mounts.iter().any(|mount| {
        mount.target == point.target && matches!(mount.source, Source::Bind { create: true, .. })
    });
    match (exists, create) {
        (true, _) => Ok(()),
        (false, true) => std::fs::create_dir_all(path).map_err(|source| {
            Error::caused(
                Kind::Invalid,
                format!("error while creating mount source path '{}'", path.display()),
                source,
            )
        }),
        (false, false) => Err(Error::new(
            Kind::Invalid,
            format!(
                "invalid mount config for type \"bind\": bind source path does not exist: {}",
                path.display()
            ),
        )),
    }
}

fn copies(mounts: &[Mount], point: &MountPoint) -> bool {
    point.origin == Origin::Volumes
        || mounts.iter().any(|mount| {
            mount.target == point.target
                && matches!(mount.source, Source::Volume { copy: true, .. })
        })
}

/// Copies what the image has at `target` into a volume that is still empty.
fn fill(layers: &[PathBuf], target: &Path, volume: &Path) -> Result<()> {
    let doing = format!("fill the volume mounted at {}", target.display());
    let mut entries = std::fs::read_dir(volume).map_err(Error::internal(doing.clone()))?;
    if entries.next().is_some() {
        return Ok(());
    }
    let copied = view::read_only(layers)
        .and_then(|root| copy_into(root.as_fd(), target, volume, Owners::Same));
    copied.map(drop).map_err(|error| of_store(doing)(error.into()))
}

fn is_hello(name: &str) -> bool {
    name == "hello" || name == hull_programs::HELLO_NAME
}
