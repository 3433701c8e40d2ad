//! What the daemon tells this crate about a container, borrowed from where it lies.

use hull_model::health::Health;
use hull_model::id::ExecId;
use hull_model::life::State;
use hull_model::record::GuestRecord;

/// A container as answers show it.
#[derive(Clone, Copy, Debug)]
pub struct ContainerView<'a> {
    /// What is on record.
    pub record: &'a GuestRecord,
    /// Its execs.
    pub execs: &'a [ExecId],
    /// Where its files are on the host.
    pub paths: Paths<'a>,
    /// Bytes it uses; `None` where the client did not ask.
    pub size: Option<Size>,
    /// The layers below its own, lowest first, as directories on the host.
    pub layers: &'a [String],
}

/// Files of one container on the host; empty where there is none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Paths<'a> {
    /// Mounted at `/etc/hosts`.
    pub hosts: &'a str,
    /// Mounted at `/etc/hostname`.
    pub hostname: &'a str,
    /// Mounted at `/etc/resolv.conf`.
    pub resolv_conf: &'a str,
    /// Its log.
    pub log: &'a str,
    /// Its writable layer.
    pub upper: &'a str,
    /// The writable layer's work directory.
    pub work: &'a str,
}

/// Bytes on disk.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Size {
    /// Of its writable layer.
    pub rw: u64,
    /// Of all its layers.
    pub root_fs: u64,
}

/// Docker's word for where a container is in its life.
///
/// A guest whose restart policy waits is `restarting`, although nothing of it lives.
pub fn status(record: &GuestRecord) -> &'static str {
    if record.restarting { "restarting" } else { record.state.name() }
}

/// How it is doing, if it has a health check that was begun.
pub(super) fn health(record: &GuestRecord) -> Option<&Health> {
    record.health.as_ref()
}

/// The first process on the host, 0 if there is none.
pub(super) fn pid(record: &GuestRecord) -> u32 {
    record.pid.filter(|_| is_running(record)).unwrap_or(0)
}

/// Docker counts paused as running.
pub(super) fn is_running(record: &GuestRecord) -> bool {
    matches!(record.state, State::Running | State::Paused)
}

/// The code of the last end. A guest that never could start has Docker's 128 or the shell's codes
/// from its exit; one that never was started has 0.
pub(super) fn exit_code(record: &GuestRecord) -> u8 {
    if is_running(record) { 0 } else { record.exit.map_or(0, |exit| exit.code) }
}
