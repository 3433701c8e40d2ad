//! Finding guests by id, part of an id, or name.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use hull_model::id::GuestId;
use hull_model::name::Name;

use crate::error::{Error, Kind, Result};
use crate::guest::Guest;
use crate::record::GuestRecord;

/// All guests, and whose each name is.
#[derive(Default)]
pub(crate) struct Index {
    guests: BTreeMap<GuestId, Guest>,
    /// Those that are being created: not found by anybody, but what they use is in use.
    making: BTreeMap<GuestId, Arc<GuestRecord>>,
    names: HashMap<Name, GuestId>,
}

impl Index {
    pub(crate) fn add(&mut self, guest: Guest) {
        self.making.remove(&guest.id());
        self.guests.insert(guest.id(), guest);
    }

    /// The guest of `record` is being created: [`Self::add`] or [`Self::remove`] follows.
    pub(crate) fn begin(&mut self, record: &GuestRecord) {
        self.making.insert(record.id, Arc::new(record.clone()));
    }

    pub(crate) fn remove(&mut self, id: &GuestId, name: &Name) {
        self.guests.remove(id);
        self.making.remove(id);
        self.give_name_back(name);
    }

    pub(crate) fn all(&self) -> Vec<Guest> {
        self.guests.values().cloned().collect()
    }

    /// The records of all guests, also of those that are being created.
    pub(crate) fn records(&self) -> Vec<Arc<GuestRecord>> {
        let made = self.guests.values().map(Guest::record);
        made.chain(self.making.values().cloned()).collect()
    }

    /// Reserves `name` for `id`, in Docker's words if it is taken.
    pub(crate) fn take_name(&mut self, name: &Name, id: GuestId) -> Result<()> {
        match self.names.get(name) {
            Some(holder) => Err(Error::new(
                Kind::Conflict,
                format!(
                    "Conflict. The container name \"/{name}\" is already in use by container \
                     \"{holder}\". You have to remove (or rename) that container to be able to reuse \
                     that name."
                ),
            )),
            None => {
                self.names.insert(name.clone(), id);
                Ok(())
            }
        }
    }

    pub(crate) fn give_name_back(&mut self, name: &Name) {
        self.names.remove(name);
    }

    /// The guest with this id or name, or whose id alone begins like this. An id goes before a name,
    /// a name before a part of an id, as in Docker.
    pub(crate) fn find(&self, reference: &str) -> Result<Guest> {
        let missing = || Error::new(Kind::Missing, format!("No such container: {reference}"));
        if let Ok(id) = reference.parse::<GuestId>() {
            return self.guests.get(&id).cloned().ok_or_else(missing);
        }
        let name = reference.strip_prefix('/').unwrap_or(reference);
        if let Some(id) = Name::new(name).ok().and_then(|name| self.names.get(&name)) {
            // A name without a guest is reserved for one that is being created.
            return self.guests.get(id).cloned().ok_or_else(missing);
        }
        if reference.is_empty() {
            return Err(missing());
        }
        let mut like = self.guests.values().filter(|g| g.id().to_string().starts_with(reference));
        match (like.next(), like.next()) {
            (Some(guest), None) => Ok(guest.clone()),
            (None, _) => Err(missing()),
            (Some(_), Some(_)) => Err(Error::new(
                Kind::Invalid,
                format!("multiple IDs found with provided prefix: {reference}"),
            )),
        }
    }
}
