//! `/containers`.

use std::collections::BTreeSet;
use std::time::SystemTime;

use http::StatusCode;
use hull_api::container::create::{self, Context, CreateResponse};
use hull_api::container::inspect::inspect;
use hull_api::container::list::{ListQuery, summary};
use hull_api::container::update::{self, UpdateResponse};
use hull_api::container::view::{ContainerView, Paths, Size};
use hull_api::container::{explain, prune, requests, top};
use hull_api::refusal::{self, Refusal};
use hull_api::version::ApiVersion;
use hull_engine::{Create, Error, Guest, Kind};
use hull_model::image::{Digest, Platform};
use hull_model::time::Timestamp;

use super::table::{Container, ContainerAction};
use super::{Answer, App, Call};
use crate::http::answer::{Failure, Outcome, json, json_with, no_content, ok};

/// Carries out a request on guests.
pub(super) async fn answer(app: &App, route: Container, call: Call) -> Answer {
    match route {
        Container::List => list(app, &call).await,
        Container::Create => create(app, call).await,
        Container::Prune => prune(app, &call).await,
        Container::AllStats => super::stats::all(app, &call).await,
        Container::Commit => super::copy::commit(app, call).await,
        Container::One(action, name) => {
            let guest = app.engine().guest(&name)?;
            one(app, action, (guest, &name), call).await
        }
    }
}

/// `name` is what the client called the guest.
async fn one(
    app: &App,
    action: ContainerAction,
    (guest, name): (Guest, &str),
    call: Call,
) -> Answer {
    use ContainerAction as A;
    let query = &call.query;
    match action {
        A::Inspect => {
            let size = if query.flag("size") { Some(size(&guest).await?) } else { None };
            return Ok(shown(app, &guest, size, call.version));
        }
        A::Explain => {
            let explanation = guest.explain().await?;
            return Ok(json(&explain::write(&guest.record(), explanation)));
        }
        A::Top => {
            let arguments = if query.has("ps_args") { query.text("ps_args") } else { "-ef" };
            let processes = guest.processes(arguments).await?;
            return Ok(json(&top::write(processes.titles, processes.rows)));
        }
        A::Stats => return super::stats::answer(app, &guest, &call).await,
        A::Logs => return super::logs::answer(&guest, &call).await,
        A::Wait => return super::wait::answer(&guest, &call),
        A::Attach => return super::attach::answer(app, &guest, call).await,
        A::Exec => return super::exec::create(app, &guest, call).await,
        A::Stat => return super::copy::stat(&guest, name, &call).await,
        A::Pack => return super::copy::get(app, &guest, name, &call).await,
        A::Unpack => return super::copy::put(app, &guest, name, call).await,
        A::Changes => return super::copy::changes(&guest, name).await,
        A::Export => return super::copy::export(app, &guest, name).await,
        A::Update => return update(app, &guest, call).await,
        A::Start => guest.start().await?,
        A::Stop => {
            let (signal, timeout) = requests::stop(query)?;
            guest.stop(signal, timeout).await?;
        }
        A::Restart => {
            let (signal, timeout) = requests::stop(query)?;
            guest.restart(signal, timeout).await?;
        }
        A::Kill => guest.kill(requests::kill(query)?).await?,
        A::Rename => guest.rename(requests::rename(query)?).await?,
        A::Pause => guest.pause().await?,
        A::Unpause => guest.unpause().await?,
        A::Resize => {
            let (rows, columns) = requests::resize(query)?;
            guest.resize(rows, columns).await?;
            // Docker says 200 here, without a body.
            return Ok(ok());
        }
        A::Remove => {
            if query.flag("link") {
                return Err(Failure::unsupported("removing links of containers"));
            }
            guest.remove(query.flag("force"), query.flag("v")).await?;
        }
    }
    Ok(no_content())
}

async fn list(app: &App, call: &Call) -> Answer {
    let query = ListQuery::parse(&call.query)?;
    let mut images = BTreeSet::new();
    for name in query.ancestors() {
        images.extend(built_upon(app, name));
    }
    let guests = app.engine().guests();
    let records: Vec<_> = guests.iter().map(Guest::record).collect();
    let records = query.select(records, &images)?;
    let now = Timestamp::from(SystemTime::now());
    let mut summaries = Vec::with_capacity(records.len());
    for record in &records {
        let mut measured = None;
        if query.size {
            // One that was removed meanwhile has no size.
            measured = match app.engine().guest(&record.id.to_string()) {
                Ok(guest) => size(&guest).await.ok(),
                Err(_removed) => None,
            };
        }
        let view = ContainerView {
            record,
            execs: &[],
            paths: Paths::default(),
            size: measured,
            layers: &[],
        };
        summaries.push(summary(&view, call.version, now));
    }
    Ok(json(&summaries))
}

