//! A busybox root on disk, a spec, and what came out of running it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hull_container::exec::{self, Executed};
use hull_container::host::{GrantedDevice, HostFacts};
use hull_container::launch::{self, Given, Running, Stdio, WindowSize};
use hull_container::plan::{
    self, ExecContext, ExecPlan, LaunchContext, LaunchPlan, Partners, Rootfs, exec as plan_exec,
};
use hull_container::{Failure, seccomp};
use hull_model::guest::GuestSpec;
use hull_model::id::GuestId;
use hull_model::id_range::IdRange;
use hull_model::process::ExecSpec;
use rustix::process::{Signal, WaitOptions, pidfd_send_signal, waitpid};

/// Where the tests' cgroups are, apart from those of any engine.
pub(crate) const PARENT: &str = "/hull-container-test";

/// Why the tests cannot run here, if they cannot.
pub(crate) fn unable() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("not root".to_owned());
    }
    let busybox = Path::new("/bin/busybox").exists();
    (!busybox).then(|| "no /bin/busybox; hint: apt-get install busybox-static".to_owned())
}

/// A guest to be: change `spec` and the files, then run it. Everything goes with it.
pub(crate) struct Guest {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) spec: GuestSpec,
    pub(crate) id: GuestId,
    pub(crate) ids: Option<IdRange>,
    pub(crate) devices: Vec<GrantedDevice>,
    pub(crate) init: Option<PathBuf>,
    pub(crate) partners: Partners,
    pub(crate) host: HostFacts,
    /// What a weakened hull would do otherwise.
    pub(crate) change: fn(&mut LaunchPlan),
}

/// What a guest's first process left.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Exit status, or 128 and the signal's number.
    pub(crate) status: i32,
    /// All it wrote.
    pub(crate) output: String,
}

/// A guest that runs. Dropping it ends it.
pub(crate) struct Live<'a> {
    pub(crate) guest: &'a Guest,
    pub(crate) plan: LaunchPlan,
    pub(crate) running: Running,
    pub(crate) output: File,
    pub(crate) terminal: Option<OwnedFd>,
    pub(crate) warnings: Vec<String>,
}

impl Guest {
    /// A user namespace, Docker's defaults, busybox.
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["lower/bin", "lower/etc", "lower/tmp", "lower/root", "upper", "work"] {
            fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        let bin = dir.path().join("lower/bin");
        fs::copy("/bin/busybox", bin.join("busybox")).unwrap();
        for name in
            "sh true false cat id ls mount umount touch chown stat echo sleep env head grep \
                     wc unshare mknod tty dd ln rm mkdir readlink chroot test hostname kill ps stty \
                     chmod sort tail tr find mv cp"
                .split_whitespace()
        {
            symlink("busybox", bin.join(name)).unwrap();
        }
        let passwd = "root:x:0:0::/root:/bin/sh\nwww-data:x:33:33::/var/www:/bin/sh\n";
        fs::write(dir.path().join("lower/etc/passwd"), passwd).unwrap();
        fs::write(dir.path().join("lower/etc/group"), "root:x:0:\nadm:x:4:www-data\n").unwrap();
        let mut random = [0; 32];
        File::open("/dev/urandom").unwrap().read_exact(&mut random).unwrap();
        let base = 0x7800_0000 + u32::from(random[1]) * IdRange::SIZE;
        Self {
            dir,
            spec: GuestSpec::default(),
            id: GuestId::from_random(random),
            ids: Some(IdRange::new(base, IdRange::SIZE)),
            devices: Vec::new(),
            init: None,
            partners: Partners::default(),
            host: HostFacts::read().unwrap(),
            change: |_| {},
        }
    }

    /// The same in the host's user namespace.
    pub(crate) fn of_host_users() -> Self {
        let mut guest = Self::new();
        guest.ids = None;
        guest.spec.namespaces.user = hull_model::namespace::Users::Host;
        guest
    }

    pub(crate) fn lower(&self, path: &str) -> PathBuf {
        self.dir.path().join("lower").join(path)
    }

    pub(crate) fn upper(&self, path: &str) -> PathBuf {
        self.dir.path().join("upper").join(path)
    }

    pub(crate) fn shell(&mut self, script: &str) -> &mut Self {
        self.command(&["sh", "-c", script])
    }

    pub(crate) fn command(&mut self, words: &[&str]) -> &mut Self {
        self.spec.process.cmd = Some(words.iter().map(|&word| word.to_owned()).collect());
        self
    }

    pub(crate) fn plan(&self) -> LaunchPlan {
        let dir = self.dir.path();
        let cx = LaunchContext {
            id: self.id,
            host: &self.host,
            ids: self.ids,
            root: Rootfs::Overlay {
                lowers: vec![dir.join("lower")],
                upper: dir.join("upper"),
                work: dir.join("work"),
            },
            files: &[],
            volumes: &BTreeMap::new(),
            devices: &self.devices,
            init: self.init.clone(),
            cgroup_parent: PARENT,
            seccomp: &seccomp::Cache::default(),
            partners: self.partners,
        };
        let mut plan = plan::launch(&self.spec, &cx).unwrap();
        (self.change)(&mut plan);
        plan
    }

