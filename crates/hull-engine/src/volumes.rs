//! Named volumes: what is known of each, and who uses it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use hull_model::event::Subject;
use hull_model::name::Name;
use hull_model::time::Timestamp;
use hull_store::Store;
use hull_store::records::Table;
use serde::{Deserialize, Serialize};

use crate::engine::{Engine, Inner};
use crate::error::{Error, Kind, Result};
use crate::events::Events;
use crate::record::GuestRecord;
use crate::records::{of_records, of_store};

const VOLUMES: Table = Table::new("volumes");

/// What is known of a volume.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Volume {
    /// Its name.
    pub name: Name,
    /// When it was made.
    pub created: Timestamp,
    /// Free key-value pairs.
    pub labels: BTreeMap<String, String>,
    /// Whether it was made without a name, for one guest.
    pub anonymous: bool,
    /// Where its files are.
    #[serde(skip)]
    pub path: PathBuf,
}

/// Access to the volumes of an engine. Blocking: call through `spawn_blocking` from async code.
#[derive(Clone)]
pub struct Volumes {
    pub(crate) engine: Engine,
}

impl Volumes {
    /// Makes the volume, or finds it: making one twice is no error, as in Docker.
    pub fn create(&self, name: &Name, labels: BTreeMap<String, String>) -> Result<Volume> {
        let (volume, made) = make(&self.engine.inner.store, name, labels, false)?;
        if made {
            publish(self.engine.events(), "create", name);
        }
        Ok(volume)
    }

    /// Makes a volume with a name of its own, as `docker volume create` without a name.
    pub fn create_unnamed(&self, labels: BTreeMap<String, String>) -> Result<Volume> {
        let name = Name::new(&crate::random::hex_id()?);
        let name =
            name.unwrap_or_else(|bad| unreachable!("64 hexadecimal digits are a name: {bad}"));
        let (volume, _made) = make(&self.engine.inner.store, &name, labels, true)?;
        publish(self.engine.events(), "create", &name);
        Ok(volume)
    }

    /// The volume of this name.
    pub fn find(&self, name: &str) -> Result<Volume> {
        let missing = || Error::new(Kind::Missing, format!("get {name}: no such volume"));
        let name = Name::new(name).map_err(|_cannot_exist| missing())?;
        read(&self.engine.inner.store, &name)?.ok_or_else(missing)
    }

    /// Every volume, by name.
    pub fn list(&self) -> Result<Vec<Volume>> {
        let store = &self.engine.inner.store;
        let names = store.volumes.list().map_err(of_store("list the volumes"))?;
        names.iter().filter_map(|name| read(store, name).transpose()).collect()
    }

    /// The names of the guests that have the volume mounted, or would when they run.
    pub fn users(&self, name: &Name) -> Vec<Name> {
        let users = users(&self.engine.inner, name);
        users.iter().map(|record| record.name.clone()).collect()
    }

    /// How much disk its files take.
    pub fn size(&self, name: &Name) -> Result<u64> {
        let store = &self.engine.inner.store;
        store.volumes.usage(name).map(|usage| usage.bytes).map_err(of_store("measure a volume"))
    }

    /// Deletes a volume that nobody uses. With `force` a missing one is no error.
    pub fn remove(&self, name: &str, force: bool) -> Result<()> {
        let volume = match self.find(name) {
            Err(error) if force && error.kind == Kind::Missing => return Ok(()),
            found => found?,
        };
        // Held while the volume goes: no guest that is being created can take it in between.
        let _taking = self.engine.inner.taking();
        let users = self.users(&volume.name);
        if !users.is_empty() {
            let list: Vec<_> = users.iter().map(Name::as_str).collect();
            let text = format!("remove {name}: volume is in use - [{}]", list.join(", "));
            return Err(Error::new(Kind::Conflict, text));
        }
        delete(&self.engine.inner.store, &volume.name)?;
        publish(self.engine.events(), "destroy", &volume.name);
        Ok(())
    }

