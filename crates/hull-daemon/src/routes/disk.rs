//! `GET /system/df`: what images, containers and volumes take.

use std::time::SystemTime;

use hull_api::container::list::{self, ContainerSummary};
use hull_api::container::view::{ContainerView, Paths};
use hull_api::image::list as image_list;
use hull_api::image::list::ImageSummary;
use hull_api::image::view::ImageView;
use hull_api::system::df::{DiskQuery, DiskUsage, Part, write};
use hull_api::version::ApiVersion;
use hull_api::volume::{self, Usage, Volume, VolumeView};
use hull_engine::Engine;
use hull_model::time::Timestamp;

use super::{Answer, App, Call};
use crate::http::answer::{Failure, json};

/// Walks the files of what is asked for, so it takes its time.
pub(super) async fn answer(app: &App, call: &Call) -> Answer {
    let query = DiskQuery::parse(&call.query)?;
    let version = call.version;
    let mut usage = DiskUsage::default();
    if query.images {
        usage.images = Some(app.blocking(move |engine| Ok(images(engine, version))).await?);
    }
    if query.containers {
        usage.containers = Some(containers(app, version).await);
    }
    if query.volumes {
        usage.volumes = Some(app.blocking(volumes).await?);
    }
    Ok(json(&write(&usage, query, version)))
}

fn images(engine: &Engine, version: ApiVersion) -> Part<ImageSummary> {
    let images = engine.images();
    let sizes = images.sizes();
    let mut part =
        Part { items: Vec::new(), active: 0, size: sizes.layers, reclaimable: sizes.layers };
    for named in images.list() {
        let view = super::image::view(&named);
        let shared = sizes.shared.get(&view.id).copied().unwrap_or(0);
        let containers = images.guests(&view.id).len();
        if containers > 0 {
            part.active += 1;
            // What it alone has; layers that a used image shares stay in any case.
            part.reclaimable = part.reclaimable.saturating_sub(view.size);
        }
        let view = ImageView { shared: Some(shared), containers: Some(containers as u64), ..view };
        part.items.push(image_list::summary(&view, version));
    }
    part
}

async fn containers(app: &App, version: ApiVersion) -> Part<ContainerSummary> {
    let now = Timestamp::from(SystemTime::now());
    let mut part = Part { items: Vec::new(), active: 0, size: 0, reclaimable: 0 };
    for guest in app.engine().guests() {
        let record = guest.record();
        // One that is being removed has no size any more.
        let size = super::container::size(&guest).await.ok();
        let written = size.map_or(0, |size| size.rw);
        part.size += written;
        if guest.view().is_running() {
            part.active += 1;
        } else {
            part.reclaimable += written;
        }
        let view = ContainerView {
            record: &record,
            execs: &[],
            paths: Paths::default(),
            size,
            layers: &[],
        };
        part.items.push(list::summary(&view, version, now));
    }
    part
}

fn volumes(engine: &Engine) -> Result<Part<Volume>, Failure> {
    let volumes = engine.volumes();
    let mut part = Part { items: Vec::new(), active: 0, size: 0, reclaimable: 0 };
    for found in volumes.list()? {
        let users = volumes.users(&found.name).len();
        // Removed while we look: it takes nothing.
        let size = volumes.size(&found.name).unwrap_or(0);
        part.size += size;
        if users > 0 {
            part.active += 1;
        } else {
            part.reclaimable += size;
        }
        let path = found.path.to_string_lossy();
        let usage = Some(Usage { size, ref_count: users as u64 });
        part.items.push(volume::write(&VolumeView { usage, ..super::volume::view(&found, &path) }));
    }
    Ok(part)
}
