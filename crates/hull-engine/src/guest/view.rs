//! What everybody may see of a guest, always at once: nobody waits for the guest's task to look.

use std::sync::Arc;

use tokio::sync::watch;

use crate::error::{Error, Kind, Result};
use crate::record::GuestRecord;

/// A guest at one moment.
#[derive(Clone, Debug)]
pub struct View {
    /// What is on disk.
    pub record: Arc<GuestRecord>,
    /// How often it has ended since this engine watches it.
    pub exits: u64,
    /// Whether it is gone for good.
    pub removed: bool,
}

impl View {
    /// Whether it runs, is about to, or waits to be started again: what Docker calls running.
    pub fn is_running(&self) -> bool {
        !self.removed && (self.record.state.is_alive() || self.record.restarting)
    }
}

/// A window on a guest.
#[derive(Clone, Debug)]
pub(crate) struct Watch(watch::Receiver<View>);

impl Watch {
    pub(crate) fn new(view: View) -> (watch::Sender<View>, Self) {
        let (sender, receiver) = watch::channel(view);
        (sender, Self(receiver))
    }

    /// The newest view.
    pub(crate) fn now(&self) -> View {
        self.0.borrow().clone()
    }

    /// Waits for a newer view than the last one waited for. Returns at once when there will be none.
    pub(crate) async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            // The task is gone, and with it the guest: every look shows `removed`.
            tokio::task::yield_now().await;
        }
    }

    /// Waits until `found` likes a view; an error if the engine closes before one comes.
    pub(crate) async fn until(&mut self, found: impl Fn(&View) -> bool) -> Result<View> {
        match self.0.wait_for(|view| found(view)).await {
            Ok(view) => Ok(view.clone()),
            Err(_no_task) => Err(Error::new(Kind::Unavailable, "the engine is closing")),
        }
    }

    /// Whether more output may come.
    pub(crate) fn may_write(&self) -> bool {
        let view = self.0.borrow();
        view.is_running() && self.0.has_changed().is_ok()
    }
}
