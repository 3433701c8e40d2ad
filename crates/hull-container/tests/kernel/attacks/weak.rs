//! Taking defences away, to see that an attack is one: what fails against hull must succeed here.

use hull_container::plan::{Capabilities, LaunchPlan, Namespace, Seccomp};
use hull_container::weakened::Defence;

use crate::fixture::Guest;

/// Does something without these defences, where this build can: by `cargo xtask attack`.
#[cfg(feature = "weakened")]
pub(crate) fn without<T>(defences: &[Defence], something: impl FnOnce() -> T) -> Option<T> {
    Some(hull_container::weakened::without(defences, something))
}

/// This build has all its defences, like a release.
#[cfg(not(feature = "weakened"))]
pub(crate) fn without<T>(_defences: &[Defence], _something: impl FnOnce() -> T) -> Option<T> {
    None
}

impl Guest {
    /// With the attacker's program as `/bin/attack`.
    pub(crate) fn armed(self) -> Self {
        std::fs::copy(hull_attack::program(), self.lower("bin/attack")).unwrap();
        self
    }

    /// What it prints with its plan changed.
    pub(crate) fn changed(&mut self, change: fn(&mut LaunchPlan)) -> String {
        self.change = change;
        let output = self.run().unwrap().output;
        self.change = |_| {};
        output
    }
}

/// No filter of system calls.
pub(crate) fn unfiltered(plan: &mut LaunchPlan) {
    plan.process.seccomp = Seccomp::default();
}

/// No filter, and all capabilities (in the user namespace it has).
pub(crate) fn mighty(plan: &mut LaunchPlan) {
    unfiltered(plan);
    let all = (1 << 41) - 1;
    plan.process.capabilities =
        Capabilities { bounding: all, effective: all, permitted: all, inheritable: 0, ambient: 0 };
}

/// No protected and no hidden paths.
pub(crate) fn uncovered(plan: &mut LaunchPlan) {
    plan.masked.clear();
    plan.read_only.clear();
}

/// The host's cgroups, and all power.
pub(crate) fn mighty_among_all_cgroups(plan: &mut LaunchPlan) {
    mighty(plan);
    plan.namespaces.cgroup = Namespace::Host;
}

/// The host's processes.
pub(crate) fn among_all_processes(plan: &mut LaunchPlan) {
    plan.namespaces.pid = Namespace::Host;
}

/// Every device can be used.
pub(crate) fn all_devices(plan: &mut LaunchPlan) {
    for directory in &mut plan.cgroup.directories {
        directory.devices = Default::default();
        directory.writes.retain(|write| !write.file.starts_with("devices."));
    }
}

/// No limits of processes and memory.
pub(crate) fn unlimited(plan: &mut LaunchPlan) {
    for directory in &mut plan.cgroup.directories {
        let limit = |file: &str| file.starts_with("pids.") || file.starts_with("memory.");
        directory.writes.retain(|write| !limit(&write.file));
    }
    plan.process.rlimits.clear();
}
