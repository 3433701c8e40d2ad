//! Making a container: what `create` and `run` have in common.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use hull_container::launch::{self, Assembled, Gate, Given, Stdio, WindowSize};
use hull_container::plan::LaunchPlan;
use hull_container::rdt;
use jiff::Timestamp;

use super::cgroup::Place;
use super::descriptors::Passed;
use super::{Session, host};
use crate::arguments::Options;
use crate::config::{self, Config};
use crate::failure::{Doing, Failure};
use crate::plan::{self, Context};
use crate::state::{Entry, Id, Identity, Phase, Record, Status, write_atomically};
use crate::{console, foreground, hooks};

/// A container whose directory is there and whose plan is made; nothing else is.
///
/// Dropped, it takes the directory away again.
pub(super) struct Prepared {
    entry: Option<Entry>,
    pub(super) record: Record,
    pub(super) plan: LaunchPlan,
    pub(super) config: Config,
    console: Option<PathBuf>,
    pid_file: Option<PathBuf>,
    descriptors: Passed,
    place: Place,
}

/// Reads the bundle, makes the plan and records what is about to be made.
pub(super) fn prepare(
    session: &Session<'_>,
    options: &Options,
    detached: bool,
) -> Result<Prepared, Failure> {
    let id = Id::new(options.operand(0))?;
    if !rustix::process::geteuid().is_root() {
        return Err(Failure::new(
            "not root: containers are made by root, or by root of a user namespace, as rootless \
             Podman and rootlesskit are",
        ));
    }
    let bundle = Path::new(options.value("bundle").filter(|b| !b.is_empty()).unwrap_or("."));
    let bundle = std::fs::canonicalize(bundle).doing_at("find bundle", bundle)?;
    let (config, text) = config::load(&bundle)?;
    plan::check_hooks(&config)?;
    if options.is("no-pivot") {
        return Err(Failure::new(
            "--no-pivot is not supported: without pivot_root a container's root can leave its root; \
             hint: a host that runs from the initial ramdisk can switch to a tmpfs first",
        ));
    }
    let terminal = config.process.as_ref().is_some_and(|process| process.terminal);
    console::check(terminal, detached, options.value("console-socket"))?;
    let host = host()?;
    let place = super::cgroup::place(session, &config, &id, &host)?;
    let descriptors = Passed::by(options)?;
    let cx = Context {
        id: &id,
        bundle: &bundle,
        host: &host,
        cgroup: &place.cgroup,
        preserved: descriptors.count(),
        keep_keyring: options.is("no-new-keyring"),
    };
    let (mut plan, warnings) = plan::launch(&config, &cx)?;
    plan.process.env.extend(descriptors.variables());
    for warning in warnings {
        session.log.warning(&warning);
    }
    let record = Record {
        id: id.to_string(),
        phase: Phase::Creating,
        init: None,
        rootfs: rootfs(&plan),
        created: Timestamp::now().to_string(),
        owner: rustix::process::geteuid().as_raw(),
        annotations: config.annotations.clone().unwrap_or_default(),
        cgroup: place.cgroup.clone(),
        scope: place.scope.clone(),
        rdt: plan.rdt.clone(),
        bundle,
    };
    let entry = session.store.create(&id)?;
    let path = |name| options.value(name).map(PathBuf::from);
    let (console, pid_file) = (path("console-socket"), path("pid-file"));
    let entry = Some(entry);
    let prepared = Prepared { entry, record, plan, config, console, pid_file, descriptors, place };
    prepared.entry().keep_config(&text)?;
    prepared.entry().remember(&prepared.record)?;
    Ok(prepared)
}

fn rootfs(plan: &LaunchPlan) -> PathBuf {
    match &plan.root.files {
        hull_container::plan::Rootfs::Path(path) => path.clone(),
        hull_container::plan::Rootfs::Overlay { upper, .. } => upper.clone(),
    }
}

