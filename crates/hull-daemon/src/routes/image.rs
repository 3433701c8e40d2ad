//! `/images`.

use std::time::SystemTime;

use http::{HeaderMap, StatusCode};
use hull_api::image::answers::{DeleteItem, pruned};
use hull_api::image::history::{self, StepView};
use hull_api::image::inspect::inspect;
use hull_api::image::list::{Bounds, ImageQuery, summary};
use hull_api::image::progress::{self, Layer};
use hull_api::image::prune::PruneQuery;
use hull_api::image::requests::{self, ImageCreate};
use hull_api::image::view::ImageView;
use hull_api::stream::Message;
use hull_engine::{Credentials, Force, Kind, Named, Pull, PullProgress, Removed, Step};
use hull_model::reference::Reference;
use hull_model::time::Timestamp;
use tokio::sync::mpsc;

use super::table::Image;
use super::{Answer, App, Call};
use crate::http::answer::{Failure, Outcome, empty, json, stream};
use crate::http::progress::{REPORTS_MAX, start};

/// Carries out a request on images.
pub(super) async fn answer(app: &App, route: Image, call: Call) -> Answer {
    match route {
        Image::List => list(app, &call).await,
        Image::Create => match requests::create(&call.query)? {
            ImageCreate::Import(wanted) => super::archive::import(app, wanted, call.body).await,
            ImageCreate::Pull { reference, platform } => {
                let credentials = credentials(&call.headers)?;
                pull(app, Pull { reference, platform, credentials }).await
            }
        },
        Image::Load => super::archive::load(app, call).await,
        Image::Prune => prune(app, &call).await,
        Image::SaveMany => {
            let names = call.query.values("names").map(str::to_owned).collect();
            super::archive::save(app, names, &call).await
        }
        Image::Save(name) => super::archive::save(app, vec![name], &call).await,
        Image::Inspect(name) => {
            let found = app.engine().images().find(&name)?;
            let dirs = found.image.layer_dirs.iter().rev();
            let layers: Vec<_> = dirs.map(|path| path.to_string_lossy().into_owned()).collect();
            Ok(json(&inspect(&ImageView { layers: &layers, ..view(&found) }, call.version)))
        }
        Image::History(name) => {
            let rows = app.blocking(move |engine| Ok(engine.images().history(&name)?)).await?;
            let step = |row: &hull_engine::HistoryRow| {
                history::write(&StepView {
                    id: row.id,
                    created: row.created.as_deref(),
                    created_by: &row.created_by,
                    comment: &row.comment,
                    size: row.size,
                    tags: &row.tags,
                })
            };
            Ok(json(&rows.iter().map(step).collect::<Vec<_>>()))
        }
        Image::Tag(name) => {
            let target = requests::tag(&call.query)?;
            app.blocking(move |engine| Ok(engine.images().tag(&name, &target)?)).await?;
            Ok(Outcome::Answer(empty(StatusCode::CREATED)))
        }
        Image::Remove(name) => {
            let force = if call.query.flag("force") { Force::Yes } else { Force::No };
            let gone = app.blocking(move |engine| Ok(engine.images().remove(&name, force)?));
            Ok(json(&items(&gone.await?)))
        }
    }
}

async fn list(app: &App, call: &Call) -> Answer {
    let now = Timestamp::from(SystemTime::now());
    let query = ImageQuery::parse(&call.query, call.version, now)?;
    let images = app.engine().images();
    let made = |name: Option<&str>| -> Result<_, Failure> {
        let Some(name) = name else { return Ok(None) };
        Ok(Some(view(&images.find(name)?).created()))
    };
    let bounds = Bounds { before: made(query.before())?, since: made(query.since())? };
    let sizes = match query.shared_size {
        true => Some(app.blocking(|engine| Ok(engine.images().sizes())).await?),
        false => None,
    };
    let all = images.list();
    let views = all.iter().map(view).filter(|view| query.accepts(view, bounds));
    let lines = views.map(|view| {
        let shared = sizes.as_ref().map(|all| all.shared.get(&view.id).copied().unwrap_or(0));
        let containers = shared.map(|_asked| images.guests(&view.id).len() as u64);
        summary(&ImageView { shared, containers, ..view }, call.version)
    });
    Ok(json(&lines.collect::<Vec<_>>()))
}

