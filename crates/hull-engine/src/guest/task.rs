//! The task of one guest: the only place where that guest's state changes.
//!
//! It takes requests and news one after the other, asks `hull_model::life::step` what they mean,
//! records the answer, and has it done.

use std::path::PathBuf;
use std::process::Child;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hull_model::id::ExecId;
use hull_model::life::{self, Action, State};
use hull_model::name::Name;
use hull_model::process::ExecSpec;
use hull_model::signal::Signal;
use hull_model::time::Timestamp;
use hull_shim::protocol::{Event, WindowSize};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use super::attach::{AttachRequest, Waiting};
use super::exec::Execs;
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
    Signal { signal: Signal, ends: bool, reply: Reply<()> },
    Pause(Reply<()>),
    Resume(Reply<()>),
    Rename(Name, Reply<()>),
    Remove { volumes: bool, reply: Reply<()> },
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
    pub(super) live: Option<Live>,
    pub(super) waiting: Waiting,
    pub(super) execs: Arc<Execs>,
    /// When the restart policy starts it again.
    pub(super) restart_at: Option<Instant>,
    pub(super) last_delay: Duration,
}

/// What a task holds of a guest that is alive.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) control: Control,
    /// The shim, if this daemon started it: it must be reaped.
    pub(crate) child: Option<Child>,
}

/// What others hold of a task.
pub(super) struct Ends {
    pub(super) messages: mpsc::Sender<Message>,
    pub(super) watch: Watch,
    pub(super) execs: Arc<Execs>,
}

enum News {
    Message(Option<Message>),
    Shim(Result<Event, ControlError>),
    RestartDue,
}

impl Task {
    /// A task for `record`, and the other ends of its channels.
    pub(super) fn new(engine: Arc<Inner>, record: GuestRecord) -> (Self, Ends) {
        let (sender, messages) = mpsc::channel(QUEUE);
        let first = View { record: Arc::new(record.clone()), exits: 0, removed: false };
        let (view, watch) = Watch::new(first);
        let execs = Arc::new(Execs::default());
        let task = Self {
            engine,
            record,
            exits: 0,
            removed: false,
            view,
            messages,
            live: None,
            waiting: Waiting::default(),
            execs: Arc::clone(&execs),
            restart_at: None,
            last_delay: Duration::ZERO,
        };
        (task, Ends { messages: sender, watch, execs })
    }

    /// Serves the guest until it is removed or nobody can ask for it any more.
    pub(crate) async fn run(mut self) {
        while !self.removed {
            let news = tokio::select! {
                message = self.messages.recv() => News::Message(message),
                event = next_event(self.live.as_mut()) => News::Shim(event),
                () = due(self.restart_at) => News::RestartDue,
            };
            // Boxed: an idle guest's task is then as small as the waiting above.
            match news {
                News::Message(Some(message)) => Box::pin(self.on_message(message)).await,
                News::Message(None) => break,
                News::Shim(event) => Box::pin(self.on_shim(event)).await,
                News::RestartDue => Box::pin(self.on_restart_due()).await,
            }
        }
    }

    async fn on_message(&mut self, message: Message) {
        match message {
            Message::Start(reply) => {
                let outcome = self.start_by_user().await;
                answer(reply, outcome);
                self.remove_if_failed_and_automatic().await;
            }
            Message::Signal { signal, ends, reply } => {
                answer(reply, self.signal(signal, ends).await);
            }
            Message::Pause(reply) => answer(reply, self.pause().await),
            Message::Resume(reply) => answer(reply, self.resume().await),
            Message::Rename(name, reply) => answer(reply, self.rename(name).await),
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
            Ok(Event::ExecExited { id, exit }) => self.on_exec_exit(id, &exit),
            Ok(Event::Started { .. }) => {}
            Err(error) => {
                tracing::warn!(guest = %self.record.id, %error, "lost the guest's shim");
                self.on_exit(None).await;
            }
        }
    }

    async fn on_restart_due(&mut self) {
        self.restart_at = None;
        self.record.restarting = false;
        self.record.restarts += 1;
        if let Err(error) = self.start().await {
            tracing::warn!(guest = %self.record.id, %error, "the restart policy's start failed");
            self.consider_restart().await;
        }
    }

    /// Takes one step of the guest's life: decides, then records. The caller carries out.
    pub(super) async fn step(&mut self, event: life::Event) -> Result<Option<Action>> {
        let (state, action) = life::step(self.record.state, event)
            .map_err(|refused| Error::new(Kind::Conflict, refused.to_string()))?;
        self.record.state = state;
        self.save().await?;
        Ok(action)
    }

    /// Writes the record, then shows it: nobody sees what a crash could undo.
    pub(super) async fn save(&self) -> Result<()> {
        self.engine.records.save(&self.record).await?;
        self.show();
        Ok(())
    }

    /// Shows the record as it is.
    pub(super) fn show(&self) {
        let record = Arc::new(self.record.clone());
        self.view.send_replace(View { record, exits: self.exits, removed: self.removed });
    }

    /// Tells everybody that `action` happened to this guest.
    pub(super) fn publish(&self, action: impl Into<String>, extra: &[(&str, String)]) {
        self.engine.publish(&self.record, action, extra);
    }

    /// Where the shim has its socket.
    pub(super) fn run_dir(&self) -> PathBuf {
        self.engine.paths.run_dir(&self.record.id)
    }

    /// The connection to the shim of a guest that must run for what is asked.
    pub(super) fn live(&mut self) -> Result<&mut Live> {
        let refused = not_running(&self.record);
        match (self.record.state, self.live.as_mut()) {
            (State::Running | State::Paused, Some(live)) => Ok(live),
            _ => Err(refused),
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

async fn next_event(live: Option<&mut Live>) -> Result<Event, ControlError> {
    match live {
        Some(live) => live.control.event().await,
        None => std::future::pending().await,
    }
}

async fn due(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
