//! A guest in the foreground: our signals and window are its own.

use serde::Deserialize;
use tokio::signal::unix::Signal;

use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use crate::attach::signals::{self, Signals};
use crate::attach::terminal;
use crate::client::Client;
use crate::client::call::Call;
use crate::failure::{ENGINE, Failure};

/// What signals are sent to.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Subject<'a> {
    /// A container, by id.
    Container(&'a str),
    /// A process started in one; the API has no signals for it.
    Exec(&'a str),
}

/// Passes signals and window changes on while something else runs.
pub(crate) struct Foreground<'a> {
    client: &'a Client,
    subject: Subject<'a>,
    signals: Option<Signals>,
    /// Whether signals go to the guest; else they end us, after the terminal is restored.
    passes_on: bool,
    window: Option<Signal>,
}

impl<'a> Foreground<'a> {
    /// Catches signals from now on.
    ///
    /// # Errors
    /// When a handler cannot be installed.
    pub(crate) fn new(
        client: &'a Client,
        subject: Subject<'a>,
        tty: bool,
        passes_on: bool,
    ) -> Result<Self, Failure> {
        // With a raw terminal a signal must not simply kill us: the terminal would stay raw.
        let signals = if passes_on || tty { Some(Signals::to_pass_on()?) } else { None };
        let window = if tty { Some(signals::window_changes()?) } else { None };
        Ok(Self { client, subject, signals, passes_on, window })
    }

    /// Runs `work` to its end, meanwhile passing on what arrives.
    ///
    /// # Errors
    /// The status of a signal that is not passed on.
    pub(crate) async fn alongside<T>(
        &mut self,
        work: impl Future<Output = T>,
    ) -> Result<T, Failure> {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                name = next_signal(&mut self.signals) => {
                    if !self.passes_on {
                        return Err(Failure::Status(signals::status(name)));
                    }
                    self.pass_on(name).await;
                }
                () = next_change(&mut self.window) => self.resize().await,
            }
        }
    }

    async fn pass_on(&self, name: &str) {
        if let Subject::Container(id) = self.subject {
            let call = Call::post(&["containers", id, "kill"]).query("signal", name);
            // It fails when the guest is gone already, which the streams tell in a moment.
            drop(self.client.bytes(call).await);
        }
    }

    /// Gives the guest's terminal the size of ours.
    pub(crate) async fn resize(&self) {
        let Some((rows, columns)) = terminal::size() else { return };
        let path = match self.subject {
            Subject::Container(id) => ["containers", id, "resize"],
            Subject::Exec(id) => ["exec", id, "resize"],
        };
        let call = Call::post(&path).query("h", &rows.to_string()).query("w", &columns.to_string());
        // A guest without the right size is usable; one that is gone needs none.
        drop(self.client.bytes(call).await);
    }
}

async fn next_signal(signals: &mut Option<Signals>) -> &'static str {
    match signals {
        Some(signals) => signals.next().await,
        None => std::future::pending().await,
    }
}

async fn next_change(window: &mut Option<Signal>) {
    if let Some(window) = window
        && window.recv().await.is_some()
    {
        return;
    }
    // No window, or no more news of it.
    std::future::pending::<()>().await;
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Waited {
    status_code: i64,
    #[serde(default)]
    error: Option<WaitError>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct WaitError {
    message: String,
}

/// Reads the answer to `wait`: the guest's exit status.
///
/// # Errors
/// When the answer does not come, or says that waiting failed.
pub(crate) async fn exit_status(answer: Incoming) -> Result<i64, Failure> {
    const ANSWER_BYTES_MAX: usize = 1 << 20;
    let body = http_body_util::Limited::new(answer, ANSWER_BYTES_MAX).collect().await;
    let waited = match body {
        Ok(body) => serde_json::from_slice::<Waited>(&body.to_bytes()),
        Err(error) => {
            let text = format!("error waiting for container: {error}");
            return Err(Failure::Message { text, status: ENGINE });
        }
    };
    match waited {
        Ok(Waited { error: Some(error), .. }) if !error.message.is_empty() => {
            let text = format!("error waiting for container: {}", error.message);
            Err(Failure::Message { text, status: ENGINE })
        }
        Ok(waited) => Ok(waited.status_code),
        Err(error) => {
            let text = format!("error waiting for container: {error}");
            Err(Failure::Message { text, status: ENGINE })
        }
    }
}

/// Ends with a guest's status; 0 is success.
///
/// # Errors
/// Every other status.
pub(crate) fn leave_with(status: i64) -> Result<(), Failure> {
    match u8::try_from(status & 0xff) {
        Ok(0) if status == 0 => Ok(()),
        Ok(status) => Err(Failure::Status(status)),
        Err(_) => unreachable!("eight bits fit into a u8"),
    }
}
