//! Holds on digests, so that nothing is collected while somebody is still at it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use hull_model::image::Digest;

/// All leases of one store. They live in memory: a pull or load ends with its process.
#[derive(Clone, Default)]
pub struct Leases {
    held: Arc<Mutex<HashMap<Digest, usize>>>,
}

/// Keeps digests from being collected until it is dropped.
pub struct Lease {
    all: Leases,
    held: Vec<Digest>,
}

impl Leases {
    pub(crate) fn lease(&self) -> Lease {
        Lease { all: self.clone(), held: Vec::new() }
    }

    /// Carries out `action` if nobody holds `digest`; nobody can begin to meanwhile.
    pub(crate) fn unless_leased<T>(
        &self,
        digest: &Digest,
        action: impl FnOnce() -> T,
    ) -> Option<T> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.contains_key(digest) { None } else { Some(action()) }
    }
}

impl Lease {
    /// Holds `digest` too, whether or not it exists yet.
    pub fn add(&mut self, digest: Digest) {
        let mut held = self.all.held.lock().unwrap_or_else(PoisonError::into_inner);
        *held.entry(digest).or_default() += 1;
        self.held.push(digest);
    }

    /// Takes over what `other` holds.
    pub fn absorb(&mut self, mut other: Self) {
        self.held.append(&mut other.held);
    }

    /// What it holds.
    pub fn held(&self) -> &[Digest] {
        &self.held
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut all = self.all.held.lock().unwrap_or_else(PoisonError::into_inner);
        for digest in &self.held {
            if let Some(count) = all.get_mut(digest) {
                *count -= 1;
                if *count == 0 {
                    all.remove(digest);
                }
            }
        }
    }
}
