//! `hull runtime` as other engines use it: Debian's Podman and containerd, unchanged.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use hull_tests::{Tool, eventually, images, need, program};
use tempfile::TempDir;

/// A directory of the test's own, with `hull-runtime` in it.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        // Short: paths of sockets are.
        let dir = tempfile::Builder::new().prefix("hr").tempdir_in("/tmp").unwrap();
        std::os::unix::fs::symlink(program::hull(), dir.path().join("hull-runtime")).unwrap();
        Self(dir)
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    fn runtime(&self) -> String {
        self.path("hull-runtime")
    }
}

/// Podman with storage of its own.
struct Podman(Place);

impl Podman {
    fn new() -> Self {
        let podman = Self(Place::new());
        podman.tool("load -q").arg("-i").arg(images::busybox()).ok();
        podman
    }

    fn tool(&self, words: &str) -> Tool {
        let place = &self.0;
        let (root, run, tmp) = (place.path("root"), place.path("run"), place.path("tmp"));
        let flags = format!(
            "--root {root} --runroot {run} --tmpdir {tmp} --storage-driver vfs --cgroup-manager \
             cgroupfs --events-backend file --runtime {} {words}",
            place.runtime()
        );
        Tool::new("podman", &flags)
    }

    /// `run` with limits that a machine without `CAP_SYS_RESOURCE` can keep, which runc and crun
    /// need there as well.
    fn container(&self, words: &str) -> Tool {
        let limits = "--ulimit nofile=1024:1024 --ulimit nproc=1000:1000";
        self.tool(&format!("run --network none {limits} {words}"))
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        self.tool("rm --all --force --time 0").run();
        self.tool("rmi --all --force").run();
    }
}

#[test]
fn podman_runs_containers_on_hull() {
    need!("podman", "conmon");
    let podman = Podman::new();
    assert_eq!(podman.container("--rm busybox echo hello").ok(), "hello");
    assert_eq!(podman.container("--rm busybox sh -c 'exit 7'").run().status, 7);
    assert_eq!(podman.container("--rm busybox nope").run().status, 127);
    assert_eq!(podman.container("--rm busybox /etc").run().status, 126);
    let user = podman.container("--rm --user 33:7 --workdir /tmp busybox sh -c 'id -u; pwd'");
    assert_eq!(user.ok(), "33\n/tmp");
    assert_eq!(podman.container("--rm -t busybox tty").ok(), "/dev/pts/0");
    let limited = podman.container("--rm --memory 32m --pids-limit 40 busybox");
    let files = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/pids/pids.max || \
                 cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/pids.max";
    assert_eq!(limited.arg("sh").arg("-c").arg(files).ok(), "33554432\n40");
}

#[test]
fn podman_keeps_a_container_on_hull() {
    need!("podman", "conmon");
    let podman = Podman::new();
    podman.container("-d --name one busybox sh -c 'echo started; exec sleep 600'").ok();
    eventually("its log", || podman.tool("logs one").ok().contains("started").then_some(()));
    assert_eq!(podman.tool("exec one echo inside").ok(), "inside");
    assert_eq!(podman.tool("exec -t one tty").ok(), "/dev/pts/0");
    assert_eq!(podman.tool("exec one sh -c 'exit 9'").run().status, 9);
    podman.tool("pause one").ok();
    assert_eq!(podman.tool("inspect --format {{.State.Status}} one").ok(), "paused");
    podman.tool("unpause one").ok();
    podman.tool("stop --time 0 one").ok();
    assert_eq!(podman.tool("inspect --format {{.State.Status}} one").ok(), "exited");
    podman.tool("start one").ok();
    assert_eq!(podman.tool("inspect --format {{.OCIRuntime}} one").ok().trim(), podman.0.runtime());
    podman.tool("rm --force --time 0 one").ok();
    assert_eq!(podman.tool("ps --all --quiet").ok(), "");
}

