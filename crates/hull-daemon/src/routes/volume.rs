//! `/volumes`.

use http::StatusCode;
use hull_api::volume::{self, PruneQuery, VolumeQuery, VolumeView};
use hull_engine::Volume as Found;

use super::table::Volume;
use super::{Answer, App, Call};
use crate::http::answer::{json, json_with, no_content};

/// Carries out a request on volumes.
pub(super) async fn answer(app: &App, route: Volume, call: Call) -> Answer {
    match route {
        Volume::List => {
            let query = VolumeQuery::parse(&call.query)?;
            let wanted = app.blocking(move |engine| {
                let volumes = engine.volumes();
                let mut wanted = Vec::new();
                for found in volumes.list()? {
                    let path = found.path.to_string_lossy();
                    let view = view(&found, &path);
                    if query.accepts(&view, volumes.users(&found.name).len()) {
                        wanted.push(volume::write(&view));
                    }
                }
                Ok(wanted)
            });
            Ok(json(&volume::list(wanted.await?)))
        }
        Volume::Create => {
            let body = app.json_body(call).await?;
            let wanted = volume::read(&body)?;
            let made = app.blocking(move |engine| match wanted.name {
                Some(name) => Ok(engine.volumes().create(&name, wanted.labels)?),
                None => Ok(engine.volumes().create_unnamed(wanted.labels)?),
            });
            Ok(json_with(StatusCode::CREATED, &written(&made.await?)))
        }
        Volume::Prune => {
            let query = PruneQuery::parse(&call.query, call.version)?;
            let pruned = app.blocking(move |engine| {
                let unwanted = |found: &Found| {
                    let path = found.path.to_string_lossy();
                    query.accepts(&view(found, &path))
                };
                Ok(engine.volumes().prune(unwanted)?)
            });
            let (gone, bytes) = pruned.await?;
            Ok(json(&volume::pruned(gone.iter().map(ToString::to_string).collect(), bytes)))
        }
        Volume::Inspect(name) => {
            let found = app.blocking(move |engine| Ok(engine.volumes().find(&name)?)).await?;
            Ok(json(&written(&found)))
        }
        Volume::Remove(name) => {
            let force = call.query.flag("force");
            app.blocking(move |engine| Ok(engine.volumes().remove(&name, force)?)).await?;
            Ok(no_content())
        }
    }
}

fn written(found: &Found) -> volume::Volume {
    volume::write(&view(found, &found.path.to_string_lossy()))
}

/// A volume in the words of the API's crate.
pub(super) fn view<'a>(found: &'a Found, path: &'a str) -> VolumeView<'a> {
    VolumeView {
        name: &found.name,
        created: found.created,
        labels: &found.labels,
        anonymous: found.anonymous,
        path,
        usage: None,
    }
}
