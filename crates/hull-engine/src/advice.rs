//! What a user should know about a guest that was just made: what it asked for and will not get as it
//! may expect. Pure but for looking at file systems.

use hull_container::owners::{self, Owners};
use hull_model::security::HOST_CAPABILITIES;

use crate::record::GuestRecord;

/// Warnings for who made the guest of `record`.
pub(crate) fn warnings(record: &GuestRecord, kernel: (u32, u32)) -> Vec<String> {
    if record.host_user.is_some() {
        return Vec::new();
    }
    let mut warnings = Vec::new();
    for mount in &record.mounts {
        // What cannot be looked at is told when it is mounted.
        if let Ok(Owners::Fixed(name)) = owners::of(&mount.source, kernel) {
            let (source, target) = (mount.source.display(), mount.target.as_str());
            warnings.push(format!(
                "{source} at {target}: {name} cannot map the owners of files, so they belong to \
                 nobody in the container; hint: --userns=host shows them as they are"
            ));
        }
    }
    let added = record.spec.security.cap_add.iter().map(String::as_str);
    let idle: Vec<&str> = added.filter(|name| HOST_CAPABILITIES.contains(name)).collect();
    if !idle.is_empty() {
        warnings.push(format!(
            "{} has no effect in a user namespace of the container's own, as it is power over the \
             whole host; hint: --userns=host, or for limits --ulimit",
            idle.join(", ")
        ));
    }
    warnings
}