    /// Deletes the volumes that nobody uses and that `unwanted` says may go; tells which, and how
    /// many bytes that gave back.
    pub fn prune(&self, unwanted: impl Fn(&Volume) -> bool) -> Result<(Vec<Name>, u64)> {
        let (mut gone, mut bytes) = (Vec::new(), 0);
        for volume in self.list()?.into_iter().filter(unwanted) {
            let size = self.size(&volume.name)?;
            match self.remove(volume.name.as_str(), false) {
                Ok(()) => {
                    bytes += size;
                    gone.push(volume.name);
                }
                // In use, or removed by somebody else meanwhile.
                Err(error) if matches!(error.kind, Kind::Conflict | Kind::Missing) => {}
                Err(error) => return Err(error),
            }
        }
        Ok((gone, bytes))
    }
}

/// Tells everybody that `action` happened to a volume.
pub(crate) fn publish(events: &Events, action: &str, name: &Name) {
    let attributes = [("driver".to_owned(), "local".to_owned())].into();
    events.publish(Subject::Volume, action, name.to_string(), attributes);
}

/// The guests that have the volume mounted, or would when they run.
fn users(inner: &Inner, name: &Name) -> Vec<Arc<GuestRecord>> {
    let mut records = inner.index().records();
    records.retain(|record| record.mounts.iter().any(|mount| mount.volume.as_ref() == Some(name)));
    records
}

/// Deletes the volumes that were made for a guest alone, except those that others use by now.
pub(crate) fn delete_own(inner: &Inner, record: &GuestRecord) -> Result<()> {
    let own = record.mounts.iter().filter(|mount| mount.anonymous);
    for volume in own.filter_map(|mount| mount.volume.as_ref()) {
        let _taking = inner.taking();
        if users(inner, volume).iter().all(|user| user.id == record.id) {
            delete(&inner.store, volume)?;
            publish(&inner.events, "destroy", volume);
        }
    }
    Ok(())
}

/// Makes the volume unless it exists; tells whether it had to be made.
pub(crate) fn make(
    store: &Arc<Store>,
    name: &Name,
    labels: BTreeMap<String, String>,
    anonymous: bool,
) -> Result<(Volume, bool)> {
    if let Some(volume) = read(store, name)? {
        return Ok((volume, false));
    }
    let created = Timestamp::from(std::time::SystemTime::now());
    let mut volume =
        Volume { name: name.clone(), created, labels, anonymous, path: PathBuf::new() };
    let value = serde_json::to_vec(&volume).map_err(Error::internal("write a volume's record"))?;
    // Recorded before it is made: a crash between the two leaves a record of an empty volume.
    store
        .records
        .put(VOLUMES, name.as_str(), &value)
        .map_err(of_records("write a volume's record"))?;
    let doing = format!("make volume {name}");
    (volume.path, _) = store.volumes.create(name).map_err(of_store(doing))?;
    Ok((volume, true))
}

/// Deletes the volume's files, then its record. What is gone already is no error.
pub(crate) fn delete(store: &Arc<Store>, name: &Name) -> Result<()> {
    match store.volumes.remove(name) {
        Err(error) if error.kind() != hull_store::Kind::Missing => {
            return Err(of_store(format!("remove volume {name}"))(error));
        }
        Ok(()) | Err(_) => {}
    }
    let removed = store.records.delete(VOLUMES, name.as_str());
    removed.map(drop).map_err(of_records("remove a volume's record"))
}

/// The recorded volume; one whose directory a crash kept from being made is made now.
fn read(store: &Arc<Store>, name: &Name) -> Result<Option<Volume>> {
    let doing = "read a volume's record";
    let Some(value) = store.records.get(VOLUMES, name.as_str()).map_err(of_records(doing))? else {
        return Ok(None);
    };
    let mut volume: Volume = serde_json::from_slice(&value).map_err(Error::internal(doing))?;
    (volume.path, _) = store.volumes.create(name).map_err(of_store(doing))?;
    Ok(Some(volume))
}
