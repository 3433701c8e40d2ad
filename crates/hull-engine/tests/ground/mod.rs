//! An engine of a test's own, which leaves nothing behind.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "this is test code, in functions clippy does not know as tests"
)]

use std::path::PathBuf;
use std::time::Duration;

use hull_engine::{Bridge, Config, Create, Engine, Guest, Guests};
use hull_model::guest::GuestSpec;
use hull_model::namespace::{Namespaces, Network};

pub(crate) struct Ground {
    pub(crate) engine: Engine,
    parent: PathBuf,
    _dir: tempfile::TempDir,
}

impl Ground {
    /// `None`, with the reason printed, where the test cannot run.
    pub(crate) async fn new() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: needs root");
            return None;
        }
        let dir = tempfile::Builder::new().prefix("hull-engine-").tempdir().unwrap();
        let name = dir.path().file_name().unwrap().to_str().unwrap().to_owned();
        let config = Config {
            data_root: dir.path().join("data"),
            exec_root: dir.path().join("exec"),
            id_pool: Default::default(),
            host_users: false,
            bridge: Bridge::default(),
            cgroup_parent: name.clone(),
            log: Default::default(),
            init: false,
            dns: Default::default(),
            rlimits: Vec::new(),
            labels: Vec::new(),
            shutdown_timeout: Duration::from_secs(5),
            registries: Default::default(),
        };
        let engine = Engine::open(config).await.unwrap();
        Some(Self { engine, parent: name.into(), _dir: dir })
    }

    /// A spec without a network.
    pub(crate) fn quiet(&self) -> GuestSpec {
        let namespaces = Namespaces { network: Network::None, ..Namespaces::default() };
        GuestSpec { namespaces, ..GuestSpec::default() }
    }

    pub(crate) async fn create(&self, spec: GuestSpec) -> Guest {
        let created = self.engine.create(Create { name: None, spec }).await.unwrap();
        self.engine.guest(&created.id.to_string()).unwrap()
    }

    /// Stops everything and looks whether anything of it is left in the kernel.
    pub(crate) async fn close(self) {
        self.engine.close(Guests::Stop).await.unwrap();
        for hierarchy in &self.engine.host().cgroups {
            let left = hierarchy.mount.join(&self.parent);
            assert!(!left.exists(), "{} is left behind", left.display());
        }
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(self._dir.path().to_str().unwrap()), "mounts are left: {mounts}");
    }
}
