//! Every flag of `docker run`: what it does, seen from inside and outside. `docs/run-flags.md` is the
//! table of them all, and [`table`] holds it against the flags there are and the tests here.

mod devices;
mod health;
mod limits;
mod mounts;
mod names;
mod namespaces;
mod process;
mod security;
mod table;
mod volumes;

use hull_tests::{Daemon, Done, Tool};

/// `run --rm` with these flags and a command for the shell, once by Docker's CLI and once by hull's.
fn by_both(d: &Daemon, flags: &str, script: &str) -> [Done; 2] {
    let words = format!("run --rm --network none {flags} busybox sh -c");
    [d.docker(&words), d.hull(&words)].map(|tool| tool.arg(script).run())
}

/// What both print.
fn seen(d: &Daemon, flags: &str, script: &str) -> String {
    let [docker, hull] = by_both(d, flags, script);
    assert_eq!((docker.status, hull.status), (0, 0), "{docker:#?} {hull:#?}");
    assert_eq!(docker.stdout, hull.stdout);
    docker.stdout.trim().to_owned()
}

/// Both refuse it as Docker's CLI would, and say why.
fn refused(d: &Daemon, flags: &str, why: &str) {
    let words = format!("run --rm --pull never {flags} busybox true");
    for done in [d.docker(&words), d.hull(&words)].map(Tool::run) {
        assert!(done.status == 125 && done.stderr.contains(why), "{flags}: {done:#?}");
    }
}
