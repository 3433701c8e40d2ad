//! What a test needs of the machine. Missing things are a printed skip, or a failure where
//! `HULL_TESTS_NO_SKIP` is set, as `cargo xtask test` does after installing them.

use std::env;
use std::path::PathBuf;

/// Says why a test does not run here.
///
/// # Panics
/// Where nothing may be skipped.
pub fn skip(reason: &str) {
    assert!(env::var_os("HULL_TESTS_NO_SKIP").is_none(), "this must not be skipped here: {reason}");
    eprintln!("skipped: {reason}");
}

/// The first of `programs` that is missing, as a reason to skip; else whether we are root.
pub fn missing(programs: &[&str]) -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("needs root: hull makes namespaces, mounts and cgroups".to_owned());
    }
    let absent = programs.iter().find(|name| find(name).is_none())?;
    Some(format!("{absent} is not installed; `cargo xtask test` does that"))
}

/// Where a program is, by `PATH` and then where root's programs are.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let usual = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    env::split_paths(&path).chain(usual).map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// A daemon of the test's own with `busybox` loaded; leaves the test where it cannot run.
///
/// `daemon!()` or `daemon!(settings)`.
#[macro_export]
macro_rules! daemon {
    () => {
        $crate::daemon!($crate::Settings::default())
    };
    ($settings:expr) => {{
        $crate::need!("docker", "busybox", "ip", "nft");
        $crate::Daemon::start($settings)
    }};
}

/// Leaves the test, saying why, where one of the programs is missing or we are not root.
#[macro_export]
macro_rules! need {
    ($($program:literal),* $(,)?) => {
        if let Some(reason) = $crate::need::missing(&[$($program),*]) {
            $crate::need::skip(&reason);
            return;
        }
    };
}
