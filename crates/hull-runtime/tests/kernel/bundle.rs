//! A bundle with busybox, a state directory of its own, and calls of the runtime.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Why the tests cannot run here, if they cannot.
pub(crate) fn unable() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("not root".to_owned());
    }
    let busybox = Path::new("/bin/busybox").exists();
    (!busybox).then(|| "no /bin/busybox; hint: apt-get install busybox-static".to_owned())
}

/// A bundle and the containers made of it. All goes with it.
pub(crate) struct Bundle {
    pub(crate) dir: tempfile::TempDir,
    /// Written before every call.
    pub(crate) config: Value,
}

/// What a call left.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The cgroup above those of this run's containers.
pub(crate) fn parent() -> String {
    format!("hull-runtime-test-{}", std::process::id())
}

/// Removes it in every hierarchy.
pub(crate) fn remove_parent() {
    let mounts = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
    let roots = mounts.map(|entry| entry.path()).chain([PathBuf::from("/sys/fs/cgroup")]);
    // Where it is in use something has failed and said so.
    roots.for_each(|root| fs::remove_dir(root.join(parent())).unwrap_or_default());
}

static COUNT: AtomicU32 = AtomicU32::new(0);

impl Bundle {
    /// What `spec` proposes, without a terminal, in a cgroup of the tests.
    pub(crate) fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("hull-runtime-").tempdir().unwrap();
        for name in ["rootfs/bin", "rootfs/etc", "rootfs/tmp", "rootfs/root"] {
            fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        let bin = dir.path().join("rootfs/bin");
        fs::copy("/bin/busybox", bin.join("busybox")).unwrap();
        for name in "sh true false cat id ls mount umount touch echo sleep env head grep wc mknod \
                     tty stty dd ln rm mkdir readlink test hostname kill ps chmod printenv tr sort \
                     stat nproc mkfifo"
            .split_whitespace()
        {
            symlink("busybox", bin.join(name)).unwrap();
        }
        let passwd = "root:x:0:0::/root:/bin/sh\nwww:x:33:33::/var/www:/bin/sh\n";
        fs::write(dir.path().join("rootfs/etc/passwd"), passwd).unwrap();
        let mut bundle = Self { dir, config: Value::Null };
        bundle.call(&["spec", "--bundle", bundle.path("").to_str().unwrap()]).ok();
        let text = fs::read_to_string(bundle.path("config.json")).unwrap();
        bundle.config = serde_json::from_str(&text).unwrap();
        bundle.config["process"]["terminal"] = json!(false);
        bundle.config["root"]["readonly"] = json!(false);
        let unique = format!("/{}/{}", parent(), COUNT.fetch_add(1, Ordering::Relaxed));
        bundle.config["linux"]["cgroupsPath"] = json!(unique);
        bundle
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.path("state")
    }

    pub(crate) fn process(&mut self) -> &mut Value {
        &mut self.config["process"]
    }

    pub(crate) fn linux(&mut self) -> &mut Value {
        &mut self.config["linux"]
    }

    pub(crate) fn shell(&mut self, script: &str) -> &mut Self {
        self.config["process"]["args"] = json!(["sh", "-c", script]);
        self
    }

    pub(crate) fn write(&self) {
        fs::write(self.path("config.json"), self.config.to_string()).unwrap();
    }

    /// This very program as the runtime, with this state directory.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = hull_sys::spawn::command(std::env::current_exe().unwrap());
        command.arg("runtime").arg("--root").arg(self.root()).args(words);
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").current_dir(self.dir.path());
        command.stdin(Stdio::null());
        command
    }

    /// Runs it to its end, which is forced upon one that does not find it.
    pub(crate) fn call(&self, words: &[&str]) -> Outcome {
        let runtime = self.command(words);
        let mut command = hull_sys::spawn::command("/usr/bin/timeout");
        command.args(["--foreground", "--signal", "KILL", "120"]);
        command.arg(runtime.get_program()).args(runtime.get_args());
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").current_dir(self.dir.path());
        Outcome::of(&command.stdin(Stdio::null()).output().unwrap())
    }

    /// `run` of the container `id`, to its end.
    pub(crate) fn run(&self) -> Outcome {
        self.write();
        self.call(&["run", "c"])
    }

    /// Makes and starts a container `c` whose output goes to the file `output`.
    pub(crate) fn start(&self) {
        self.create(&[]).ok();
        self.call(&["start", "c"]).ok();
    }

    /// Makes a container `c` whose output goes to the file `output`.
    pub(crate) fn create(&self, flags: &[&str]) -> Outcome {
        self.write();
        let output = fs::File::create(self.path("output")).unwrap();
        let errors = self.path("errors");
        let mut command = self.command(&[&["create"], flags, &["c"]].concat());
        command.stdout(output).stderr(fs::File::create(&errors).unwrap());
        let status = command.status().unwrap().code().unwrap();
        let stderr = fs::read_to_string(errors).unwrap();
        Outcome { status, stdout: String::new(), stderr }
    }

    pub(crate) fn output(&self) -> String {
        fs::read_to_string(self.path("output")).unwrap()
    }

    pub(crate) fn state(&self) -> Value {
        serde_json::from_str(&self.call(&["state", "c"]).ok()).unwrap()
    }

    pub(crate) fn status(&self) -> String {
        self.state()["status"].as_str().unwrap().to_owned()
    }

    /// Its directories in every hierarchy that still exist.
    pub(crate) fn cgroups_left(&self) -> Vec<PathBuf> {
        let path = self.config["linux"]["cgroupsPath"].as_str().unwrap();
        let mounts = fs::read_dir("/sys/fs/cgroup").unwrap().flatten();
        let roots = mounts.map(|entry| entry.path()).chain([PathBuf::from("/sys/fs/cgroup")]);
        roots.map(|root| root.join(&path[1..])).filter(|path| path.exists()).collect()
    }

    /// What is in the state directory.
    pub(crate) fn records_left(&self) -> usize {
        fs::read_dir(self.root()).map_or(0, Iterator::count)
    }

    pub(crate) fn assert_nothing_left(&self) {
        assert_eq!(self.cgroups_left(), Vec::<PathBuf>::new());
        assert_eq!(self.records_left(), 0);
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        let ids = fs::read_dir(self.root()).into_iter().flatten().flatten();
        for id in ids.map(|entry| entry.file_name().to_string_lossy().into_owned()) {
            let deleted = self.call(&["delete", "--force", &id]);
            if !std::thread::panicking() {
                deleted.ok();
            }
        }
    }
}

impl Outcome {
    pub(crate) fn of(output: &Output) -> Self {
        use std::os::unix::process::ExitStatusExt;
        let signal = output.status.signal().map_or(0, |signal| -signal);
        Self {
            status: output.status.code().unwrap_or(signal),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Its output; it must have ended well.
    #[track_caller]
    pub(crate) fn ok(&self) -> String {
        assert_eq!(self.status, 0, "{self:?}");
        self.stdout.clone()
    }

    /// It must have failed with `status` and said `words`.
    #[track_caller]
    pub(crate) fn fails(&self, status: i32, words: &str) {
        assert_eq!(self.status, status, "{self:?}");
        // The log escapes quotes.
        assert!(self.stderr.replace("\\\"", "\"").contains(words), "{self:?}");
    }
}

/// Waits until `done` says so.
#[track_caller]
pub(crate) fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !done() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A child that is killed if it still runs at the end.
pub(crate) struct Background(pub(crate) Child);

impl Drop for Background {
    fn drop(&mut self) {
        self.0.kill().unwrap_or_default();
        self.0.wait().ok();
    }
}
