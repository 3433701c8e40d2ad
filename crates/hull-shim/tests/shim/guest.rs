//! A guest with its shim, cleaned up whatever happens.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use hull_container::plan::{ExecPlan, LaunchPlan};
use hull_model::id::ExecId;
use hull_shim::client::Client;
use hull_shim::exit::ExitRecord;
use hull_shim::plan::{LISTENING, LogPlan, ShimPlan};
use hull_shim::protocol::{
    Answer, Ask, Attach, Event, Exec, Framing, Process, State, Stdin, Streams, WindowSize,
};

use crate::plan;

/// How long anything here may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Whether the tests can run here; says why not.
pub(crate) fn possible() -> bool {
    let why = if !rustix::process::geteuid().is_root() {
        "not root"
    } else if !Path::new("/bin/busybox").exists() {
        "no /bin/busybox; hint: apt-get install busybox-static"
    } else {
        return true;
    };
    eprintln!("skipped: {why}");
    false
}

/// What a guest will be.
pub(crate) struct Draft {
    dir: tempfile::TempDir,
    pub(crate) plan: ShimPlan,
}

/// A guest whose shim runs.
pub(crate) struct Guest {
    pub(crate) draft: Draft,
    pub(crate) shim: Child,
}

pub(crate) const PIPES: Streams = Streams { stdin: Stdin::Null, terminal: None };

impl Draft {
    pub(crate) fn new(args: &[&str]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let dir = tempfile::tempdir().unwrap();
        for path in ["run", "root/lower/bin", "root/lower/dev", "root/lower/proc"] {
            fs::create_dir_all(dir.path().join(path)).unwrap();
        }
        for path in ["root/upper", "root/work"] {
            fs::create_dir_all(dir.path().join(path)).unwrap();
        }
        // So that the mapped root may go through.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(dir.path(), open).unwrap();
        let bin = dir.path().join("root/lower/bin");
        fs::copy("/bin/busybox", bin.join("busybox")).unwrap();
        for name in ["sh", "cat", "sleep", "yes", "head", "true", "stty", "id", "dd", "tr"] {
            std::os::unix::fs::symlink("busybox", bin.join(name)).unwrap();
        }
        fs::write(bin.join("text"), "no program").unwrap();
        let id = format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let plan = ShimPlan {
            ids: None,
            launch: plan::launch(&id, &dir.path().join("root"), args),
            streams: PIPES,
            log: Some(LogPlan { path: dir.path().join("log"), size_max: None, files_max: 1 }),
            exit_file: dir.path().join("exit"),
        };
        Self { dir, plan }
    }

    /// Runs a shell script.
    pub(crate) fn script(text: &str) -> Self {
        Self::new(&["sh", "-c", text])
    }

    pub(crate) fn stdin(mut self, stdin: Stdin) -> Self {
        self.plan.streams.stdin = stdin;
        self
    }

    pub(crate) fn terminal(mut self, rows: u16, columns: u16) -> Self {
        self.plan.streams =
            Streams { stdin: Stdin::Open, terminal: Some(WindowSize { rows, columns }) };
        self.plan.launch.process.terminal = true;
        self
    }

    pub(crate) fn change(mut self, change: impl FnOnce(&mut LaunchPlan)) -> Self {
        change(&mut self.plan.launch);
        self
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Starts the shim and waits until it listens.
    pub(crate) fn spawn(self) -> Guest {
        self.spawn_by(&crate::program())
    }

    /// Starts this program as the shim.
    pub(crate) fn spawn_by(self, program: &Path) -> Guest {
        let run = self.dir.path().join("run");
        self.plan.write(&run).unwrap();
        let mut command = hull_sys::spawn::command(program);
        let mut shim =
            command.arg(&run).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut word = Vec::new();
        shim.stdout.take().unwrap().read_to_end(&mut word).unwrap();
        assert_eq!(word, LISTENING);
        Guest { draft: self, shim }
    }
}

impl Guest {
    pub(crate) fn run_dir(&self) -> PathBuf {
        self.draft.path().join("run")
    }

    pub(crate) fn connect(&self) -> (Client, State) {
        Client::connect(&self.run_dir()).unwrap()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.draft.path().join("log")).unwrap_or_default()
    }

    pub(crate) fn attach(&self, process: Process, framing: Framing) -> Streamed {
        let attach = Attach { process, stdin: true, stdout: true, stderr: true, framing };
        let (stream, early) = Client::attach(&self.run_dir(), attach).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Streamed { stream, early }
    }

