//! Names and images are taken away, by Docker's rules.

use hull_model::image::Digest;
use hull_model::reference::Reference;

use super::{IMAGES, Image, ImageError, Images, NAMES, State};
use crate::error::Result;
use crate::records::Change;

/// What a removal took away, in this order.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Removed {
    /// This name.
    Untagged(Reference),
    /// This image or layer.
    Deleted(Digest),
}

/// Somebody who uses an image.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct User {
    /// What they are called in messages.
    pub name: String,
    /// Whether they run now.
    pub running: bool,
}

/// Whether to remove what somebody may still want.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Force {
    /// Refuse.
    No,
    /// Remove all names, and the image unless somebody uses it.
    Yes,
}

impl Images {
    /// Removes the name `text`, and with the last one the image; or, where `text` is an id, the
    /// image with all its names. `users` says who uses an image.
    ///
    /// With [`Force::Yes`] an image that is used by somebody who does not run loses its names and
    /// stays until they are gone.
    pub fn remove(
        &self,
        text: &str,
        force: Force,
        users: &dyn Fn(&Digest) -> Vec<User>,
    ) -> Result<Vec<Removed>> {
        let mut state = self.write();
        let id = state.find(text)?;
        let Some(image) = state.images.get(&id).cloned() else {
            return Err(ImageError::Missing(text.to_owned()).into());
        };
        let users = users(&id);
        let all: Vec<_> = state.names_of(&id);
        let names = match state.asked_name(text, &id) {
            Some(name) => {
                if is_last(&all, &name) && force == Force::No && !users.is_empty() {
                    return Err(name_in_use(&name, &id, &users).into());
                }
                with_orphaned_digests(&all, &name)
            }
            None => {
                refuse_by_id(&image, &all, force, &users)?;
                all.clone()
            }
        };
        let last = names.len() == all.len();
        if last && users.iter().any(|user| user.running) && state.asked_name(text, &id).is_none() {
            return Err(running(&id, &users).into());
        }
        let delete = last && users.is_empty();
        let mut changes: Vec<_> =
            names.iter().map(|name| Change::Delete(NAMES, name.to_string())).collect();
        if delete {
            changes.push(Change::Delete(IMAGES, id.to_string()));
        }
        self.records.batch(&changes)?;
        state.names.retain(|name, _| !names.contains(name));
        let mut removed: Vec<_> = names.into_iter().map(Removed::Untagged).collect();
        if delete {
            state.images.remove(&id);
            removed.push(Removed::Deleted(id));
            self.remove_parts(&state, &image, &mut removed)?;
        }
        Ok(removed)
    }

    /// Removes every image that has no tag and that nobody uses.
    pub fn prune(&self, used: &dyn Fn(&Digest) -> bool) -> Result<(Vec<Removed>, u64)> {
        let mut state = self.write();
        let (mut removed, mut freed) = (Vec::new(), 0_u64);
        let dangling =
            |state: &State, id: &Digest| state.names_of(id).iter().all(|name| name.tag().is_none());
        let ids: Vec<_> = state.images.keys().copied().collect();
        for id in ids.into_iter().filter(|id| !used(id)) {
            let Some(image) = state.images.get(&id).cloned() else { continue };
            if !dangling(&state, &id) {
                continue;
            }
            let names = state.names_of(&id);
            let rows = names.iter().map(|name| Change::Delete(NAMES, name.to_string()));
            let rows: Vec<_> = rows.chain([Change::Delete(IMAGES, id.to_string())]).collect();
            self.records.batch(&rows)?;
            state.names.retain(|name, _| !names.contains(name));
            state.images.remove(&id);
            removed.extend(names.into_iter().map(Removed::Untagged));
            removed.push(Removed::Deleted(id));
            freed += self.remove_parts(&state, &image, &mut removed)?;
        }
        Ok((removed, freed))
    }

    /// Removes the layers and blobs of a removed image that no other has. Returns the bytes of
    /// these layers.
    fn remove_parts(
        &self,
        state: &State,
        image: &Image,
        removed: &mut Vec<Removed>,
    ) -> Result<u64> {
        let mut freed = 0_u64;
        for layer in image.layers.iter().rev() {
            // A layer below a used one is used as well.
            if state.images.values().any(|other| other.layers.contains(layer)) {
                break;
            }
            let size = self.layers.get(layer).map_or(0, |found| found.size);
            if !self.layers.remove(layer)? {
                break;
            }
            freed = freed.saturating_add(size);
            removed.push(Removed::Deleted(layer.0));
        }
        for blob in &image.blobs {
            if !state.images.values().any(|other| other.blobs.contains(blob)) {
                self.content.delete(blob)?;
            }
        }
        Ok(freed)
    }
}

impl State {
    fn names_of(&self, id: &Digest) -> Vec<Reference> {
        let names = self.names.iter().filter(|(_, of)| *of == id);
        names.map(|(name, _)| name.clone()).collect()
    }

    /// The name that `text` is, unless it is an id.
    fn asked_name(&self, text: &str, id: &Digest) -> Option<Reference> {
        let name = Reference::parse(text).ok()?.or_latest();
        let name = match name.digest() {
            Some(digest) => name.with_digest(digest),
            None => name,
        };
        (self.names.get(&name) == Some(id)).then_some(name)
    }
}

/// Whether an image is nameless without `name`.
fn is_last(all: &[Reference], name: &Reference) -> bool {
    with_orphaned_digests(all, name).len() == all.len()
}

/// With the last tag of a repository its digests go too: nobody could see them any more.
fn with_orphaned_digests(all: &[Reference], name: &Reference) -> Vec<Reference> {
    let same = |other: &&Reference| other.familiar_name() == name.familiar_name();
    let other_tag = |other: &Reference| other.tag().is_some() && other != name;
    let mut names = vec![name.clone()];
    if name.tag().is_some() && !all.iter().filter(same).any(other_tag) {
        names.extend(all.iter().filter(same).filter(|other| other.tag().is_none()).cloned());
    }
    names
}

fn refuse_by_id(
    image: &Image,
    all: &[Reference],
    force: Force,
    users: &[User],
) -> Result<(), ImageError> {
    let conflict =
        |why: String| ImageError::InUse { image: short(&image.id), force: "must be forced", why };
    let tags: Vec<_> = all.iter().filter(|name| name.tag().is_some()).collect();
    let mut repositories: Vec<_> = all.iter().map(Reference::familiar_name).collect();
    repositories.dedup();
    if users.iter().any(|user| user.running) {
        return Err(running(&image.id, users));
    }
    if force == Force::Yes {
        return Ok(());
    }
    if tags.len() > 1 || repositories.len() > 1 {
        return Err(conflict("image is referenced in multiple repositories".into()));
    }
    match users.first() {
        Some(user) => {
            Err(conflict(format!("image is being used by stopped container {}", user.name)))
        }
        None => Ok(()),
    }
}

fn running(id: &Digest, users: &[User]) -> ImageError {
    let user = users.iter().find(|user| user.running).map_or("", |user| user.name.as_str());
    let why = format!("image is being used by running container {user}");
    ImageError::InUse { image: short(id), force: "cannot be forced", why }
}

fn name_in_use(name: &Reference, id: &Digest, users: &[User]) -> ImageError {
    let user = users.first().map(|user| user.name.clone()).unwrap_or_default();
    ImageError::NameInUse { reference: name.to_string(), user, image: short(id) }
}

fn short(id: &Digest) -> String {
    id.hex()[..12].to_owned()
}
