//! A daemon of a test's own, with its own roots, socket, bridge and cgroups; nothing of it is left
//! when it is dropped, and that is checked.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::command::{Running, Tool};
use crate::http::{self, Answer, Connection};
use crate::leaks::Traces;
use crate::terminal::Terminal;
use crate::wait::within;
use crate::{images, need, program};

/// How a daemon is started.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// More of its arguments, in words.
    pub arguments: String,
    /// Whether its guests are to outlive a SIGTERM, as they do unless it has `--stop-guests`.
    pub leaves_guests: bool,
    /// Where its data is, unless in a directory of the test's own.
    pub data_root: Option<PathBuf>,
    /// Whether it starts without the `busybox` image.
    pub is_empty: bool,
    /// Whether systemd makes its cgroups.
    pub systemd: bool,
}

/// A running daemon. Stops with all its guests when dropped.
#[derive(Debug)]
pub struct Daemon {
    dir: TempDir,
    settings: Settings,
    number: u32,
    child: Option<Child>,
}

/// How long a daemon may take to be ready or to end.
const LIMIT: Duration = Duration::from_secs(20);

impl Daemon {
    /// Starts a daemon and waits until it answers.
    ///
    /// # Panics
    /// If it does not come up, with its log.
    pub fn start(settings: Settings) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        // Short: a socket's path has 108 bytes.
        let dir = tempfile::Builder::new().prefix("ht").tempdir_in("/tmp").unwrap();
        let mut daemon = Self { dir, settings, number, child: None };
        daemon.again();
        if !daemon.settings.is_empty {
            let loaded = daemon.load(&fs::read(images::busybox()).unwrap());
            assert_eq!(loaded.status, 200, "{}", loaded.text());
        }
        daemon
    }

    /// Starts it once more, after [`Daemon::kill`] or [`Daemon::terminate`].
    ///
    /// # Panics
    /// If it does not come up, with its log.
    pub fn again(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        let log = File::options().create(true).append(true).open(self.log_path()).unwrap();
        let mut command = self.command();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.child = Some(command.spawn().unwrap());
        let ready = within(LIMIT, || self.answers().then_some(Ok(())).or_else(|| self.ended()));
        match ready {
            Some(Ok(())) => {}
            Some(Err(status)) => panic!("the daemon ended with {status}:\n{}", self.log()),
            None => panic!("the daemon does not answer:\n{}", self.log()),
        }
    }

    /// The command line it is started with.
    pub fn command(&self) -> Command {
        let mut command = Command::new(program::hull());
        command.arg("daemon").arg("--data-root").arg(self.data_root());
        command.arg("--exec-root").arg(self.exec_root());
        command.args(["--cgroup-parent", &self.cgroup_parent(), "--bip", &self.bridge()]);
        if self.settings.systemd {
            command.args(["--exec-opt", "native.cgroupdriver=systemd"]);
        }
        if !self.settings.leaves_guests {
            command.args(["--stop-guests", "--shutdown-timeout", "2"]);
        }
        command.args(self.settings.arguments.split_whitespace());
        command
    }

    fn answers(&self) -> bool {
        std::os::unix::net::UnixStream::connect(self.socket()).is_ok()
            && self.get("/_ping").status == 200
    }

    fn ended<T>(&mut self) -> Option<Result<T, std::process::ExitStatus>> {
        self.child.as_mut().and_then(|child| child.try_wait().unwrap()).map(Err)
    }

    /// Ends it as `kill -9` does. Its guests go on.
    ///
    /// # Panics
    /// If it does not run.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Ends it by SIGTERM and gives its exit status.
    ///
    /// # Panics
    /// If it does not end.
    pub fn terminate(&mut self) -> i32 {
        let mut child = self.child.take().expect("it runs");
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        let ended = within(LIMIT, || child.try_wait().unwrap());
        if ended.is_none() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        let ended = ended.unwrap_or_else(|| panic!("SIGTERM does not end it:\n{}", self.log()));
        ended.code().unwrap_or(-1)
    }

    /// Its process id.
    ///
    /// # Panics
    /// If it does not run.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// Where its data is.
    pub fn data_root(&self) -> PathBuf {
        self.settings.data_root.clone().unwrap_or_else(|| self.dir.path().join("data"))
    }

    /// Where its sockets are.
    pub fn exec_root(&self) -> PathBuf {
        self.dir.path().join("run")
    }

    /// Its API socket.
    pub fn socket(&self) -> PathBuf {
        self.exec_root().join("hull.sock")
    }

    /// Its address as clients take it.
    pub fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// A directory for the test's files, gone with the daemon.
    pub fn files(&self) -> &Path {
        self.dir.path()
    }

    /// Below which cgroup its guests are.
    pub fn cgroup_parent(&self) -> String {
        let name = self.dir.path().file_name().unwrap().to_string_lossy();
        // Without dashes, which would make slices in slices.
        if self.settings.systemd { format!("{name}.slice") } else { format!("hull-tests-{name}") }
    }

    /// The address of its bridge: another one for each daemon of this process, and most likely
    /// another than those of other processes.
    pub fn bridge(&self) -> String {
        let process = std::process::id();
        format!("10.{}.{}.1/24", 64 + process % 128, (process / 128 * 41 + self.number) % 256)
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.dir.path().join("log")
    }

    /// The real docker CLI with this daemon, its arguments in words.
    pub fn docker(&self, words: &str) -> Tool {
        let program = need::find("docker").expect("docker is installed");
        Tool::new(program, words)
            .env("DOCKER_HOST", self.host())
            .env("DOCKER_CONFIG", self.dir.path().join("docker"))
    }

    /// hull's own CLI with this daemon, its arguments in words.
    pub fn hull(&self, words: &str) -> Tool {
        Tool::new(program::hull(), words)
            .env("HULL_HOST", self.host())
            .env("DOCKER_CONFIG", self.dir.path().join("docker"))
    }

    /// `docker run -d` with these words; gives the id.
    pub fn run_detached(&self, words: &str) -> String {
        self.docker(&format!("run -d --network none {words}")).ok()
    }

    /// The docker CLI, running.
    pub fn docker_started(&self, words: &str) -> Running {
        self.docker(words).spawn()
    }

    /// The docker CLI in a terminal of its own.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn docker_terminal(&self, arguments: &[&str]) -> Terminal {
        let program = need::find("docker").expect("docker is installed");
        self.in_terminal(&program, arguments)
    }

    /// hull's own CLI in a terminal of its own.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn hull_terminal(&self, arguments: &[&str]) -> Terminal {
        self.in_terminal(program::hull(), arguments)
    }

    fn in_terminal(&self, program: &Path, arguments: &[&str]) -> Terminal {
        let arguments: Vec<_> = arguments.iter().map(|text| (*text).to_owned()).collect();
        let config = self.dir.path().join("docker").display().to_string();
        let host = self.host();
        let environment =
            [("DOCKER_HOST", host.clone()), ("HULL_HOST", host), ("DOCKER_CONFIG", config)];
        Terminal::start(program, &arguments, &environment)
    }

    /// A GET request.
    pub fn get(&self, path: &str) -> Answer {
        http::call(&self.socket(), &format!("GET {path}"), None)
    }

    /// A POST request with JSON.
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        http::call(&self.socket(), &format!("POST {path}"), Some(body))
    }

    /// A request without a body.
    pub fn call(&self, line: &str) -> Answer {
        http::call(&self.socket(), line, None)
    }

    /// Loads an archive of images.
    pub fn load(&self, archive: &[u8]) -> Answer {
        let mut connection = self.connect();
        let headers = "Content-Type: application/x-tar\r\nConnection: close\r\n";
        connection.request("POST /images/load?quiet=1", headers, archive);
        connection.answer()
    }

    /// A connection to its socket.
    pub fn connect(&self) -> Connection {
        Connection::open(&self.socket())
    }

    /// `inspect` of a container.
    ///
    /// # Panics
    /// If it is not there.
    pub fn inspect(&self, container: &str) -> Value {
        let answer = self.get(&format!("/containers/{container}/json"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }

    /// Waits until a container is in a state: `running`, `exited`, ...
    ///
    /// # Panics
    /// If it does not get there.
    pub fn until(&self, container: &str, state: &str) {
        let seen = || self.inspect(container)["State"].clone();
        let there = within(LIMIT, || (seen()["Status"] == state).then_some(()));
        assert!(there.is_some(), "{container} is not {state}: {}", seen());
    }

    /// The host's process id of a container's first process.
    ///
    /// # Panics
    /// If it does not run.
    pub fn pid_of(&self, container: &str) -> u32 {
        let pid = self.inspect(container)["State"]["Pid"].as_u64().unwrap();
        assert_ne!(pid, 0, "{container} does not run");
        u32::try_from(pid).unwrap()
    }

    /// The process that a container's first process is a child of.
    ///
    /// # Panics
    /// If it does not run.
    pub fn shim_of(&self, container: &str) -> u32 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid_of(container))).unwrap();
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        fields.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// What the kernel has of this daemon now.
    pub fn traces(&self) -> Traces {
        Traces::new(self.dir.path(), &self.data_root(), &self.cgroup_parent(), &self.bridge())
    }

    /// Ends all: guests first, as a user would, then the daemon.
    fn stop(&mut self) -> Result<(), String> {
        if self.child.is_none() {
            return Ok(());
        }
        if self.answers() {
            let list = self.get("/containers/json?all=1");
            for guest in list.json().as_array().into_iter().flatten() {
                let id = guest["Id"].as_str().unwrap_or_default();
                self.call(&format!("DELETE /containers/{id}?force=1&v=1"));
            }
        }
        let start = Instant::now();
        let status = self.terminate();
        if status != 0 || start.elapsed() > Duration::from_secs(10) {
            return Err(format!("SIGTERM took {:?}, status {status}", start.elapsed()));
        }
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let traces = self.traces();
        let fails_already = std::thread::panicking();
        if fails_already {
            eprintln!("the daemon's log:\n{}", self.log());
        }
        let stopped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.stop()));
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap_or_default();
            child.wait().ok();
        }
        let left = traces.left(self.settings.leaves_guests);
        traces.remove();
        if !fails_already {
            assert!(matches!(stopped, Ok(Ok(()))), "{stopped:?}:\n{}", self.log());
            assert!(left.is_empty(), "left behind: {left:#?}\n{}", self.log());
            let log = self.log();
            assert!(!log.contains("panicked at"), "the daemon panicked:\n{log}");
        }
    }
}
