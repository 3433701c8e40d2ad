//! Health checks of a running guest: one at a time, each with a deadline.
//!
//! A check is an exec of the shim's like any other. One that does not end in time counts as failed
//! and is killed; while it is not gone no other is started, so that checks cannot pile up in a guest
//! that hangs.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hull_model::health::{Check, Health, OUTPUT_MAX, Outcome, Status};
use hull_model::id::ExecId;
use hull_model::process::ExecSpec;
use hull_model::signal::Signal;
use hull_model::time::{Timestamp, write_go_duration};
use hull_shim::exit::ExitRecord;
use hull_shim::protocol::{Ask, Process};
use tokio::io::AsyncReadExt;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::attach::AttachRequest;
use super::task::{StartExec, Task, now};
use crate::failure::NotStarted;
use crate::shim::stream::Streams;

/// How long the rest of a check's output may take once it has ended.
const LAST_WORDS_MAX: Duration = Duration::from_secs(1);

/// What is going on about a guest's health.
#[derive(Default)]
pub(super) struct Watch {
    /// When there is something to do: a check begins, or is given up.
    pub(super) due: Option<Instant>,
    check: Option<Arc<Check>>,
    running: Option<Running>,
}

/// A check that has been started and has not ended.
struct Running {
    id: ExecId,
    began: Timestamp,
    /// `None` once it was given up, or if another daemon started it.
    output: Option<Output>,
}

