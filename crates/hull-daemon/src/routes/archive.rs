//! Archives of images: loaded, imported, saved. Streamed, so their size does not matter.

use bytes::Bytes;
use futures_util::StreamExt as _;
use hull_api::image::answers::loaded;
use hull_api::image::requests::{Import, platform_object};
use hull_api::stream::{Message, status};
use hull_engine::About;
use hyper::body::Incoming;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::{Answer, App, Call};
use crate::http::answer::{Failure, stream};
use crate::http::bridge::{Received, Upload, download, upload};
use crate::http::progress::{REPORTS_MAX, start};

/// `POST /images/load`.
pub(super) async fn load(app: &App, call: Call) -> Answer {
    let platform = platform_object(&call.query)?;
    let images = app.engine().images();
    let work = move |archive: Upload, reports: mpsc::Sender<Message>| {
        for one in images.load(archive, platform.as_ref())? {
            for message in loaded(one.image.id, &one.names) {
                // A client that left does not want to know.
                reports.blocking_send(message).ok();
            }
        }
        Ok(())
    };
    transfer(app, call.body, work).await
}

/// `POST /images/create?fromSrc=-`.
pub(super) async fn import(app: &App, wanted: Import, body: Incoming) -> Answer {
    let Import { name, message, changes, platform } = wanted;
    let about = About { changes, comment: message, platform, created: None };
    let images = app.engine().images();
    let work = move |archive: Upload, reports: mpsc::Sender<Message>| {
        let id = images.import(archive, &about, name.as_ref())?;
        reports.blocking_send(status(id.to_string())).ok();
        Ok(())
    };
    transfer(app, body, work).await
}

/// Has a thread read what the client uploads.
///
/// The body moves along inside the answer's stream: a client that leaves ends the upload with an
/// error, and the thread with it.
async fn transfer<W>(app: &App, body: Incoming, work: W) -> Answer
where
    W: FnOnce(Upload, mpsc::Sender<Message>) -> Result<(), Failure> + Send + 'static,
{
    let place = place(app).await;
    let (archive, pump) = upload(body);
    let (sender, reports) = mpsc::channel(REPORTS_MAX);
    let work = async move {
        let thread = tokio::task::spawn_blocking(move || {
            let _place = place;
            work(archive, sender)
        });
        let (ended, ()) = tokio::join!(thread, pump.run());
        ended.unwrap_or_else(|error| Err(Failure::internal(&error)))
    };
    Ok(stream("application/json", start(work, reports).await?))
}

/// `GET /images/get`: one archive of the images that `names` mean.
pub(super) async fn save(app: &App, names: Vec<String>, call: &Call) -> Answer {
    if names.is_empty() {
        return Err(Failure::invalid("no image to save: give names"));
    }
    if platform_object(&call.query)?.is_some() {
        return Err(Failure::unsupported("saving one platform of an image"));
    }
    let images = app.engine().images();
    for name in &names {
        // Found out before the head is written, so that a wrong name is a 404.
        images.find(name)?;
    }
    let place: OwnedSemaphorePermit = place(app).await;
    let (mut archive, pieces) = download();
    let thread = tokio::task::spawn_blocking(move || {
        let _place = place;
        images.save(&names, &mut archive).map_err(std::io::Error::other)?;
        std::io::Write::flush(&mut archive)
    });
    // A failure cuts the connection: the client must not take a part for the whole.
    let end = futures_util::stream::once(thread).filter_map(|ended| async move {
        ended.unwrap_or_else(|error| Err(std::io::Error::other(error))).err().map(Err)
    });
    let body = Received(pieces).map(Ok::<Bytes, std::io::Error>).chain(end);
    Ok(stream("application/x-tar", Box::pin(body)))
}

/// One of the few places for archives on their way.
pub(super) async fn place(app: &App) -> OwnedSemaphorePermit {
    match std::sync::Arc::clone(&app.0.transfers).acquire_owned().await {
        Ok(place) => place,
        Err(_closed) => unreachable!("nobody closes this semaphore"),
    }
}
