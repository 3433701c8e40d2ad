//! What `state.json` holds.

use std::collections::BTreeMap;
use std::path::PathBuf;

use hull_container::cgroup::Cgroup;
use hull_container::plan::Rdt;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Identity;
use crate::commands::Scope;

/// The version of the OCI specification that `state` speaks.
pub(crate) const OCI_VERSION: &str = "1.3.0";

/// A container as it is remembered.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Record {
    /// Its name.
    pub(crate) id: String,
    /// How far its making got.
    pub(crate) phase: Phase,
    /// Its first process, once there is one.
    pub(crate) init: Option<Identity>,
    /// Where its configuration came from.
    pub(crate) bundle: PathBuf,
    /// Its root on the host.
    pub(crate) rootfs: PathBuf,
    /// When it was made, RFC 3339.
    pub(crate) created: String,
    /// Who made it.
    pub(crate) owner: u32,
    /// From its configuration.
    pub(crate) annotations: BTreeMap<String, String>,
    /// Where its processes are accounted.
    pub(crate) cgroup: Cgroup,
    /// The scope of systemd's that its cgroup belongs to.
    #[serde(default)]
    pub(crate) scope: Option<Scope>,
    /// Its share of caches, whose groups go with it.
    #[serde(default)]
    pub(crate) rdt: Option<Rdt>,
}

/// How far the making of a container got.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Phase {
    /// Not to its end.
    Creating,
    /// Made; whether it was started, its socket tells.
    Made,
}

/// What a container is doing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Status {
    /// Being made.
    Creating,
    /// Waiting to be started.
    Created,
    /// Running.
    Running,
    /// Standing still.
    Paused,
    /// Its first process has ended.
    Stopped,
}

impl Status {
    /// As `state` and `list` say it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        }
    }
}

impl Record {
    /// The state as the specification and its hooks want it.
    pub(crate) fn oci(&self, status: Status) -> serde_json::Value {
        let mut state = json!({
            "ociVersion": OCI_VERSION,
            "id": self.id,
            "status": status.name(),
            "pid": self.pid(status),
            "bundle": self.bundle,
        });
        if !self.annotations.is_empty() {
            state["annotations"] = json!(self.annotations);
        }
        state
    }

    /// The state with what runc adds, as `state` and `list` print it.
    pub(crate) fn full(&self, status: Status) -> serde_json::Value {
        let mut state = self.oci(status);
        state["rootfs"] = json!(self.rootfs);
        state["created"] = json!(self.created);
        state["owner"] = json!("");
        state
    }

    /// The number of its first process; 0 when there is none.
    pub(crate) fn pid(&self, status: Status) -> i32 {
        match (status, self.init) {
            (Status::Stopped, _) | (_, None) => 0,
            (_, Some(init)) => init.pid,
        }
    }
}