/// What a check writes: its beginning, and whoever reads on until the end.
struct Output {
    kept: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Task {
    /// The guest was started: nothing is known of its health.
    pub(super) fn begin_health(&mut self) {
        self.watch_health();
        if self.health.check.is_some() {
            self.record.health.get_or_insert_default().begin();
        } else {
            self.record.health = None;
        }
    }

    /// The guest was found running, or runs again after a pause: what was known is kept.
    pub(super) fn watch_health(&mut self) {
        self.health.check = self.check().map(Arc::new);
        if self.health.check.is_some() {
            self.record.health.get_or_insert_default();
            self.plan_check();
        }
    }

    /// Nothing is tested meanwhile.
    pub(super) fn pause_health(&mut self) {
        self.health.due = None;
    }

    /// The guest ended, and with it whatever ran in it.
    pub(super) fn end_health(&mut self) {
        self.health = Watch::default();
        if let Some(health) = &mut self.record.health {
            health.end();
        }
    }

    /// A check of the daemon that was there before still runs: nobody waits for its outcome.
    pub(super) async fn adopt_check(&mut self, id: ExecId) {
        if self.health.running.as_ref().is_none_or(|running| running.id != id) {
            self.health.running = Some(Running { id, began: now(), output: None });
            self.kill_check(id).await;
        }
    }

    pub(super) fn is_check(&self, id: ExecId) -> bool {
        id.is_check_of(self.record.id)
    }

    fn check(&self) -> Option<Check> {
        let check = self.record.spec.healthcheck.as_ref()?;
        // A user's was read before; an image may say anything.
        Check::new(check, &self.record.spec.shell).unwrap_or_else(|error| {
            tracing::warn!(guest = %self.record.id, %error, "the image's health check is not run");
            None
        })
    }

    fn plan_check(&mut self) {
        let Some(check) = &self.health.check else { return };
        if self.health.running.as_ref().is_some_and(|running| running.output.is_some()) {
            self.health.due = Some(Instant::now() + check.timeout);
            return;
        }
        let age = now().since(self.record.started.unwrap_or_else(now));
        let status = self.record.health.as_ref().map_or(Status::Starting, |health| health.status);
        self.health.due = Some(Instant::now() + check.pause(status, age));
    }

    /// A check begins, or the one that runs has had its time.
    pub(super) async fn on_health_due(&mut self) {
        self.health.due = None;
        let Some(check) = self.health.check.clone() else { return };
        // While its shim is out of reach nothing can be said about the guest.
        if self.control().is_err() {
            return self.plan_check();
        }
        match &mut self.health.running {
            None => self.start_check(&check).await,
            Some(running) => {
                let (id, began) = (running.id, running.began);
                let seen = running.output.take();
                self.kill_check(id).await;
                let text = match seen {
                    Some(output) => timed_out(&check, &output),
                    None => "the previous health check was killed and has not ended".to_owned(),
                };
                self.take_outcome(began, -1, text).await;
            }
        }
    }

    async fn start_check(&mut self, check: &Check) {
        let began = now();
        let id = match crate::random::bytes() {
            Ok(random) => ExecId::of_check(self.record.id, random),
            Err(error) => return self.take_outcome(began, -1, error.to_string()).await,
        };
        let words = check.command.join(" ");
        let named = [("execID", id.to_string())];
        self.publish(format!("exec_create: {words}"), &named);
        let spec = ExecSpec { args: check.command.clone(), ..ExecSpec::default() };
        let attach = Some(AttachRequest { stdin: false, stdout: true, stderr: true });
        let exec = StartExec { id, spec, attach, size: None };
        // Raw: a client would get headers between the pieces.
        match self.run_exec(exec, hull_shim::protocol::Framing::Raw).await {
            Ok((_pid, streams)) => {
                self.publish(format!("exec_start: {words}"), &named);
                self.health.running = Some(Running { id, began, output: streams.map(Output::of) });
                self.plan_check();
            }
            Err(NotStarted { error, .. }) => {
                self.forget_exec(id).await;
                // What failed may have been the guest.
                if self.health.check.is_some() {
                    self.take_outcome(began, -1, error.to_string()).await;
                }
            }
        }
    }

    /// A check ended by itself, or at last after it was given up.
    pub(super) async fn check_ended(&mut self, id: ExecId, exit: &ExitRecord) {
        let extra = [("execID", id.to_string()), ("exitCode", exit.code.to_string())];
        self.publish("exec_die", &extra);
        let is_it = |running: &mut Running| running.id == id;
        let Some(Running { began, output, .. }) = self.health.running.take_if(is_it) else {
            return;
        };
        // One that was given up counted then.
        let Some(mut output) = output else { return };
        // What is not read by then is left out: a process of the check's may hold its output open.
        tokio::time::timeout(LAST_WORDS_MAX, &mut output.reader).await.ok();
        self.take_outcome(began, exit.code.into(), output.text()).await;
    }

    /// Takes in an outcome, tells of a change, and plans the next check.
    async fn take_outcome(&mut self, start: Timestamp, code: i32, output: String) {
        let Some(check) = self.health.check.clone() else { return };
        let started = self.record.started.unwrap_or(start);
        let health = self.record.health.get_or_insert_with(Health::default);
        let before = health.status;
        health.take(Outcome { start, end: now(), code, output }, &check, started);
        let status = health.status;
        self.plan_check();
        if status == before {
            // Not worth a write to disk each time: the next daemon goes on from the status.
            return self.show();
        }
        self.save_logged().await;
        tracing::info!(guest = %self.record.id, status = status.name(), "health");
        self.publish(format!("health_status: {}", status.name()), &[]);
    }

    async fn kill_check(&mut self, id: ExecId) {
        // It may have ended just now; its end is told either way.
        self.ask(Ask::Signal { process: Process::Exec(id), signal: Signal::KILL }).await.ok();
    }
}

/// Docker's words for a check that was given up.
fn timed_out(check: &Check, output: &Output) -> String {
    let why = format!("Health check exceeded timeout ({})", write_go_duration(check.timeout));
    match output.text() {
        text if text.is_empty() => why,
        text => format!("{why}: {text}"),
    }
}

impl Output {
    fn of(streams: Streams) -> Self {
        let kept = Arc::default();
        let reader = tokio::spawn(read_all(streams, Arc::clone(&kept)));
        Self { kept, reader }
    }

    fn text(&self) -> String {
        text(&self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Reads to the end, so that the check is not held up, and keeps the beginning.
async fn read_all(mut streams: Streams, kept: Arc<Mutex<Vec<u8>>>) {
    let mut piece = [0; 1_024];
    loop {
        match streams.read(&mut piece).await {
            Ok(0) | Err(_) => return,
            Ok(count) => {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                // One more than is shown, to know that there was more.
                let room = (OUTPUT_MAX + 1).saturating_sub(kept.len());
                kept.extend_from_slice(&piece[..count.min(room)]);
            }
        }
    }
}

fn text(bytes: &[u8]) -> String {
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(OUTPUT_MAX)]);
    if bytes.len() > OUTPUT_MAX { format!("{shown}...") } else { shown.into_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_outputs_are_cut_and_say_so() {
        assert_eq!(text(b"ok\n"), "ok\n");
        assert_eq!(text(&[b'x'; OUTPUT_MAX]).len(), OUTPUT_MAX);
        let cut = text(&[b'x'; OUTPUT_MAX + 1]);
        assert!(cut.len() == OUTPUT_MAX + 3 && cut.ends_with("x..."));
        assert_eq!(text(b"a\xffb"), "a\u{fffd}b");
    }
}