    /// Starts the guest; gives its number on the host.
    pub(crate) fn start(&self, client: &mut Client) -> u32 {
        let answer = client.ask(Ask::Start).unwrap();
        let Answer::Started { pid } = answer else { panic!("{answer:?}") };
        pid
    }

    /// Attaches, starts, and waits for the end.
    pub(crate) fn run(&self) -> (ExitRecord, Output) {
        let (mut client, _) = self.connect();
        let streams = self.attach(Process::Guest, Framing::Multiplexed);
        self.start(&mut client);
        let output = streams.output();
        (exit(&mut client), output)
    }

    pub(crate) fn exit_file(&self) -> ExitRecord {
        fs::read_to_string(&self.draft.plan.exit_file).unwrap().parse().unwrap()
    }

    /// Waits for the shim's own end.
    pub(crate) fn wait_for_shim(&mut self) {
        eventually("the shim ends", || self.shim.try_wait().unwrap().is_some());
        assert!(!self.run_dir().join("shim.sock").exists() || !self.shim.wait().unwrap().success());
    }

    pub(crate) fn exec(&self, client: &mut Client, streams: Streams, args: &[&str]) -> ExecId {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        let id = ExecId::from_random(bytes);
        let launch = &self.draft.plan.launch;
        let mut process = plan::process(args);
        process.terminal = streams.terminal.is_some();
        let plan = ExecPlan {
            id: launch.id.clone(),
            cgroup: launch.cgroup.clone(),
            namespaces: launch.namespaces.clone(),
            oom_score_adj: Some(0),
            process,
            ..ExecPlan::default()
        };
        let exec = Exec { plan: postcard::to_extend(&plan, Vec::new()).unwrap(), streams };
        assert_eq!(client.ask(Ask::Exec { id, exec }).unwrap(), Answer::Done);
        id
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.shim.kill().unwrap_or_default();
        self.shim.wait().map(drop).unwrap_or_default();
        let cgroup = &self.draft.plan.launch.cgroup;
        cgroup.remove(PATIENCE).unwrap_or_default();
        for directory in &cgroup.directories {
            // The last test that ends removes it.
            fs::remove_dir(directory.mount.join("hull-shim-tests")).unwrap_or_default();
        }
    }
}

/// An attached connection.
pub(crate) struct Streamed {
    pub(crate) stream: UnixStream,
    early: Vec<u8>,
}

/// What came out.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Output {
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

impl Streamed {
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    pub(crate) fn end_input(&self) {
        self.stream.shutdown(std::net::Shutdown::Write).unwrap();
    }

    /// Everything until the end, as it came.
    pub(crate) fn raw(mut self) -> Vec<u8> {
        self.stream.read_to_end(&mut self.early).unwrap();
        self.early
    }

    /// Everything until the end, by stream.
    pub(crate) fn output(self) -> Output {
        let bytes = self.raw();
        let mut output = Output::default();
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let (header, after) = rest.split_first_chunk::<8>().unwrap();
            let [stream, 0, 0, 0, a, b, c, d] = *header else { panic!("{header:?}") };
            let (text, after) = after.split_at(u32::from_be_bytes([a, b, c, d]) as usize);
            match stream {
                1 => output.stdout.extend_from_slice(text),
                2 => output.stderr.extend_from_slice(text),
                other => panic!("stream {other}"),
            }
            rest = after;
        }
        output
    }

    /// Reads raw output until it contains `text`.
    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        loop {
            let seen = String::from_utf8_lossy(&self.early).into_owned();
            if seen.contains(text) {
                self.early.clear();
                return seen;
            }
            let mut buffer = [0; 4096];
            let count = self.stream.read(&mut buffer).unwrap();
            assert!(count > 0, "the stream ended after {seen:?}, waiting for {text:?}");
            self.early.extend_from_slice(&buffer[..count]);
        }
    }
}

/// Waits for the guest's exit event.
pub(crate) fn exit(client: &mut Client) -> ExitRecord {
    loop {
        if let Event::Exited(record) = client.event().unwrap() {
            return record;
        }
    }
}

/// Waits for an exec's exit event.
pub(crate) fn exec_exit(client: &mut Client, expected: ExecId) -> ExitRecord {
    loop {
        match client.event().unwrap() {
            Event::ExecExited { id, exit } if id == expected => return exit,
            Event::Exited(record) => panic!("the guest ended first: {record:?}"),
            Event::Started { .. } | Event::OutOfMemory | Event::ExecExited { .. } => {}
        }
    }
}

pub(crate) fn eventually(what: &str, mut test: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !test() {
        assert!(Instant::now() < deadline, "{what}: not in time");
        std::thread::sleep(Duration::from_millis(5));
    }
}
