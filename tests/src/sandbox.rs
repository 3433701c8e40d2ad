//! A machine as a new user has it: nothing of hull at its default places, in namespaces of its own,
//! so that commands run as they are written in the README.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::command::{Done, Tool};
use crate::program;

/// Namespaces for mounts, processes and the network, with empty default roots of hull.
#[derive(Debug)]
pub struct Sandbox {
    dir: TempDir,
}

impl Sandbox {
    /// Prepares it; nothing runs yet.
    ///
    /// # Panics
    /// If its files cannot be made.
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("hs").tempdir_in("/tmp").unwrap();
        for name in ["lib", "run", "tmp", "work"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        Self { dir }
    }

    /// Runs a script of `sh` inside, in an empty directory unless another is given; all it has
    /// started ends with it.
    pub fn run(&self, script: &str, directory: Option<&Path>) -> Done {
        let bin = program::hull().parent().unwrap();
        let path = std::env::var("PATH").unwrap_or_default();
        let (lib, run, tmp) = (self.path("lib"), self.path("run"), self.path("tmp"));
        // The names of the default roots are shared with the machine's own hull, so they are made
        // where missing, and something of ours is mounted over them.
        let setup = format!(
            "set -e; mkdir -p /var/lib/hull /run/hull; chmod 700 /var/lib/hull /run/hull; \
             mount --bind {} /var/lib/hull; mount --bind {} /run/hull; ip link set lo up; \
             chmod 700 /var/lib/hull /run/hull; cd {}; {} mount --rbind {} /tmp; exec sh -eu",
            lib.display(),
            run.display(),
            directory.map_or_else(|| self.path("work"), Path::to_owned).display(),
            self.keep_checkout(),
            tmp.display(),
        );
        let unshare = "--mount --net --pid --fork --mount-proc --kill-child --propagation private";
        let tool = program::of_our_package()
            .fold(Tool::new("unshare", unshare), |tool, name| tool.without(&name));
        tool.arg("sh")
            .arg("-c")
            .arg(setup)
            .env("PATH", format!("{}:{path}", bin.display()))
            .env("HULL_HOST", "")
            .env("DOCKER_HOST", "")
            .input(script)
            .run_within(std::time::Duration::from_secs(900))
    }

    /// Commands that keep this checkout where it is when `/tmp` becomes another, should it be below.
    fn keep_checkout(&self) -> String {
        let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let Ok(below) = checkout.strip_prefix("/tmp") else { return String::new() };
        let kept = self.path("tmp").join(below);
        format!("mkdir -p {0}; mount --rbind {1} {0};", kept.display(), checkout.display())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

impl Default for Sandbox {
    fn default() -> Self {
        Self::new()
    }
}
