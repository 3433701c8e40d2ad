//! Images, as clients ask for them. Blocking, apart from pulling: call through `spawn_blocking`.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::sync::Arc;

use hull_model::event::Subject;
use hull_model::image::{Digest, Platform};
use hull_model::reference::Reference;
use hull_store::Store;
use hull_store::image::{About, Force, HistoryRow, Image, Loaded, Named, Removed, User};

use crate::engine::Engine;
use crate::error::{Error, Kind, Result};
use crate::guest::Guest;
use crate::record::GuestRecord;
use crate::records::of_store;

/// Access to the images of an engine.
#[derive(Clone)]
pub struct Images {
    pub(crate) engine: Engine,
}

impl Images {
    /// Every image with its names, newest first.
    pub fn list(&self) -> Vec<Named> {
        self.store().images.list()
    }

    /// The image that `name` means, with all its names.
    pub fn find(&self, name: &str) -> Result<Named> {
        self.store().images.inspect(name).map_err(of_store(format!("find image {name}")))
    }

    /// The image with this id, if it is here.
    pub fn get(&self, id: &Digest) -> Option<Arc<Image>> {
        self.store().images.get(id)
    }

    /// The steps by which an image was made, last first.
    pub fn history(&self, name: &str) -> Result<Vec<HistoryRow>> {
        self.store().images.history(name).map_err(of_store(format!("read the history of {name}")))
    }

    /// Stores the images in an archive.
    pub fn load(&self, archive: impl Read, platform: Option<&Platform>) -> Result<Vec<Loaded>> {
        let loaded =
            self.store().images.load(archive, platform).map_err(of_store("load images"))?;
        for Loaded { image, names } in &loaded {
            self.publish("load", image.id, names.first());
        }
        Ok(loaded)
    }

    /// Makes an image of a root file system in an archive, under `name` if there is one.
    pub fn import(
        &self,
        archive: impl Read,
        about: &About,
        name: Option<&Reference>,
    ) -> Result<Digest> {
        let images = &self.store().images;
        let image = images.import(archive, about).map_err(of_store("import an image"))?;
        if let Some(name) = name {
            images.tag(&image.id, name).map_err(of_store(format!("name the image {name}")))?;
        }
        self.publish("import", image.id, name);
        Ok(image.id)
    }

    /// Writes the images into an archive.
    pub fn save(&self, names: &[String], archive: impl Write) -> Result<()> {
        self.store().images.save(names, archive).map_err(of_store("save images"))
    }

    /// Gives the image that `name` means a further name.
    pub fn tag(&self, name: &str, target: &Reference) -> Result<()> {
        let id = self.find(name)?.image.id;
        let doing = format!("name the image {target}");
        let (given, _) = self.store().images.tag(&id, target).map_err(of_store(doing))?;
        self.publish("tag", id, Some(&given));
        Ok(())
    }

    /// Takes a name away, and the image with its last one.
    pub fn remove(&self, name: &str, force: Force) -> Result<Vec<Removed>> {
        let id = self.find(name)?.image.id;
        // Held while it goes: no guest that is being created can take it in between.
        let _taking = self.engine.inner.taking();
        let users = |image: &Digest| self.users(image);
        let removed = self.store().images.remove(name, force, &users);
        let removed = removed.map_err(of_store(format!("remove image {name}")))?;
        for one in &removed {
            match one {
                Removed::Untagged(name) => self.publish("untag", id, Some(name)),
                Removed::Deleted(gone) if *gone == id => self.publish("delete", id, None),
                Removed::Deleted(_) => {}
            }
        }
        Ok(removed)
    }

    /// Removes the images without a tag that nobody uses; tells what, and how many bytes of layers.
    pub fn prune(&self) -> Result<(Vec<Removed>, u64)> {
        let _taking = self.engine.inner.taking();
        let used = |image: &Digest| !self.users(image).is_empty();
        self.store().images.prune(&used).map_err(of_store("remove unused images"))
    }

    /// The guests made from an image.
    pub fn guests(&self, image: &Digest) -> Vec<Guest> {
        self.engine.guests().into_iter().filter(|guest| guest.record().image == *image).collect()
    }

    /// How many bytes the layers of all images take, shared ones once; and for each image how many
    /// of its bytes others share.
    pub fn sizes(&self) -> hull_store::image::ImageSizes {
        self.store().images.sizes()
    }

    fn users(&self, image: &Digest) -> Vec<User> {
        let records = self.engine.inner.index().records();
        let users = records.iter().filter(|record| record.image == *image);
        let running = |record: &GuestRecord| record.state.is_alive() || record.restarting;
        let user =
            |record: &Arc<GuestRecord>| User { name: record.id.short(), running: running(record) };
        users.map(user).collect()
    }

    pub(crate) fn store(&self) -> &Arc<Store> {
        &self.engine.inner.store
    }

    pub(crate) fn publish(&self, action: &str, id: Digest, name: Option<&Reference>) {
        let mut attributes = BTreeMap::new();
        if let Some(name) = name {
            attributes.insert("name".to_owned(), name.to_string());
        }
        self.engine.inner.events.publish(Subject::Image, action, id.to_string(), attributes);
    }
}

/// Stores the image that hull carries inside.
pub(crate) fn load_hello(store: &Store) -> Result<()> {
    let archive = hull_programs::hello_image().map_err(Error::internal("make the hello image"))?;
    let loaded = store.images.load(archive.as_slice(), None);
    let loaded = loaded.map_err(of_store("load the hello image"))?;
    if loaded.is_empty() {
        return Err(Error::new(Kind::Internal, "the hello image is empty"));
    }
    Ok(())
}
