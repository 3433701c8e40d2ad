//! A guest, for those who ask something of it.

use std::path::PathBuf;
use std::sync::Arc;

use hull_model::explain::Explanation;
use hull_model::id::{ExecId, GuestId};
use hull_model::life::State;
use hull_model::name::Name;
use hull_model::process::ExecSpec;
use hull_model::signal::Signal;
use hull_shim::protocol::WindowSize;
use tokio::sync::{RwLock, mpsc, oneshot};

use super::attach::AttachRequest;
use super::exec::{ExecView, Execs};
use super::task::{Ends, Message, Reply, StartExec, Task, not_running};
use super::view::{View, Watch};
use super::wait::WaitFor;
use crate::engine::Inner;
use crate::error::{Error, Kind, Result};
use crate::explain::{Seen, explain};
use crate::logs::{LogQuery, LogStream};
use crate::record::GuestRecord;
use crate::shim::stream::Streams;

/// A guest. Cheap to clone; stays valid, and says so, after the guest is removed.
#[derive(Clone)]
pub struct Guest(Arc<Shared>);

struct Shared {
    id: GuestId,
    engine: std::sync::Weak<Inner>,
    messages: mpsc::Sender<Message>,
    watch: Watch,
    execs: Arc<Execs>,
    writers: Arc<RwLock<()>>,
}

/// Bytes on disk.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Size {
    /// What the guest itself wrote.
    pub written: u64,
    /// That and its image.
    pub total: u64,
}

impl Guest {
    /// The guest of `record` and its task, which is not running yet.
    pub(crate) fn new(engine: &Arc<Inner>, record: GuestRecord) -> (Self, Task) {
        let id = record.id;
        let (task, ends) = Task::new(Arc::clone(engine), record);
        let Ends { messages, watch, execs, writers } = ends;
        let engine = Arc::downgrade(engine);
        (Self(Arc::new(Shared { id, engine, messages, watch, execs, writers })), task)
    }

    /// Its id.
    pub fn id(&self) -> GuestId {
        self.0.id
    }

    /// What is known of it now.
    pub fn record(&self) -> Arc<GuestRecord> {
        self.view().record
    }

    /// What is known of it now, and whether it still exists.
    pub fn view(&self) -> View {
        self.0.watch.now()
    }

    /// What separates it from the host: as it runs, or as it would.
    pub async fn explain(&self) -> Result<Explanation> {
        let closing = || Error::new(Kind::Unavailable, "the engine is closing");
        let (record, engine) = (self.record(), self.0.engine.upgrade().ok_or_else(closing)?);
        let explained = tokio::task::spawn_blocking(move || {
            let started = hull_shim::plan::ShimPlan::read(&engine.paths.run_dir(&record.id));
            let plan = match started {
                Ok(plan) => plan.launch,
                // It does not run, or its shim is of another version.
                Err(_) => crate::planning::sketch(&engine, &record)?,
            };
            let log = engine.paths.log(&record.id);
            Ok(explain(&record, &Seen { plan: &plan, log: &log, kernel: engine.host.kernel }))
        });
        explained.await.map_err(Error::internal("explain the container"))?
    }

    /// Starts it. [`Kind::Unchanged`] if it runs.
    pub async fn start(&self) -> Result<()> {
        self.ask(Message::Start).await
    }

    /// Sends `signal` to its first process.
    pub async fn kill(&self, signal: Signal) -> Result<()> {
        self.ask(|reply| Message::Signal { signal, ends: false, reply }).await.map(drop)
    }

    /// Freezes it.
    pub async fn pause(&self) -> Result<()> {
        self.ask(Message::Pause).await
    }

    /// Thaws it.
    pub async fn unpause(&self) -> Result<()> {
        self.ask(Message::Resume).await
    }

    /// Gives it another name.
    pub async fn rename(&self, name: Name) -> Result<()> {
        self.ask(|reply| Message::Rename(name, reply)).await
    }

    /// Changes the size of its terminal.
    pub async fn resize(&self, rows: u16, columns: u16) -> Result<()> {
        self.ask(|reply| Message::Resize(WindowSize { rows, columns }, reply)).await
    }