impl Prepared {
    pub(super) fn entry(&self) -> &Entry {
        match &self.entry {
            Some(entry) => entry,
            None => unreachable!("the entry is taken only by functions that consume self"),
        }
    }

    /// The container is made: its directory stays.
    pub(super) fn keep(mut self) -> (Entry, Record, Config) {
        let entry = match self.entry.take() {
            Some(entry) => entry,
            None => unreachable!("the entry is taken only by functions that consume self"),
        };
        let record = self.record.clone();
        (entry, record, std::mem::take(&mut self.config))
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        if let Some(entry) = self.entry.take() {
            // The failure that led here is the one to tell; `delete --force` finds what stays.
            let groups = self.plan.rdt.as_ref();
            let removed = groups.map_or(Ok(()), |rdt| rdt::remove(rdt, &self.plan.id));
            if removed.is_ok() {
                entry.remove().unwrap_or_default();
            }
        }
    }
}

/// A made container, its terminal, and where its process is recorded.
pub(super) struct Made<'plan> {
    pub(super) assembled: Assembled<'plan>,
    pub(super) terminal: Option<OwnedFd>,
    /// What is true once the process is let go.
    pub(super) record: Record,
}

/// Makes everything; the process then waits.
pub(super) fn make<'plan>(
    session: &Session<'_>,
    prepared: &'plan Prepared,
    gate: Option<Gate>,
) -> Result<Made<'plan>, Failure> {
    let plan = &prepared.plan;
    let mut record = prepared.record.clone();
    let holder = prepared.place.hold(&Id::new(&record.id)?)?;
    let spawned = launch::spawn(plan)?;
    drop(holder);
    record.init = Some(Identity::of(spawned.pid())?);
    // Before the rest: whoever finds this container half made knows which process to kill.
    prepared.entry().remember(&record)?;
    let state = record.oci(Status::Creating);
    let mut before_entering = |_pid| -> Result<(), hull_container::Failure> {
        let Some(hooks) = &prepared.config.hooks else { return Ok(()) };
        for (wanted, name) in
            [(&hooks.prestart, "prestart"), (&hooks.create_runtime, "createRuntime")]
        {
            hooks::run(wanted.as_deref().unwrap_or_default(), name, &state, session.log)
                .map_err(|failure| hull_container::Failure::other(failure.to_string()))?;
        }
        Ok(())
    };
    let mut assembled = spawned.assemble(Given {
        stdio: stdio(prepared)?,
        preserved: prepared.descriptors.take()?,
        gate,
        before_entering: Some(&mut before_entering),
    })?;
    for warning in &assembled.warnings {
        session.log.warning(warning);
    }
    let terminal = assembled.terminal.take();
    let terminal = match (&prepared.console, terminal) {
        (Some(socket), Some(terminal)) => {
            console::send(socket, terminal.as_fd())?;
            None
        }
        (_, terminal) => terminal,
    };
    if let Some(path) = &prepared.pid_file {
        let pid = assembled.pid().as_raw_nonzero().to_string();
        write_atomically(path, pid.as_bytes())?;
    }
    record.phase = Phase::Made;
    Ok(Made { assembled, terminal, record })
}

fn stdio(prepared: &Prepared) -> Result<Stdio, Failure> {
    if !prepared.plan.process.terminal {
        return streams();
    }
    let size = prepared.config.process.as_ref().and_then(|process| process.console_size);
    Ok(Stdio::Terminal(size.map_or_else(foreground::window_size, |size| WindowSize {
        rows: size.height,
        columns: size.width,
    })))
}

/// Our own standard streams.
pub(super) fn streams() -> Result<Stdio, Failure> {
    let own = [rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr()];
    let [stdin, stdout, stderr] = own.map(|stream| stream.try_clone_to_owned());
    let doing = "duplicate a standard stream";
    Ok(Stdio::Streams([stdin.doing(doing)?, stdout.doing(doing)?, stderr.doing(doing)?]))
}
