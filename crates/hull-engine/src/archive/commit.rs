//! Making an image of a guest.

use std::time::SystemTime;

use hull_model::image::{Digest, RunConfig};
use hull_model::life::State;
use hull_model::merge::{merge_configs, run_config};
use hull_model::reference::Reference;
use hull_model::time::Timestamp;
use hull_store::image::Committed;

use super::{Files, MADE};
use crate::engine::Engine;
use crate::error::{Error, Kind, Result};
use crate::guest::Guest;
use crate::records::of_store;

/// What an image of a guest is to be.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    /// What it is called; `None` for its id alone.
    pub name: Option<Reference>,
    /// Who made it.
    pub author: String,
    /// Its history's text.
    pub comment: String,
    /// Freeze the guest meanwhile, so that its files belong together.
    pub pause: bool,
    /// Instructions of a Dockerfile for its configuration.
    pub changes: Vec<String>,
    /// How to run it, before the instructions; the guest's own configuration fills in the rest.
    pub config: Option<RunConfig>,
}

impl Engine {
    /// Makes an image of what `guest` is now.
    pub async fn commit(&self, guest: &Guest, commit: Commit) -> Result<Digest> {
        let files = guest.files(&guest.id().to_string()).await?;
        // The image must stay until the new one is there too.
        let paused = commit.pause && guest.record().state == State::Running;
        if paused {
            match guest.pause().await {
                // It ended or was paused by somebody else meanwhile: its files lie still.
                Err(error) if error.kind == Kind::Conflict => {}
                done => done?,
            }
        }
        let images = self.images();
        let made = tokio::task::spawn_blocking(move || files.commit(&commit, &images)).await;
        if paused {
            match guest.unpause().await {
                Err(error) if error.kind != Kind::Conflict => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        made.map_err(Error::internal("commit the container"))?
    }
}

impl Files {
    fn commit(&self, commit: &Commit, images: &crate::images::Images) -> Result<Digest> {
        let record = self.record();
        let (upper, _) = self.layers()?;
        let base = self.image()?;
        let own = run_config(&record.spec, base.config.config.as_ref());
        let mut config = commit.config.clone().unwrap_or_else(|| own.clone());
        hull_store::image::apply_changes(&mut config, &commit.changes)
            .map_err(|error| of_store("read the changes")(error.into()))?;
        let config = merge_configs(config, &own);
        let committed = Committed {
            base: &base,
            upper: &upper,
            made: &MADE,
            config,
            author: commit.author.clone(),
            comment: commit.comment.clone(),
            created_by: own.cmd.unwrap_or_default().join(" "),
            created: Timestamp::from(SystemTime::now()),
        };
        let image = self.engine().store.images.commit(&committed);
        let image = image.map_err(of_store("commit the container"))?;
        self.still_there().map_err(Error::internal("commit the container"))?;
        let mut extra =
            vec![("comment", commit.comment.clone()), ("imageID", image.id.to_string())];
        if let Some(name) = &commit.name {
            let given = self.engine().store.images.tag(&image.id, name);
            let (given, _) = given.map_err(of_store(format!("name the image {name}")))?;
            images.publish("tag", image.id, Some(&given));
            extra.push(("imageRef", given.to_string()));
        }
        self.engine().publish(record, "commit", &extra);
        Ok(image.id)
    }
}
