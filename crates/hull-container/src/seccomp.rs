//! System call filters: profiles in Docker's JSON compiled to BPF, without libseccomp.

mod architecture;
mod assemble;
mod profile;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

pub use profile::Host;

use crate::plan::Seccomp;

/// Docker's default profile (moby/profiles, Apache-2.0).
pub const DEFAULT: &str = include_str!("seccomp/docker-default.json");

/// A profile that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// Not the JSON of a profile.
    #[error("decoding seccomp profile failed: {0}")]
    Json(#[from] serde_json::Error),
    /// It contradicts itself, or asks for what there is not.
    #[error("seccomp profile: {0}")]
    Unusable(String),
    /// The kernel takes at most 4,096 instructions.
    #[error("seccomp profile: {0} instructions, of which the kernel takes at most 4096")]
    TooLong(usize),
}

/// Compiles the profile `text` for a process whose bounding set is `capabilities`.
pub fn compile(text: &str, capabilities: u64, host: &Host) -> Result<Seccomp, ProfileError> {
    let profile: profile::Profile = serde_json::from_str(text)?;
    let filter = profile.resolve(capabilities, host)?;
    let program = assemble::program(&filter);
    if program.len() > 4_096 {
        return Err(ProfileError::TooLong(program.len()));
    }
    Ok(Seccomp { program, flags: filter.flags, listener: filter.listener })
}

/// Remembers compiled filters: most guests use the same profile and capabilities.
#[derive(Debug, Default)]
pub struct Cache(Mutex<HashMap<(String, u64), Arc<Seccomp>>>);

/// How many filters are remembered (a few KiB each); then all are forgotten.
const CACHED_MAX: usize = 64;

impl Cache {
    /// [`compile`], or what it gave before. One cache serves one [`Host`].
    pub fn compile(
        &self,
        text: &str,
        capabilities: u64,
        host: &Host,
    ) -> Result<Arc<Seccomp>, ProfileError> {
        // The default profile's text is the longest and the commonest key.
        let key = (if text == DEFAULT { String::new() } else { text.to_owned() }, capabilities);
        // A panic elsewhere cannot leave the map half changed: each change is one call.
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let compiled = Arc::new(compile(text, capabilities, host)?);
        let mut cached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if cached.len() >= CACHED_MAX {
            cached.clear();
        }
        cached.insert(key, Arc::clone(&compiled));
        Ok(compiled)
    }
}

#[cfg(test)]
mod tests;