/// A containerd of the test's own. Ended when dropped.
struct Containerd {
    place: Place,
    child: Child,
}

impl Containerd {
    fn start() -> Self {
        let place = Place::new();
        let config = format!(
            "version = 2\nroot = {:?}\nstate = {:?}\ndisabled_plugins = \
             [\"io.containerd.grpc.v1.cri\"]\n[grpc]\n  address = {:?}\n[ttrpc]\n  address = {:?}\n",
            place.path("root"),
            place.path("state"),
            place.path("c.sock"),
            place.path("t.sock"),
        );
        fs::write(place.path("config.toml"), config).unwrap();
        let child = Command::new("containerd")
            .args(["--config", &place.path("config.toml")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(place.path("log")).unwrap())
            .spawn()
            .unwrap();
        let containerd = Self { place, child };
        eventually("containerd answers", || {
            (containerd.ctr("version").run().status == 0).then_some(())
        });
        containerd.ctr("images import").arg(images::busybox()).ok();
        containerd
    }

    fn ctr(&self, words: &str) -> Tool {
        Tool::new("ctr", &format!("--address {} {words}", self.place.path("c.sock")))
    }

    fn run(&self, flags: &str, name: &str) -> Tool {
        let runtime = self.place.runtime();
        self.ctr(&format!(
            "run --snapshotter native --runtime io.containerd.runc.v2 --runc-binary {runtime} \
             {flags} docker.io/library/busybox:latest {name}"
        ))
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        for name in self.ctr("tasks ls -q").run().stdout.lines() {
            self.ctr(&format!("tasks rm --force {name}")).run();
        }
        self.child.kill().unwrap_or_default();
        self.child.wait().ok();
    }
}

/// A name that is nobody else's: containerd's cgroups are the machine's.
fn name(of: &str) -> String {
    format!("hull-runtime-test-{}-{of}", std::process::id())
}

#[test]
fn containerd_runs_containers_on_hull() {
    need!("containerd", "ctr");
    let containerd = Containerd::start();
    let run =
        |words: &str| containerd.run("--rm", &name("run")).arg("sh").arg("-c").arg(words).run();
    let done = run("echo hello; id -u");
    assert_eq!((done.status, done.stdout.as_str()), (0, "hello\n0\n"), "{done:?}");
    assert_eq!(run("exit 7").status, 7);
    let failed = containerd.run("--rm", &name("run")).arg("nope").run();
    assert_ne!(failed.status, 0);
    assert!(failed.stderr.contains("executable file not found in $PATH"), "{failed:?}");
}

#[test]
fn containerd_keeps_a_container_on_hull() {
    need!("containerd", "ctr");
    let containerd = Containerd::start();
    let one = name("one");
    containerd.run("--detach", &one).arg("sleep").arg("600").ok();
    let exec = format!("tasks exec --exec-id e1 {one} echo inside");
    assert_eq!(containerd.ctr(&exec).ok(), "inside");
    let tasks = containerd.ctr("tasks ls").ok();
    assert!(tasks.contains("RUNNING"), "{tasks}");
    containerd.ctr(&format!("tasks pause {one}")).ok();
    assert!(containerd.ctr("tasks ls").ok().contains("PAUSED"));
    containerd.ctr(&format!("tasks resume {one}")).ok();
    containerd.ctr(&format!("tasks metrics {one}")).ok();
    containerd.ctr(&format!("tasks kill --signal KILL {one}")).ok();
    eventually("its end", || containerd.ctr("tasks ls").ok().contains("STOPPED").then_some(()));
    containerd.ctr(&format!("tasks rm {one}")).ok();
    containerd.ctr(&format!("containers rm {one}")).ok();
    let left: Vec<PathBuf> = fs::read_dir("/sys/fs/cgroup")
        .unwrap()
        .flatten()
        .map(|entry| entry.path().join("default").join(&one))
        .filter(|path| path.exists())
        .collect();
    assert_eq!(left, Vec::<PathBuf>::new());
}