    /// Waits from the moment of this call for what `until` says. Gives the exit code, 0 for a guest
    /// that never ran; [`Kind::Unavailable`] if the engine closes first.
    pub fn wait(&self, until: WaitFor) -> impl Future<Output = Result<u8>> + Send + 'static {
        super::wait::wait(self.0.watch.clone(), until)
    }

    /// Its streams: connected now if it runs, or when it is started.
    pub async fn attach(&self, request: AttachRequest) -> Result<Streams> {
        self.ask(|reply| Message::Attach(request, reply)).await
    }

    /// Tells that a client of [`Self::attach`] left by its detach keys.
    pub fn client_detached(&self) {
        if let Some(engine) = self.0.engine.upgrade() {
            engine.publish(&self.record(), "detach", &[]);
        }
    }

    /// The same of a client of an exec.
    pub fn client_detached_from(&self, id: ExecId) {
        if let Some(engine) = self.0.engine.upgrade() {
            engine.publish(&self.record(), "exec_detach", &[("execID", id.to_string())]);
        }
    }

    /// What it wrote.
    pub async fn logs(&self, query: LogQuery) -> Result<LogStream> {
        let watch = self.0.watch.clone();
        let Some(path) = self.log_path() else {
            let text = "configured logging driver does not support reading";
            return Err(Error::new(Kind::Unsupported, text));
        };
        let opened =
            tokio::task::spawn_blocking(move || LogStream::open(&path, query, watch)).await;
        opened.map_err(Error::internal("open the log"))?.map_err(Error::internal("open the log"))
    }

    /// Where its log is; `None` if it is not kept.
    pub fn log_path(&self) -> Option<PathBuf> {
        let engine = self.0.engine.upgrade()?;
        match self.record().spec.log {
            hull_model::log::LogConfig::JsonFile(_) => Some(engine.paths.log(&self.0.id)),
            hull_model::log::LogConfig::Discard => None,
        }
    }

    /// The directory of its own files: `hostname`, `hosts`, `resolv.conf`.
    pub fn directory(&self) -> Option<PathBuf> {
        self.0.engine.upgrade().map(|engine| engine.paths.guest_dir(&self.0.id))
    }

    /// How much disk it uses. Walks its files.
    pub async fn size(&self) -> Result<Size> {
        let engine = self.engine()?;
        engine.size_of(&self.record()).await
    }

    /// Prepares a process to run in it.
    pub fn create_exec(&self, spec: ExecSpec) -> Result<ExecId> {
        let record = self.record();
        match record.state {
            State::Running => {}
            State::Paused => {
                let text =
                    format!("Container {} is paused, unpause the container before exec", record.id);
                return Err(Error::new(Kind::Conflict, text));
            }
            State::Created | State::Starting | State::Exited(_) | State::Removing => {
                return Err(not_running(&record));
            }
        }
        if spec.args.is_empty() {
            return Err(Error::new(Kind::Invalid, "No exec command specified"));
        }
        let id = ExecId::from_random(crate::random::bytes()?);
        let words = spec.args.join(" ");
        self.0.execs.add(id, spec)?;
        if let Some(engine) = self.0.engine.upgrade() {
            engine.publish(&record, format!("exec_create: {words}"), &[("execID", id.to_string())]);
        }
        Ok(id)
    }

    /// Runs a prepared process; with `attach`, its streams come back.
    pub async fn start_exec(
        &self,
        id: ExecId,
        attach: Option<AttachRequest>,
        size: Option<(u16, u16)>,
    ) -> Result<Option<Streams>> {
        let spec = self.exec(id).ok_or_else(|| no_exec(id))?.spec;
        let size = size.map(|(rows, columns)| WindowSize { rows, columns });
        let exec = StartExec { id, spec, attach, size };
        self.ask(|reply| Message::StartExec(exec, reply)).await
    }

    /// Changes the size of an exec's terminal.
    pub async fn resize_exec(&self, id: ExecId, rows: u16, columns: u16) -> Result<()> {
        self.ask(|reply| Message::ResizeExec(id, WindowSize { rows, columns }, reply)).await
    }

    /// What is known of an exec.
    pub fn exec(&self, id: ExecId) -> Option<ExecView> {
        self.0.execs.view(id)
    }

    /// Its execs that are created or run.
    pub fn execs(&self) -> Vec<ExecId> {
        self.0.execs.current()
    }

    /// The exec whose id begins with `prefix`.
    pub(crate) fn find_exec(&self, prefix: &str) -> Option<ExecId> {
        self.0.execs.find(prefix)
    }

    /// Held for reading by whoever uses its files while it does not run, for writing while it is
    /// started.
    pub(crate) fn writers(&self) -> Arc<RwLock<()>> {
        Arc::clone(&self.0.writers)
    }

    pub(super) fn watch(&self) -> Watch {
        self.0.watch.clone()
    }

    pub(crate) fn engine(&self) -> Result<Arc<Inner>> {
        self.0.engine.upgrade().ok_or_else(|| Error::new(Kind::Unavailable, "the engine is closed"))
    }

    pub(super) async fn ask<T>(&self, message: impl FnOnce(Reply<T>) -> Message) -> Result<T> {
        let gone = || Error::new(Kind::Missing, format!("No such container: {}", self.0.id));
        let (reply, answer) = oneshot::channel();
        self.0.messages.send(message(reply)).await.map_err(|_task_ended| gone())?;
        answer.await.unwrap_or_else(|_task_ended| Err(gone()))
    }
}

pub(crate) fn no_exec(id: impl std::fmt::Display) -> Error {
    Error::new(Kind::Missing, format!("No such exec instance: {id}"))
}
