//! The task of one guest: the only place where that guest's state changes.
//!
//! It takes requests and news one after the other, asks `hull_model::life::step` what they mean,
//! records the answer, and has it done.

use std::path::PathBuf;
use std::process::Child;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hull_model::id::ExecId;
use hull_model::life::{self, State};
use hull_model::name::Name;
use hull_model::process::ExecSpec;
use hull_model::signal::Signal;
use hull_model::time::Timestamp;
use hull_shim::protocol::{Event, WindowSize};
use tokio::sync::{RwLock, mpsc, oneshot, watch};
use tokio::time::Instant;

use super::attach::{AttachRequest, Waiting};
use super::exec::Execs;
use super::health;
use super::update::Amend;
use super::view::{View, Watch};
use crate::engine::Inner;
use crate::error::{Error, Kind, Result};
use crate::record::GuestRecord;
use crate::shim::control::{Control, ControlError};
use crate::shim::stream::Streams;

/// Requests that may wait for one guest.
const QUEUE: usize = 64;

/// Something asked of a guest, and where to answer.
#[derive(Debug)]
pub(super) enum Message {
    Start(Reply<()>),
    /// Answered with how often the guest had ended when it got the signal.
    Signal {
        signal: Signal,
        ends: bool,
        reply: Reply<u64>,
    },
    Pause(Reply<()>),
    Resume(Reply<()>),
    Rename(Name, Reply<()>),
    Update(Amend, Reply<()>),
    Remove {
        volumes: bool,
        reply: Reply<()>,
    },
    Resize(WindowSize, Reply<()>),
    Attach(AttachRequest, Reply<Streams>),
    StartExec(StartExec, Reply<Option<Streams>>),
    ResizeExec(ExecId, WindowSize, Reply<()>),
}

pub(super) type Reply<T> = oneshot::Sender<Result<T>>;

/// An exec to run.
#[derive(Debug)]
pub(super) struct StartExec {
    pub(super) id: ExecId,
    pub(super) spec: ExecSpec,
    /// `None` leaves it to itself.
    pub(super) attach: Option<AttachRequest>,
    pub(super) size: Option<WindowSize>,
}

/// A guest's task and all it owns.
pub(crate) struct Task {
    pub(super) engine: Arc<Inner>,
    pub(super) record: GuestRecord,
    pub(super) exits: u64,
    pub(super) removed: bool,
    pub(super) view: watch::Sender<View>,
    pub(super) messages: mpsc::Receiver<Message>,
    /// The connection to the shim of a guest that lives.
    pub(super) control: Option<Control>,
    /// The shim, if this daemon started it: it must be reaped.
    pub(super) shim: Option<Child>,
    /// Why the shim cannot be reached although it may live, and when it is tried again.
    pub(super) out_of_reach: Option<(ControlError, Instant)>,
    pub(super) waiting: Waiting,
    pub(super) execs: Arc<Execs>,
    pub(super) health: health::Watch,
    /// Those who write into its files while it does not run.
    pub(super) writers: Arc<RwLock<()>>,
    /// When the restart policy starts it again.
    pub(super) restart_at: Option<Instant>,
    pub(super) last_delay: Duration,
}

/// What others hold of a task.
pub(super) struct Ends {
    pub(super) messages: mpsc::Sender<Message>,
    pub(super) watch: Watch,
    pub(super) execs: Arc<Execs>,
    pub(super) writers: Arc<RwLock<()>>,
}

enum News {
    Message(Option<Message>),
    Shim(Result<Event, ControlError>),
    RestartDue,
    ReachDue,
    HealthDue,
}

impl Task {
    /// A task for `record`, and the other ends of its channels.
    pub(super) fn new(engine: Arc<Inner>, record: GuestRecord) -> (Self, Ends) {
        let (sender, messages) = mpsc::channel(QUEUE);
        let first = View { record: Arc::new(record.clone()), exits: 0, removed: false };
        let (view, watch) = Watch::new(first);
        let execs = Arc::new(Execs::default());
        let writers = Arc::new(RwLock::new(()));
        let task = Self {
            engine,
            record,
            exits: 0,
            removed: false,
            view,
            messages,
            control: None,
            shim: None,
            out_of_reach: None,
            waiting: Waiting::default(),
            execs: Arc::clone(&execs),
            health: health::Watch::default(),
            writers: Arc::clone(&writers),
            restart_at: None,
            last_delay: Duration::ZERO,
        };
        (task, Ends { messages: sender, watch, execs, writers })
    }

    /// Serves the guest until it is removed or nobody can ask for it any more.
    pub(crate) async fn run(mut self) {
        while !self.removed {
            let news = tokio::select! {
                message = self.messages.recv() => News::Message(message),
                event = next_event(self.control.as_mut()) => News::Shim(event),
                () = due(self.restart_at) => News::RestartDue,
                () = due(self.health.due) => News::HealthDue,
                () = due(self.out_of_reach.as_ref().map(|(_, again)| *again)) => News::ReachDue,
            };
            // Boxed: an idle guest's task is then as small as the waiting above.
            match news {
                News::Message(Some(message)) => Box::pin(self.on_message(message)).await,
                News::Message(None) => break,
                News::Shim(event) => Box::pin(self.on_shim(event)).await,
                News::RestartDue => Box::pin(self.on_restart_due()).await,
                News::ReachDue => Box::pin(self.adopt_living()).await,
                News::HealthDue => Box::pin(self.on_health_due()).await,
            }
        }
    }

