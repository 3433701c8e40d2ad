//! Starting a guest: recorded, planned, launched, connected, started.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hull_model::id_range::IdRange;
use hull_model::life::{self, State};
use hull_model::log::LogConfig;
use hull_model::namespace::{HostUser, Network, UsersDefault};
use hull_shim::exit::ExitRecord;
use hull_shim::plan::{LogPlan, ShimPlan};
use hull_shim::protocol::{Answer, Ask, Phase, Stdin, Streams, WindowSize};

use super::task::{Task, now};
use crate::error::{Error, Kind, Result};
use crate::failure::NotStarted;
use crate::networks::Networks;
use crate::partners::{self, Partners};
use crate::scope::Holder;
use crate::shim::control::{Control, ControlError, out_of_turn};
use crate::shim::program;
use crate::users::{self, Given};

/// How long the shim may take to build a guest: many layers on a slow disk, not more.
const READY_MAX: Duration = Duration::from_secs(60);

/// How long a start waits for those who copy files into the guest.
const COPIED_MAX: Duration = Duration::from_secs(10);

impl Task {
    pub(super) async fn start_by_user(&mut self) -> Result<()> {
        match self.record.state {
            State::Paused => {
                let text = "cannot start a paused container, try unpause instead";
                return Err(Error::new(Kind::Conflict, text));
            }
            State::Starting | State::Running => {
                let text = format!("container {} is already running", self.record.id);
                return Err(Error::new(Kind::Unchanged, text));
            }
            State::Removing => {
                let text = "container is marked for removal and cannot be started";
                return Err(Error::new(Kind::Conflict, text));
            }
            State::Created | State::Exited(_) => {}
        }
        self.restart_at = None;
        self.record.restarting = false;
        self.record.restarts = 0;
        self.start().await
    }

    /// Starts the guest. If that fails it has Docker's code and the reason.
    pub(super) async fn start(&mut self) -> Result<()> {
        let before = self.record.clone();
        // Two overlays must not write into one directory.
        let writers = Arc::clone(&self.writers).write_owned();
        let Ok(_alone) = tokio::time::timeout(COPIED_MAX, writers).await else {
            let text = format!(
                "container {} cannot be started while files are copied into it",
                self.record.id
            );
            return Err(Error::new(Kind::Conflict, text));
        };
        // What can be refused without having touched anything comes first.
        let partners = partners::find(&self.engine, &self.record)?;
        if let Err(error) = self.begin(&partners).await {
            let held = self.release().await;
            self.record = before;
            self.give_back(held);
            return Err(error);
        }
        match self.launch(&partners).await {
            Ok(()) => {
                self.publish_start();
                tracing::info!(guest = %self.record.id, pid = self.record.pid, "started");
                Ok(())
            }
            Err(failed) => {
                self.abandon(&failed).await;
                Err(failed.error)
            }
        }
    }

    /// Takes an id range and an address, and records them and the intent.
    async fn begin(&mut self, partners: &Partners) -> Result<()> {
        self.take_ids(partners)?;
        self.take_address().await?;
        self.forget_last_end().await?;
        self.record.error.clear();
        self.record.out_of_memory = false;
        self.record.stopped_by_user = false;
        self.step(life::Event::Start).await
    }

    fn take_ids(&mut self, partners: &Partners) -> Result<()> {
        let ids = &self.engine.id_ranges;
        // A partner may have another user namespace than when this guest was last started.
        let own = self.record.host_user.filter(|reason| *reason != HostUser::Partner);
        let given = users::choose(&self.record.spec.namespaces.user, own, partners.ids()?)?;
        (self.record.id_range, self.record.host_user) = match given {
            Given::Host(reason) => (None, Some(reason)),
            Given::Partners(range) => {
                ids.share(range);
                (Some(range), None)
            }
            Given::Own { size, kept } => match (self.engine.config.users, kept, size) {
                (UsersDefault::Shared(range), None, None) => {
                    ids.share(range);
                    (Some(range), None)
                }
                _ => {
                    let range = ids.take(size.unwrap_or(IdRange::SIZE)).map_err(|full| {
                        Error::new(Kind::Unavailable, crate::records::chain(&full))
                    })?;
                    (Some(IdRange { kept, ..range }), None)
                }
            },
        };
        Ok(())
    }

