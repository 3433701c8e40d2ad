//! An engine of a test's own, which leaves nothing behind.

#![allow(dead_code, reason = "each test program uses the part it needs")]
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "this is test code, in functions clippy does not know as tests"
)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use hull_engine::{About, Bridge, Config, Create, Engine, Guest, Guests};
use hull_model::guest::GuestSpec;
use hull_model::id::GuestId;
use hull_model::namespace::{Namespaces, Network};
use hull_model::reference::Reference;
use hull_store::Store;
use hull_store::records::Table;

/// The image that [`Ground::shell`] starts.
const IMAGE: &str = "box:latest";

pub(crate) struct Ground {
    pub(crate) engine: Engine,
    guard: Guard,
    pub(crate) dir: tempfile::TempDir,
}

/// Stops the guests of a test that fails.
struct Guard(Option<Engine>);

impl Drop for Guard {
    fn drop(&mut self) {
        let Some(engine) = self.0.take() else { return };
        // On a thread of its own: the test's runtime waits for this one.
        let stopped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(engine.close(Guests::Stop)).unwrap();
        });
        stopped.join().unwrap_or_else(|_| eprintln!("guests of a failed test may be left"));
    }
}

/// The settings of an engine whose data is below `dir`.
pub(crate) fn config(dir: &Path) -> Config {
    Config {
        data_root: dir.join("data"),
        exec_root: dir.join("exec"),
        id_pool: Default::default(),
        ids_taken: Vec::new(),
        users: Default::default(),
        bridge: Bridge::default(),
        cgroup_driver: hull_engine::CgroupDriver::default(),
        cgroup_parent: dir.file_name().unwrap().to_str().unwrap().to_owned(),
        log: Default::default(),
        init: false,
        dns: Default::default(),
        rlimits: Vec::new(),
        cdi_directories: Vec::new(),
        no_new_privileges: false,
        seccomp: hull_model::security::Seccomp::Builtin,
        labels: Vec::new(),
        shutdown_timeout: Duration::from_secs(5),
        registries: Default::default(),
    }
}

/// A directory for an engine; `None`, with the reason printed, where no test can run.
pub(crate) fn place() -> Option<tempfile::TempDir> {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: needs root");
        return None;
    }
    Some(tempfile::Builder::new().prefix("hull-engine-").tempdir().unwrap())
}

impl Ground {
    /// `None`, with the reason printed, where the test cannot run.
    pub(crate) async fn new() -> Option<Self> {
        let dir = place()?;
        Some(Self::open(dir).await)
    }

    /// An engine on what is in `dir`.
    pub(crate) async fn open(dir: tempfile::TempDir) -> Self {
        let engine = Engine::open(config(dir.path())).await.unwrap();
        Self { guard: Guard(Some(engine.clone())), engine, dir }
    }

    /// Closes the engine; the guests run on.
    pub(crate) async fn leave(mut self) -> tempfile::TempDir {
        self.engine.close(Guests::Leave).await.unwrap();
        self.guard.0 = None;
        self.dir
    }

    /// As [`Self::new`], with an image that has a shell.
    pub(crate) async fn with_shell() -> Option<Self> {
        if !Path::new("/bin/busybox").exists() {
            eprintln!("skipped: needs /bin/busybox (Debian: busybox-static)");
            return None;
        }
        let ground = Self::new().await?;
        import(&ground.engine, &[]).await;
        Some(ground)
    }

    /// A spec without a network.
    pub(crate) fn quiet(&self) -> GuestSpec {
        quiet()
    }

    pub(crate) async fn create(&self, spec: GuestSpec) -> Guest {
        let created = self.engine.create(Create { name: None, spec }).await.unwrap();
        self.engine.guest(&created.id.to_string()).unwrap()
    }

    /// Closes the engine, changes a guest's record, and opens it again, as a crash at an unlucky
    /// moment might have left it.
    pub(crate) async fn reopen_with(
        self,
        id: GuestId,
        change: impl FnOnce(&mut serde_json::Value),
    ) -> Self {
        let dir = self.leave().await;
        {
            let store = Store::open(&config(dir.path()).data_root).unwrap();
            let (table, key) = (Table::new("guests"), id.to_string());
            let text = store.records.get(table, &key).unwrap().unwrap();
            let mut record = serde_json::from_slice(&text).unwrap();
            change(&mut record);
            store.records.put(table, &key, &serde_json::to_vec(&record).unwrap()).unwrap();
        }
        Self::open(dir).await
    }

    pub(crate) fn run_dir(&self, guest: &Guest) -> PathBuf {
        self.dir.path().join("exec/guests").join(guest.id().to_string())
    }

    /// Stops everything and looks whether anything of it is left in the kernel.
    pub(crate) async fn close(mut self) {
        self.guard.0 = None;
        self.engine.close(Guests::Stop).await.unwrap();
        let parent = config(self.dir.path()).cgroup_parent;
        for hierarchy in &self.engine.host().cgroups {
            let left = hierarchy.mount.join(&parent);
            assert!(!left.exists(), "{} is left behind", left.display());
        }
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(self.dir.path().to_str().unwrap()), "mounts are left: {mounts}");
    }
}

/// A spec without a network.
pub(crate) fn quiet() -> GuestSpec {
    let namespaces = Namespaces { network: Network::None, ..Namespaces::default() };
    GuestSpec { namespaces, ..GuestSpec::default() }
}

/// A spec that runs `script` in busybox's shell.
pub(crate) fn shell(script: &str) -> GuestSpec {
    let mut spec = GuestSpec { image: IMAGE.into(), ..quiet() };
    spec.process.cmd = Some(vec!["/bin/sh".into(), "-c".into(), script.into()]);
    spec
}

/// Makes the image of [`shell`]: busybox, and `further` empty files.
pub(crate) async fn import(engine: &Engine, further: &[String]) {
    let mut archive = Vec::new();
    let busybox = std::fs::read("/bin/busybox").unwrap();
    entry(&mut archive, "bin/sh", &busybox);
    for name in further {
        entry(&mut archive, name, b"");
    }
    archive.resize(archive.len() + 1024, 0);
    let images = engine.images();
    let name = Reference::try_from(IMAGE.to_owned()).unwrap();
    let about = About::default();
    let imported = move || images.import(archive.as_slice(), &about, Some(&name)).unwrap();
    tokio::task::spawn_blocking(imported).await.unwrap();
}

/// Adds a file to a tar archive (POSIX ustar).
fn entry(archive: &mut Vec<u8>, name: &str, content: &[u8]) {
    let mut header = [0_u8; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[100..108].copy_from_slice(b"0000755\0");
    header[108..116].copy_from_slice(b"0000000\0");
    header[116..124].copy_from_slice(b"0000000\0");
    header[124..136].copy_from_slice(format!("{:011o}\0", content.len()).as_bytes());
    header[136..148].copy_from_slice(b"00000000000\0");
    header[148..156].copy_from_slice(b"        ");
    header[156] = b'0';
    header[257..265].copy_from_slice(b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    archive.extend_from_slice(&header);
    archive.extend_from_slice(content);
    archive.resize(archive.len().next_multiple_of(512), 0);
}
