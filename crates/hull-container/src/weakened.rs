//! Defences that are code, by name, so that a test can take one away and see the attack succeed.
//!
//! Only the feature `weakened` makes that possible, only `cargo xtask attack` asks for it, and it does
//! not compile without debug assertions: no release can have it (docs/decisions/0015). Without the
//! feature `stands` is the constant `true`.

#[cfg(all(feature = "weakened", not(debug_assertions)))]
compile_error!(
    "the feature `weakened` takes defences away; it is for tests and never in a release"
);

/// What stands between a hostile image or guest and the host.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Defence {
    /// Paths are resolved below the guest's root (`RESOLVE_IN_ROOT`).
    InRoot,
    /// The kernel's own file systems are not mounted through links of the image.
    KernelLinks,
    /// Nothing is mounted over what `/proc` says or does.
    ProcMounts,
    /// A sysctl is written below `/proc/sys` of our own `/proc`, and nowhere else.
    Sysctls,
    /// What hides files is the null device itself, not what is called so.
    Null,
    /// `/dev/console` is the terminal itself, not what is called so.
    Console,
    /// No descriptor of the launcher's is open in the guest.
    Descriptors,
    /// The working directory is below the root.
    Directory,
    /// The guest has a session keyring of its own.
    Keyring,
    /// The guest has no groups of the launcher's.
    Groups,
    /// Nobody inside may look into a process that is joining.
    Dumpable,
    /// Files of the image are read up to a bound.
    UserFiles,
    /// The init program is mounted read-only.
    Init,
}

#[cfg(not(feature = "weakened"))]
pub(crate) const fn stands(_: Defence) -> bool {
    true
}

#[cfg(feature = "weakened")]
pub(crate) use with_feature::stands;
#[cfg(feature = "weakened")]
pub use with_feature::without;

#[cfg(feature = "weakened")]
mod with_feature {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::Defence;

    static TAKEN: AtomicU32 = AtomicU32::new(0);

    pub(crate) fn stands(defence: Defence) -> bool {
        TAKEN.load(Ordering::Relaxed) & 1 << defence as u32 == 0
    }

    /// Does something without these defences, in a process with one thread.
    pub fn without<T>(defences: &[Defence], something: impl FnOnce() -> T) -> T {
        /// Puts them back, even after a panic.
        struct Back(u32);
        impl Drop for Back {
            fn drop(&mut self) {
                TAKEN.store(self.0, Ordering::Relaxed);
            }
        }
        let bits = defences.iter().fold(0, |bits, defence| bits | 1 << *defence as u32);
        let _back = Back(TAKEN.fetch_or(bits, Ordering::Relaxed));
        something()
    }
}