/// The image that `name` means and those with its layers below their own; none if it is not here.
fn built_upon(app: &App, name: &str) -> Vec<Digest> {
    let images = app.engine().images();
    let Ok(base) = images.find(name) else { return Vec::new() };
    let top = base.image.layers.last();
    let all = images.list().into_iter().map(|named| named.image);
    let upon = all.filter(|image| {
        image.id == base.image.id || top.is_some_and(|top| image.layers.contains(top))
    });
    upon.map(|image| image.id).collect()
}

/// Whether the image, if it is here, is for `wanted`. A missing one is the engine's to refuse.
fn check_platform(app: &App, name: &str, wanted: &Platform) -> Result<(), Failure> {
    let Ok(named) = app.engine().images().find(name) else { return Ok(()) };
    let is = &named.image.config.platform;
    let fits = |wanted: &str, is: &str| wanted.is_empty() || wanted == is;
    if fits(&wanted.os, &is.os)
        && fits(&wanted.architecture, &is.architecture)
        && (is.variant.is_empty() || fits(&wanted.variant, &is.variant))
    {
        return Ok(());
    }
    let message = format!(
        "image with reference {name} was found but does not provide the specified platform \
         ({wanted}): it is for {is}"
    );
    Err(Failure::new(StatusCode::NOT_FOUND, message))
}

async fn create(app: &App, call: Call) -> Answer {
    let name = match call.query.text("name") {
        "" => None,
        text => Some(create::read_name(text)?),
    };
    let platform = create::read_platform(call.query.text("platform"))?;
    let context = Context {
        version: call.version,
        cpus: app.host().cpus,
        supported: app.engine().host().limits.clone(),
        log: app.engine().config().log,
        caller: call.caller,
    };
    let body = app.json_body(call).await?;
    let created = create::read(&body, &context)?;
    let mut spec = created.spec;
    spec.shm_size = spec.shm_size.or(app.settings().shm_size);
    if let Some(platform) = platform {
        check_platform(app, &spec.image, &platform)?;
    }
    let made = app.engine().create(Create { name, spec }).await?;
    let mut warnings = created.warnings;
    warnings.extend(made.warnings);
    Ok(json_with(StatusCode::CREATED, &CreateResponse { id: made.id.to_string(), warnings }))
}

async fn update(app: &App, guest: &Guest, call: Call) -> Answer {
    let body = app.json_body(call).await?;
    let supported = &app.engine().host().limits;
    let change = update::read(&body, supported, app.host().cpus)?;
    let warnings = change.warnings.clone();
    guest.update(move |spec| change.apply(spec).map_err(of_refusal)).await?;
    Ok(json(&UpdateResponse { warnings }))
}

/// A refusal found while the guest's task looked at it.
fn of_refusal(refusal: Refusal) -> Error {
    let kind = match refusal.kind {
        refusal::Kind::Invalid => Kind::Invalid,
        refusal::Kind::Missing => Kind::Missing,
        refusal::Kind::Conflict => Kind::Conflict,
        refusal::Kind::Unsupported => Kind::Unsupported,
    };
    Error::new(kind, refusal.message)
}

async fn prune(app: &App, call: &Call) -> Answer {
    let now = Timestamp::from(SystemTime::now());
    let filter = prune::PruneQuery::parse(&call.query, now)?;
    let (mut gone, mut bytes) = (Vec::new(), 0);
    for guest in app.engine().guests() {
        let record = guest.record();
        if guest.view().is_running() || !filter.accepts(&record) {
            continue;
        }
        let freed = size(&guest).await.map_or(0, |size| size.rw);
        // Started or removed by somebody else meanwhile: not ours to remove any more.
        if guest.remove(false, false).await.is_ok() {
            bytes += freed;
            gone.push(record.id.to_string());
        }
    }
    Ok(json(&prune::write(gone, bytes)))
}

fn shown(app: &App, guest: &Guest, size: Option<Size>, version: ApiVersion) -> Outcome {
    let record = guest.record();
    let file = |name: &str| {
        let path = guest.directory().map(|directory| directory.join(name));
        path.map_or_else(String::new, |path| path.to_string_lossy().into_owned())
    };
    let (hosts, hostname, resolv_conf) = (file("hosts"), file("hostname"), file("resolv.conf"));
    let (upper, work) = (file("upper"), file("work"));
    let log = guest.log_path().map_or_else(String::new, |path| path.to_string_lossy().into_owned());
    let image = app.engine().images().get(&record.image);
    // The store lists them top first.
    let layers: Vec<String> = image
        .iter()
        .flat_map(|image| image.layer_dirs.iter().rev())
        .map(|path| path.to_string_lossy().into_owned())
        .collect();
    let paths = Paths {
        hosts: &hosts,
        hostname: &hostname,
        resolv_conf: &resolv_conf,
        log: &log,
        upper: &upper,
        work: &work,
    };
    let execs = guest.execs();
    let view = ContainerView { record: &record, execs: &execs, paths, size, layers: &layers };
    json(&inspect(&view, version))
}

pub(super) async fn size(guest: &Guest) -> Result<Size, Failure> {
    let size = guest.size().await?;
    Ok(Size { rw: size.written, root_fs: size.total })
}