    async fn on_message(&mut self, message: Message) {
        match message {
            Message::Start(reply) => {
                let outcome = self.start_by_user().await;
                let failed = outcome.is_err();
                answer(reply, outcome);
                if failed {
                    self.remove_if_automatic().await;
                }
            }
            Message::Signal { signal, ends, reply } => {
                answer(reply, self.signal(signal, ends).await);
            }
            Message::Pause(reply) => answer(reply, self.pause().await),
            Message::Resume(reply) => answer(reply, self.resume().await),
            Message::Rename(name, reply) => answer(reply, self.rename(name).await),
            Message::Update(amend, reply) => answer(reply, self.update(amend).await),
            Message::Remove { volumes, reply } => answer(reply, self.remove(volumes).await),
            Message::Resize(size, reply) => answer(reply, self.resize(size).await),
            Message::Attach(request, reply) => answer(reply, self.attach(request).await),
            Message::StartExec(exec, reply) => answer(reply, self.start_exec(exec).await),
            Message::ResizeExec(id, size, reply) => answer(reply, self.resize_exec(id, size).await),
        }
    }

    async fn on_shim(&mut self, event: Result<Event, ControlError>) {
        match event {
            Ok(Event::Exited(exit)) => self.on_exit(Some(exit)).await,
            Ok(Event::ExecExited { id, exit }) => self.on_exec_exit(id, &exit).await,
            Ok(Event::OutOfMemory) => self.on_out_of_memory().await,
            Ok(Event::Started { .. }) => {}
            Err(error) => {
                // That the connection broke says nothing about the guest.
                tracing::warn!(guest = %self.record.id, %error, "lost the guest's shim");
                self.adopt_living().await;
            }
        }
    }

    async fn on_restart_due(&mut self) {
        self.restart_at = None;
        // It stays marked as restarting until it runs: a crash on the way does not end the policy.
        self.record.restarts += 1;
        if let Err(error) = self.start().await {
            tracing::warn!(guest = %self.record.id, %error, "the restart policy's start failed");
            if self.record.restarting && self.restart_at.is_none() {
                self.restart_later().await;
            }
        }
    }

    /// Takes one step of the guest's life: decides, then records. The caller carries out. What
    /// cannot be recorded does not happen.
    pub(super) async fn step(&mut self, event: life::Event) -> Result<()> {
        let before = self.record.state;
        self.advance(event)?;
        let saved = self.save().await;
        if saved.is_err() {
            self.record.state = before;
        }
        saved
    }

    /// Takes a step that has happened already, whether it can be recorded or not.
    pub(super) fn advance(&mut self, event: life::Event) -> Result<()> {
        let (state, _action) = life::step(self.record.state, event)
            .map_err(|refused| Error::new(Kind::Conflict, refused.to_string()))?;
        self.record.state = state;
        Ok(())
    }

    /// Writes the record, then shows it: nobody sees what a crash could undo.
    pub(super) async fn save(&self) -> Result<()> {
        self.engine.records.save(&self.record).await?;
        self.show();
        Ok(())
    }

    /// Records what cannot be undone any more. On a full disk the shim and its exit file keep the
    /// truth for the next daemon, and the view for this one.
    pub(super) async fn save_logged(&mut self) {
        if let Err(error) = self.save().await {
            tracing::error!(guest = %self.record.id, %error, "cannot record the guest");
            self.show();
        }
    }

    /// Shows the record as it is.
    pub(super) fn show(&self) {
        let record = Arc::new(self.record.clone());
        self.view.send_replace(View { record, exits: self.exits, removed: self.removed });
    }

    /// Where the shim has its socket.
    pub(super) fn run_dir(&self) -> PathBuf {
        self.engine.paths.run_dir(&self.record.id)
    }

    /// The connection to the shim of a guest that must run for what is asked.
    pub(super) fn control(&mut self) -> Result<&mut Control> {
        if !matches!(self.record.state, State::Running | State::Paused) {
            return Err(not_running(&self.record));
        }
        match (&mut self.control, &self.out_of_reach) {
            (Some(control), _) => Ok(control),
            (None, Some((reason, _))) => Err(Error::new(Kind::Unavailable, reason.to_string())),
            (None, None) => Err(not_running(&self.record)),
        }
    }
}

/// Docker's wording, which tools match on.
pub(super) fn not_running(record: &GuestRecord) -> Error {
    Error::new(Kind::Conflict, format!("container {} is not running", record.id))
}

/// The clock, at the edge of the pure code.
pub(super) fn now() -> Timestamp {
    Timestamp::from(SystemTime::now())
}

fn answer<T>(reply: Reply<T>, outcome: Result<T>) {
    // Whoever asked may have gone; that is their right.
    reply.send(outcome).ok();
}

async fn next_event(control: Option<&mut Control>) -> Result<Event, ControlError> {
    match control {
        Some(control) => control.event().await,
        None => std::future::pending().await,
    }
}

async fn due(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
