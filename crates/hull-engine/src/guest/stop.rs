//! Ending a guest: politely, then by force; and what follows.
//!
//! All of this goes on to its end even if whoever asked leaves, as in Docker: half a stop would leave
//! a guest that has ignored its signal, half a restart one that nobody starts again.

use std::time::Duration;

use hull_model::guest::StopTimeout;
use hull_model::signal::Signal;

use super::handle::Guest;
use super::task::Message;
use crate::error::{Error, Kind, Result};

/// How long the kernel may take to end what was killed. A process that waits for a dead disk takes
/// for ever; whoever asked is then told.
const KILL_MAX: Duration = Duration::from_secs(30);

impl Guest {
    /// Asks it to end, by `signal` or its own stop signal, and kills it when `timeout` (or its own)
    /// is over. [`Kind::Unchanged`] if it does not run.
    pub async fn stop(&self, signal: Option<Signal>, timeout: Option<StopTimeout>) -> Result<()> {
        let guest = self.clone();
        to_the_end(async move { guest.stop_now(signal, timeout).await }).await
    }

    /// Stops it if it runs, and starts it.
    pub async fn restart(
        &self,
        signal: Option<Signal>,
        timeout: Option<StopTimeout>,
    ) -> Result<()> {
        let guest = self.clone();
        to_the_end(async move { guest.restart_now(signal, timeout).await }).await
    }

    /// Deletes it, with its anonymous volumes if `volumes`; if `force`, kills it first.
    pub async fn remove(&self, force: bool, volumes: bool) -> Result<()> {
        let guest = self.clone();
        to_the_end(async move { guest.remove_now(force, volumes).await }).await
    }

    async fn stop_now(&self, signal: Option<Signal>, timeout: Option<StopTimeout>) -> Result<()> {
        let view = self.view();
        if !view.is_running() {
            let text = format!("container {} is not running", self.id());
            return Err(Error::new(Kind::Unchanged, text));
        }
        let spec = &view.record.spec;
        let signal = signal.or(spec.stop_signal).unwrap_or(Signal::TERM);
        let timeout = timeout.or(spec.stop_timeout).unwrap_or(StopTimeout::DEFAULT);
        if let Some(exits) = self.end_by(signal).await? {
            match timeout {
                StopTimeout::Never => self.ended_after(exits).await?,
                StopTimeout::After(patience) => {
                    let ended = tokio::time::timeout(patience, self.ended_after(exits)).await;
                    match ended {
                        Ok(ended) => ended?,
                        Err(_elapsed) => self.kill_and_wait().await?,
                    }
                }
            }
        }
        self.engine()?.publish(&self.record(), "stop", &[]);
        Ok(())
    }

    async fn restart_now(
        &self,
        signal: Option<Signal>,
        timeout: Option<StopTimeout>,
    ) -> Result<()> {
        match self.stop_now(signal, timeout).await {
            Err(error) if error.kind != Kind::Unchanged => return Err(error),
            Ok(()) | Err(_) => {}
        }
        match self.start().await {
            // Somebody else was faster: it runs, and it was restarted.
            Err(error) if error.kind != Kind::Unchanged => return Err(error),
            Ok(()) | Err(_) => {}
        }
        self.engine()?.publish(&self.record(), "restart", &[]);
        Ok(())
    }

    async fn remove_now(&self, force: bool, volumes: bool) -> Result<()> {
        if force && self.view().is_running() {
            self.kill_and_wait().await?;
        }
        match self.ask(|reply| Message::Remove { volumes, reply }).await {
            // It removed itself, or somebody else was faster: either way it is gone as asked.
            Err(error) if error.kind == Kind::Missing && force => Ok(()),
            outcome => outcome,
        }
    }

    async fn kill_and_wait(&self) -> Result<()> {
        let Some(exits) = self.end_by(Signal::KILL).await? else { return Ok(()) };
        let ended = tokio::time::timeout(KILL_MAX, self.ended_after(exits)).await;
        ended.unwrap_or_else(|_elapsed| {
            let text = format!("container {} was killed and does not end", self.id());
            Err(Error::new(Kind::Unavailable, text))
        })
    }

    /// Sends a signal that is meant to end it. Tells how often it had ended before; `None` if it does
    /// not run any more.
    async fn end_by(&self, signal: Signal) -> Result<Option<u64>> {
        match self.ask(|reply| Message::Signal { signal, ends: true, reply }).await {
            Err(error) if matches!(error.kind, Kind::Conflict | Kind::Missing) => Ok(None),
            outcome => outcome.map(Some),
        }
    }

    /// Waits for the end of the run that follows `exits` others. It may run again by then.
    async fn ended_after(&self, exits: u64) -> Result<()> {
        let over = |view: &super::View| view.exits > exits || !view.is_running();
        self.watch().until(over).await.map(drop)
    }
}

async fn to_the_end(work: impl Future<Output = Result<()>> + Send + 'static) -> Result<()> {
    tokio::spawn(work).await.map_err(Error::internal("finish what was asked"))?
}