/// Pulls as long as the client reads: the work is inside the stream.
async fn pull(app: &App, pull: Pull) -> Answer {
    let images = app.engine().images();
    let reference = pull.reference.clone().or_latest();
    let (news, mut listened) = mpsc::channel(REPORTS_MAX);
    let (sender, reports) = mpsc::channel(REPORTS_MAX);
    let work = async move {
        let pulling = async { images.pull(pull, news).await.map_err(not_pulled) };
        let telling = async {
            while let Some(news) = listened.recv().await {
                for message in messages(&reference, news) {
                    // The receiver is in the stream that polls us.
                    sender.send(message).await.ok();
                }
            }
        };
        let (pulled, ()) = tokio::join!(pulling, telling);
        pulled.map(drop)
    };
    Ok(stream("application/json", start(work, reports).await?))
}

/// Why an image was not pulled. Docker answers 500 where the registry wants a password: at a 401
/// its CLI asks for one, even where nobody can answer.
fn not_pulled(error: hull_engine::Error) -> Failure {
    if error.kind == Kind::Unauthorized {
        return Failure::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string());
    }
    error.into()
}

fn messages(reference: &Reference, news: PullProgress) -> Vec<Message> {
    match news {
        PullProgress::Layers(layers) => {
            let waiting = layers.into_iter().map(|layer| progress::layer(layer, Layer::Waiting));
            std::iter::once(progress::pulling(reference)).chain(waiting).collect()
        }
        PullProgress::Layer(layer, step) => {
            let what = match step {
                Step::Exists => Layer::Exists,
                Step::Downloading(current, total) => Layer::Downloading { current, total },
                Step::Complete => Layer::Complete,
            };
            vec![progress::layer(layer, what)]
        }
        PullProgress::Done { digest, known } => progress::done(reference, digest, known).into(),
    }
}

/// What `X-Registry-Auth` says about who asks.
fn credentials(headers: &HeaderMap) -> Result<Credentials, Failure> {
    let Some(text) = headers.get("x-registry-auth") else { return Ok(Credentials::Anonymous) };
    let invalid = |_not_ascii| Failure::invalid("invalid X-Registry-Auth header: it is not ASCII");
    let auth = hull_api::auth::header(text.to_str().map_err(invalid)?)?;
    Ok(if !auth.registrytoken.is_empty() {
        Credentials::RegistryToken(auth.registrytoken)
    } else if !auth.identitytoken.is_empty() {
        Credentials::IdentityToken(auth.identitytoken)
    } else if auth.username.is_empty() {
        Credentials::Anonymous
    } else {
        Credentials::Basic { username: auth.username, password: auth.password }
    })
}

async fn prune(app: &App, call: &Call) -> Answer {
    let query = PruneQuery::parse(&call.query, Timestamp::from(SystemTime::now()))?;
    let pruned_items = app.blocking(move |engine| {
        let images = engine.images();
        let before = images.sizes().layers;
        let mut gone = Vec::new();
        for named in images.list() {
            if !query.accepts(&view(&named)) || !images.guests(&named.image.id).is_empty() {
                continue;
            }
            let mut names: Vec<_> = named.tags.iter().map(ToString::to_string).collect();
            if names.is_empty() {
                names.push(named.image.id.to_string());
            }
            for name in names {
                match images.remove(&name, Force::No) {
                    Ok(removed) => gone.extend(removed),
                    // Taken or removed by somebody else meanwhile.
                    Err(error) if matches!(error.kind, Kind::Conflict | Kind::Missing) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok((items(&gone), before.saturating_sub(images.sizes().layers)))
    });
    let (items, bytes) = pruned_items.await?;
    Ok(json(&pruned(items, bytes)))
}

fn items(gone: &[Removed]) -> Vec<DeleteItem> {
    let item = |one: &Removed| match one {
        Removed::Untagged(name) => DeleteItem::untagged(name),
        Removed::Deleted(id) => DeleteItem::deleted(*id),
    };
    gone.iter().map(item).collect()
}

/// An image in the words of the API's crate.
pub(super) fn view(named: &Named) -> ImageView<'_> {
    let image = &named.image;
    ImageView {
        id: image.id,
        config: &image.config,
        tags: &named.tags,
        digests: &named.digests,
        size: image.size,
        shared: None,
        containers: None,
        added: image.added,
        layers: &[],
    }
}