    /// Removes the last run's exit file before the new run is recorded: whoever finds one later knows
    /// which run it is of.
    async fn forget_last_end(&self) -> Result<()> {
        let path = self.engine.paths.exit_file(&self.record.id);
        let removed = tokio::task::spawn_blocking(move || match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                let doing = format!("remove {}", path.display());
                Err(Error::caused(Kind::Unavailable, doing, error))
            }
            Ok(()) | Err(_) => Ok(()),
        });
        removed.await.map_err(Error::internal("forget the last end"))?
    }

    async fn take_address(&mut self) -> Result<()> {
        match &self.record.spec.namespaces.network {
            Network::Bridge => {
                let networks = Arc::clone(&self.engine.networks);
                let reserved = tokio::task::spawn_blocking(move || networks.reserve()).await;
                self.record.endpoint = Some(reserved.map_err(Error::internal("find an address"))??);
                Ok(())
            }
            Network::None | Network::Host | Network::Guest(_) => Ok(()),
            Network::Named(name) => {
                Err(Error::new(Kind::Missing, format!("network {name} not found")))
            }
        }
    }

    async fn launch(&mut self, partners: &Partners) -> Result<(), NotStarted> {
        let (shim, holder) = self.spawn_shim(partners).await?;
        self.shim = Some(shim);
        let dir = self.run_dir();
        // The shim greets when the guest's namespaces and root are there.
        let (control, state) = match Control::connect_within(&dir, READY_MAX).await {
            Ok(connected) => connected,
            Err(error) => return Err(self.unreachable(error)),
        };
        self.control = Some(control);
        let pid = ready(state.phase)?;
        // The guest's process keeps the scope there now.
        drop(holder);
        self.connect_network(pid).await?;
        self.waiting.connect(&dir).await?;
        self.record.pid = Some(self.execute().await?);
        self.record.started = Some(now());
        self.record.restarting = false;
        self.advance(life::Event::Started)?;
        self.begin_health();
        // It runs: a full disk does not end it. The next daemon finds it by its shim.
        self.save_logged().await;
        Ok(())
    }

    /// Why the shim of this start cannot be reached: a guest that fails at once may have ended, and
    /// its shim with it, before we came; then its reason is in the exit file.
    fn unreachable(&self, error: ControlError) -> NotStarted {
        match self.engine.paths.exit_record(&self.record.id).and_then(|exit| exit.failure) {
            Some(failure) => failure.into(),
            None => Error::internal("connect to the guest's shim")(error).into(),
        }
    }

    /// Lets the guest run its program.
    async fn execute(&mut self) -> Result<u32, NotStarted> {
        let Some(control) = self.control.as_mut() else { unreachable!("`launch` has set it") };
        match control.ask(Ask::Start).await.map_err(Error::internal("start the guest"))? {
            Answer::Started { pid } => Ok(pid),
            Answer::Failed(failure) => Err(failure.into()),
            other @ (Answer::Done | Answer::State(_)) => Err(out_of_turn(&other).into()),
        }
    }

    /// Writes files and plan, and starts the shim, all on a thread that may block.
    async fn spawn_shim(
        &self,
        partners: &Partners,
    ) -> Result<(std::process::Child, Option<Holder>)> {
        let engine = Arc::clone(&self.engine);
        let record = self.record.clone();
        let partners = partners.clone();
        let started = tokio::task::spawn_blocking(move || {
            let launch = crate::planning::launch(&engine, &record, &partners)?;
            let plan = ShimPlan {
                launch,
                streams: streams(&record.spec),
                log: log_plan(record.spec.log, engine.paths.log(&record.id)),
                exit_file: engine.paths.exit_file(&record.id),
                ids: record.id_range.map(|range| engine.id_ranges.lock_of(range)),
            };
            let dir = engine
                .paths
                .make_run_dir(&record.id)
                .map_err(Error::internal("make the guest's run directory"))?;
            plan.write(&dir).map_err(Error::internal("write the launch plan"))?;
            let holder = engine.hold_scope(&record)?;
            let shim = program::start(engine.shim.as_fd(), &dir)
                .map_err(Error::internal("start the guest's shim"))?;
            Ok((shim, holder))
        });
        started.await.map_err(Error::internal("start the guest's shim"))?
    }

    async fn connect_network(&self, pid: u32) -> Result<()> {
        let endpoint = match &self.record.spec.namespaces.network {
            Network::Bridge => self.record.endpoint.clone(),
            Network::None => None,
            Network::Host | Network::Guest(_) | Network::Named(_) => return Ok(()),
        };
        let networks = Arc::clone(&self.engine.networks);
        let connected = tokio::task::spawn_blocking(move || {
            let path = format!("/proc/{pid}/ns/net");
            let namespace: OwnedFd =
                File::open(&path).map_err(Error::internal(format!("open {path}")))?.into();
            match endpoint {
                Some(endpoint) => networks.attach(&namespace, &endpoint),
                None => Networks::loopback(&namespace),
            }
        });
        connected.await.map_err(Error::internal("connect the guest's network"))?
    }

    /// Undoes a start that failed.
    async fn abandon(&mut self, failed: &NotStarted) {
        self.waiting.clear();
        if let Some(control) = self.control.take() {
            control.end_shim().await;
        }
        if let Some(child) = self.shim.take() {
            let ended = tokio::task::spawn_blocking(move || program::end(child)).await;
            ended.unwrap_or_else(|error| tracing::warn!(%error, "cannot end a shim"));
        }
        self.record.error = failed.error.to_string();
        self.record_failed_start(failed.code).await;
    }
}

/// The process that waits for its start.
fn ready(phase: Phase) -> Result<u32, NotStarted> {
    match phase {
        Phase::Ready { pid } => Ok(pid),
        Phase::Exited(ExitRecord { failure: Some(failure), .. }) => Err(failure.into()),
        Phase::Exited(_) | Phase::Created | Phase::Running { .. } => {
            Err(Error::new(Kind::Internal, "the guest ended while it was made").into())
        }
    }
}

fn streams(spec: &hull_model::guest::GuestSpec) -> Streams {
    let wanted = spec.streams;
    let stdin = match (wanted.stdin, wanted.stdin_once) {
        (false, _) => Stdin::Null,
        (true, false) => Stdin::Open,
        (true, true) => Stdin::Once,
    };
    Streams { stdin, terminal: wanted.tty.then(WindowSize::default) }
}

fn log_plan(log: LogConfig, path: impl AsRef<Path>) -> Option<LogPlan> {
    match log {
        LogConfig::Discard => None,
        LogConfig::JsonFile(rotation) => Some(LogPlan {
            path: path.as_ref().to_owned(),
            size_max: rotation.size_max.map(hull_model::bytes::Bytes::get),
            files_max: rotation.files,
        }),
    }
}
