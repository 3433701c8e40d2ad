//! Connecting clients to a guest's first process, before or while it runs.

use hull_shim::protocol::{Attach, Framing, Process};
use tokio::sync::oneshot;

use crate::error::Result;
use crate::shim::stream::{self, Connected, Streams};

/// Which streams a client wants.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct AttachRequest {
    /// Its bytes go to the process.
    pub stdin: bool,
    /// It gets standard output.
    pub stdout: bool,
    /// It gets standard error.
    pub stderr: bool,
}

impl AttachRequest {
    /// The request in the shim's words.
    pub(crate) fn to(self, process: Process, framing: Framing) -> Attach {
        let Self { stdin, stdout, stderr } = self;
        Attach { process, stdin, stdout, stderr, framing }
    }
}

/// Clients that came before the guest started.
#[derive(Debug, Default)]
pub(super) struct Waiting(Vec<(Attach, oneshot::Sender<Connected>)>);

impl Waiting {
    /// More clients than this wait for no guest; the list must have an end.
    const MAX: usize = 1_000;

    /// Streams that are connected at the next start.
    pub(super) fn add(&mut self, request: Attach) -> Option<Streams> {
        self.0.retain(|(_, client)| !client.is_closed());
        if self.0.len() >= Self::MAX {
            return None;
        }
        let (client, streams) = Streams::waiting();
        self.0.push((request, client));
        Some(streams)
    }

    /// Connects all of them to the shim in `dir`.
    pub(super) async fn connect(&mut self, dir: &std::path::Path) -> Result<()> {
        for (request, client) in self.0.drain(..) {
            if client.is_closed() {
                continue;
            }
            let connected = stream::attach(dir, request).await?;
            // A client that left meanwhile takes its connection with it.
            client.send(connected).ok();
        }
        Ok(())
    }

    /// Lets all of them go: the start they waited for failed.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