    /// Starts it, with a pipe for its output or a terminal.
    pub(crate) fn start(&self) -> Result<Live<'_>, Failure> {
        self.start_plan(&self.plan(), Given::from)
    }

    /// Starts it with its plan changed.
    pub(crate) fn start_with(
        &self,
        change: impl FnOnce(&mut LaunchPlan),
    ) -> Result<Live<'_>, Failure> {
        let mut plan = self.plan();
        change(&mut plan);
        self.start_plan(&plan, Given::from)
    }

    /// Runs it to its end with its plan changed; its output.
    pub(crate) fn output_with(&self, change: impl FnOnce(&mut LaunchPlan)) -> String {
        self.start_with(change).unwrap().wait().output
    }

    /// Starts it with another plan, and what is given made of its streams.
    pub(crate) fn start_plan<'g>(
        &self,
        plan: &LaunchPlan,
        given: impl FnOnce(Stdio) -> Given<'g>,
    ) -> Result<Live<'_>, Failure> {
        // The shim gets the plan this way too.
        let bytes = postcard::to_allocvec(plan).unwrap();
        let plan: LaunchPlan = postcard::from_bytes(&bytes).unwrap();
        let (output, stdio) = stdio(plan.process.terminal);
        let assembled = launch::spawn(&plan)?.assemble(given(stdio))?;
        let warnings = assembled.warnings.clone();
        let terminal = assembled.terminal.as_ref().map(|fd| fd.try_clone().expect("duplicate"));
        let running = assembled.start()?;
        Ok(Live { guest: self, plan: plan.clone(), running, output, terminal, warnings })
    }

    /// Runs it to its end.
    pub(crate) fn run(&self) -> Result<Outcome, Failure> {
        Ok(self.start()?.wait())
    }

    /// Runs it; the start must fail and leave nothing.
    pub(crate) fn fail(&self) -> Failure {
        let failure = match self.start() {
            Ok(live) => panic!("it started: {:?}", live.wait()),
            Err(failure) => failure,
        };
        assert_eq!(self.cgroups_left(), Vec::<PathBuf>::new());
        failure
    }

    /// Its directories that still exist in any hierarchy.
    pub(crate) fn cgroups_left(&self) -> Vec<PathBuf> {
        let all = self.plan().cgroup.directories;
        all.iter().map(|one| one.full()).filter(|path| path.exists()).collect()
    }
}

/// A pipe's reading end and the streams that write to it.
pub(crate) fn stdio(terminal: bool) -> (File, Stdio) {
    let (reader, writer) = std::io::pipe().unwrap();
    if terminal {
        return (
            OwnedFd::from(reader).into(),
            Stdio::Terminal(WindowSize { rows: 24, columns: 80 }),
        );
    }
    let writer = OwnedFd::from(writer);
    let null = OwnedFd::from(File::open("/dev/null").unwrap());
    let streams = [null, writer.try_clone().unwrap(), writer];
    (OwnedFd::from(reader).into(), Stdio::Streams(streams))
}

/// Waits until it is so; fails if it never is.
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(std::time::Instant::now() < deadline, "it never happened that {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn wait(running: &Running) -> i32 {
    let (_, status) = waitpid(Some(running.pid), WaitOptions::empty()).unwrap().unwrap();
    status.exit_status().unwrap_or_else(|| 128 + status.terminating_signal().unwrap())
}

impl Live<'_> {
    /// Waits for its end, takes its cgroup away and gives its output.
    pub(crate) fn wait(mut self) -> Outcome {
        let mut output = Vec::new();
        match &self.terminal {
            None => drop(self.output.read_to_end(&mut output).unwrap()),
            // A terminal whose other side is closed reads as an error.
            Some(terminal) => {
                let mut terminal = File::from(terminal.try_clone().unwrap());
                drop(terminal.read_to_end(&mut output));
            }
        }
        let status = wait(&self.running);
        let output = String::from_utf8_lossy(&output).into_owned();
        Outcome { status, output }
    }

    pub(crate) fn exec(&self, words: &[&str]) -> Result<Outcome, Failure> {
        self.exec_spec(&ExecSpec {
            args: words.iter().map(|&word| word.to_owned()).collect(),
            ..ExecSpec::default()
        })
    }

    pub(crate) fn exec_spec(&self, wanted: &ExecSpec) -> Result<Outcome, Failure> {
        self.exec_with(wanted, |_| {})
    }

    /// Adds a process with its plan changed.
    pub(crate) fn exec_with(
        &self,
        wanted: &ExecSpec,
        change: impl FnOnce(&mut ExecPlan),
    ) -> Result<Outcome, Failure> {
        let cx = ExecContext {
            id: self.guest.id,
            host: &self.guest.host,
            ids: self.guest.ids,
            cgroup_parent: PARENT,
            seccomp: &seccomp::Cache::default(),
        };
        let mut plan = plan_exec(&self.guest.spec, wanted, &cx).unwrap();
        change(&mut plan);
        let (mut output, stdio) = stdio(wanted.streams.tty);
        let Executed { running, terminal } = exec::exec(&plan, self.running.pidfd.as_fd(), stdio)?;
        let mut bytes = Vec::new();
        match terminal {
            None => drop(output.read_to_end(&mut bytes).unwrap()),
            Some(terminal) => drop(File::from(terminal).read_to_end(&mut bytes)),
        }
        let status = wait(&running);
        Ok(Outcome { status, output: String::from_utf8_lossy(&bytes).into_owned() })
    }
}

impl Drop for Live<'_> {
    fn drop(&mut self) {
        pidfd_send_signal(&self.running.pidfd, Signal::KILL).unwrap_or_default();
        // Before it is reaped: a frozen process dies only when this thaws it.
        let removed = self.plan.cgroup.remove(Duration::from_secs(5));
        waitpid(Some(self.running.pid), WaitOptions::empty()).unwrap_or_default();
        if !std::thread::panicking() {
            removed.unwrap();
        }
    }
}
