//! `/containers/{id}/exec` and `/exec`.

use http::StatusCode;
use hull_api::container::requests;
use hull_api::exec::{self, ExecStart};
use hull_api::stream::{Output, frame};
use hull_engine::{AttachRequest, Guest, Progress};
use hull_model::id::ExecId;

use super::attach::{Takeover, after, keys, raw};
use super::table::Exec;
use super::{Answer, App, Call};
use crate::http::answer::{Failure, json, json_with, ok};
use crate::http::body::ByteStream;
use crate::http::raw::Detaching;

/// Prepares a process in a guest.
pub(super) async fn create(app: &App, guest: &Guest, call: Call) -> Answer {
    let version = call.version;
    let body = app.json_body(call).await?;
    let spec = exec::read(&body, version)?;
    // Checked now: later the client is already attached.
    keys(&spec.detach_keys)?;
    let id = guest.create_exec(spec)?;
    Ok(json_with(StatusCode::CREATED, &exec::created(id)))
}

/// Carries out a request on a prepared process.
pub(super) async fn answer(app: &App, action: Exec, id: &str, call: Call) -> Answer {
    let (guest, id) = app.engine().exec(id)?;
    match action {
        Exec::Start => start(app, &guest, id, call).await,
        Exec::Resize => {
            let (rows, columns) = requests::resize(&call.query)?;
            guest.resize_exec(id, rows, columns).await?;
            Ok(ok())
        }
        Exec::Inspect => {
            let view = guest.exec(id).ok_or_else(|| missing(id))?;
            let (running, exit_code, pid) = match view.progress {
                Progress::Created | Progress::Starting => (false, None, 0),
                Progress::Running(pid) => (true, None, pid),
                Progress::Ended { code, pid } => (false, Some(code), pid),
            };
            let state = exec::State { running, exit_code, pid };
            Ok(json(&exec::inspect(id, guest.id(), &view.spec, state)))
        }
    }
}

async fn start(app: &App, guest: &Guest, id: ExecId, call: Call) -> Answer {
    let spec = guest.exec(id).ok_or_else(|| missing(id))?.spec;
    let (version, headers) = (call.version, call.headers.clone());
    // Read whole before the connection is taken over: what follows is the process's input.
    let body = app.json_body(call).await?;
    let ExecStart { detach, size } = exec::read_start(&body, &spec)?;
    if detach {
        guest.start_exec(id, None, size).await?;
        return Ok(ok());
    }
    let streams = spec.streams;
    let [stdin, stdout, stderr] = streams.attach;
    let request = AttachRequest { stdin: stdin && streams.stdin, stdout, stderr };
    let detach = if streams.tty && request.stdin {
        let (keys, told) = (keys(&spec.detach_keys)?, guest.clone());
        Some(Detaching { keys, tell: Box::new(move || told.client_detached_from(id)) })
    } else {
        None
    };
    may_start(guest, id)?;
    let (guest, tty) = (guest.clone(), streams.tty);
    let stream = Box::pin(async move {
        match guest.start_exec(id, Some(request), size).await {
            Ok(attached) => after(Box::pin(futures_util::stream::empty()), attached),
            // As Docker: the client prints what comes and asks for the exit code, which tells a
            // missing program (127) from one that cannot run (126).
            Err(error) => after(reason(&error, tty), None),
        }
    });
    Ok(raw(Takeover { version, headers: &headers, tty, detach }, stream))
}

/// What can be refused while the client is not attached yet.
fn may_start(guest: &Guest, id: ExecId) -> Result<(), Failure> {
    let conflict = |text| Err(Failure::new(StatusCode::CONFLICT, text));
    match guest.exec(id).ok_or_else(|| missing(id))?.progress {
        Progress::Created if guest.view().is_running() => Ok(()),
        Progress::Created => conflict(format!("container {} is not running", guest.id())),
        Progress::Starting | Progress::Running(_) | Progress::Ended { .. } => {
            conflict(format!("exec command {id} is already running"))
        }
    }
}

/// The reason as output of the process.
fn reason(error: &hull_engine::Error, tty: bool) -> ByteStream {
    let text = format!("{error}\r\n").into_bytes();
    let bytes = if tty { text } else { frame(Output::Stdout, &text) };
    Box::pin(futures_util::stream::once(std::future::ready(Ok(bytes.into()))))
}

fn missing(id: ExecId) -> Failure {
    Failure::new(StatusCode::NOT_FOUND, format!("No such exec instance: {id}"))
}
