//! Descriptors of the caller's that the program is to have beside its streams.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use crate::failure::{Doing, Failure};
use crate::plan::Process;

impl Process {
    /// The first number that is no preserved descriptor's.
    pub(crate) fn preserved_end(&self) -> i32 {
        i32::try_from(self.preserved).unwrap_or(i32::MAX).saturating_add(3)
    }
}

/// Occupies the numbers of `count` descriptors, so that nothing else gets one of them before they come.
pub(crate) fn reserve(anything: impl AsFd, count: u32) -> Result<Vec<OwnedFd>, Failure> {
    let mut places = Vec::new();
    let end = i32::try_from(count).unwrap_or(i32::MAX).saturating_add(3);
    while i64::try_from(places.len()).unwrap_or(i64::MAX) < i64::from(count) {
        let place = rustix::io::fcntl_dupfd_cloexec(&anything, 3)
            .doing(format!("make place for {count} descriptors"))?;
        if place.as_raw_fd() >= end {
            return Err(Failure::other("the numbers of preserved descriptors are taken"));
        }
        places.push(place);
    }
    places.sort_by_key(AsRawFd::as_raw_fd);
    Ok(places)
}

/// Puts `kept` in the reserved `places`, to be inherited. The places must stay until exec.
pub(crate) fn place(places: &mut [OwnedFd], kept: &[OwnedFd]) -> Result<(), Failure> {
    if places.len() != kept.len() {
        let (places, kept) = (places.len(), kept.len());
        return Err(Failure::other(format!("{kept} descriptors were received, not {places}")));
    }
    for (place, fd) in places.iter_mut().zip(kept) {
        rustix::io::dup2(fd, place).doing("place a descriptor")?;
    }
    Ok(())
}
