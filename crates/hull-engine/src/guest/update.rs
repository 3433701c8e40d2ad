//! Changing the limits and the restart policy of a guest, while it runs or not.

use std::fmt;
use std::io::ErrorKind;
use std::sync::Arc;

use hull_container::cgroup::CgroupError;
use hull_container::host::disks;
use hull_container::plan;
use hull_model::guest::GuestSpec;
use hull_model::life::State;

use super::handle::Guest;
use super::task::{Message, Task};
use crate::error::{Error, Kind, Result};

/// What becomes of a spec: decided in the guest's task, so that two at once do not undo each other.
pub(super) struct Amend(Box<Decide>);

type Decide = dyn FnOnce(&GuestSpec) -> Result<GuestSpec> + Send;

impl fmt::Debug for Amend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Amend")
    }
}

impl Guest {
    /// Changes its limits and its restart policy to those of what `amend` makes of its spec. They are
    /// in force at once if it runs. After an error nothing is changed.
    pub async fn update(
        &self,
        amend: impl FnOnce(&GuestSpec) -> Result<GuestSpec> + Send + 'static,
    ) -> Result<()> {
        self.ask(|reply| Message::Update(Amend(Box::new(amend)), reply)).await
    }
}

impl Task {
    pub(super) async fn update(&mut self, Amend(amend): Amend) -> Result<()> {
        let id = self.record.id;
        if self.record.state == State::Removing {
            let text = format!(
                "Cannot update container {id}: container is marked for removal and cannot be \
                 \"update\""
            );
            return Err(Error::new(Kind::Conflict, text));
        }
        let spec = amend(&self.record.spec)?;
        let before = std::mem::replace(&mut self.record.spec, spec);
        if let Err(error) = self.save_and_apply().await {
            self.record.spec = before;
            self.save_logged().await;
            return Err(error);
        }
        self.publish("update", &[]);
        Ok(())
    }

    /// Recorded first: what is in force and not known would be gone with the next start.
    async fn save_and_apply(&mut self) -> Result<()> {
        let writes = self.limits()?;
        self.save().await?;
        if !matches!(self.record.state, State::Running | State::Paused) {
            return Ok(());
        }
        let (engine, record) = (Arc::clone(&self.engine), self.record.clone());
        let applied = tokio::task::spawn_blocking(move || {
            let changed = writes.update().map_err(|error| {
                let doing = format!("Cannot update container {}", record.id);
                Error::caused(kind(&error), doing, error)
            })?;
            engine.update_scope(&record).inspect_err(|_refused| changed.undo())
        });
        applied.await.map_err(Error::internal("change the limits"))?
    }

    /// The limits as they are recorded, into the cgroup of a guest that was taken over: a daemon may
    /// have died between the record of a change and the change.
    pub(super) async fn limit_again(&mut self) {
        let outcome = match self.limits() {
            Ok(writes) => tokio::task::spawn_blocking(move || writes.update().map(drop))
                .await
                .map_err(Error::internal("apply the limits"))
                .and_then(|applied| applied.map_err(Error::internal("apply the limits"))),
            Err(error) => Err(error),
        };
        if let Err(error) = outcome {
            tracing::warn!(guest = %self.record.id, %error, "cannot apply the recorded limits");
        }
    }

    /// What is to be written for the recorded limits; an error if this host cannot keep one.
    fn limits(&self) -> Result<hull_container::cgroup::Cgroup> {
        let invalid = |error: &dyn std::error::Error| {
            let text = format!("Cannot update container {}: {error}", self.record.id);
            Error::new(Kind::Invalid, text)
        };
        let mut limits = self.record.spec.limits.clone();
        disks(&mut limits.block).map_err(|error| invalid(&error))?;
        let path = self.engine.cgroup_path(&self.record)?;
        plan::limits(&limits, &path, &self.engine.host).map_err(|error| invalid(&error))
    }
}

/// What the kernel refused: because of the value, or because of what the guest uses now.
fn kind(error: &CgroupError) -> Kind {
    match error {
        CgroupError::InUse { .. } => Kind::Conflict,
        CgroupError::Unsupported { .. } | CgroupError::Refused { .. } => Kind::Invalid,
        CgroupError::Write { source, .. } if source.kind() == ErrorKind::ResourceBusy => {
            Kind::Conflict
        }
        CgroupError::Write { source, .. } if source.kind() == ErrorKind::InvalidInput => {
            Kind::Invalid
        }
        CgroupError::Write { .. } => Kind::Internal,
        CgroupError::Path { .. } | CgroupError::Late { .. } | CgroupError::NoController(_) => {
            Kind::Internal
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn what_the_kernel_says_is_told_apart() {
        let write = |number| CgroupError::Write {
            path: "memory.max".into(),
            value: "1".to_owned(),
            source: io::Error::from_raw_os_error(number),
        };
        assert_eq!(kind(&write(16)), Kind::Conflict);
        assert_eq!(kind(&write(22)), Kind::Invalid);
        assert_eq!(kind(&write(5)), Kind::Internal);
        let in_use = CgroupError::InUse { path: "memory.current".into(), used: 2, max: 1 };
        assert_eq!(kind(&in_use), Kind::Conflict);
    }
}
