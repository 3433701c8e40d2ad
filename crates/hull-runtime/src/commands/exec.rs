//! `exec`.

use std::os::fd::AsFd;
use std::path::{Component, Path};

use hull_container::cgroup::Cgroup;
use hull_container::exec::{self, Executed};
use hull_container::launch::{Given, Stdio, WindowSize};
use hull_container::plan::ExecPlan;

use super::descriptors::Passed;
use super::{Session, host, make};
use crate::arguments::Options;
use crate::config::{self, Config, Process};
use crate::failure::Failure;
use crate::foreground::{Foreground, Reap};
use crate::plan::{self, Context};
use crate::state::{self, Entry, Id, Record, Status, write_atomically};
use crate::{console, foreground, sealed};

/// What runc ends with when there was nothing to wait for.
const NOT_EXECUTED: u8 = 255;

/// Runs a further program in a container.
pub(super) fn exec(session: &Session<'_>, options: &Options) -> Result<u8, Failure> {
    sealed::ensure()
        .and_then(|()| execute(session, options))
        .map_err(|failure| failure.during("exec failed").with_status(NOT_EXECUTED))
}

fn execute(session: &Session<'_>, options: &Options) -> Result<u8, Failure> {
    let (entry, record) = session.open(options.operand(0))?;
    let status = entry.status(&record);
    expect_running(&record, status, options)?;
    let not_running = || Failure::new(format!("container {} is not running", record.id));
    let init = record.init.ok_or_else(not_running)?;
    let init = state::open_process(&init)?.ok_or_else(not_running)?;
    let config = config::parse(&entry.config()?)?;
    let wanted = wanted(&config, options)?;
    let detached = options.is("detach");
    console::check(wanted.terminal, detached, options.value("console-socket"))?;
    let plan = plan(session, options, (&config, &wanted), &record)?;

    let foreground = if detached { None } else { Some(Foreground::begin()?) };
    let given = Given {
        stdio: stdio(&wanted)?,
        preserved: Passed::by(options)?.take()?,
        gate: None,
        before_entering: None,
    };
    let Executed { running, terminal } = exec::exec(&plan, init.as_fd(), given)?;
    let terminal = match (options.value("console-socket"), terminal) {
        (Some(socket), Some(terminal)) => {
            console::send(Path::new(socket), terminal.as_fd())?;
            None
        }
        (_, terminal) => terminal,
    };
    if let Some(path) = options.value("pid-file") {
        let pid = running.pid.as_raw_nonzero().to_string();
        write_atomically(Path::new(path), pid.as_bytes())?;
    }
    drop::<Entry>(entry);
    match foreground {
        None => Ok(0),
        Some(foreground) => foreground.wait(&running, terminal, Reap::One),
    }
}

fn expect_running(record: &Record, status: Status, options: &Options) -> Result<(), Failure> {
    match status {
        Status::Created | Status::Running => Ok(()),
        Status::Paused if options.is("ignore-paused") => Ok(()),
        Status::Paused => Err(Failure::new(format!(
            "cannot exec in container {} that is paused; hint: --ignore-paused starts it, to wait \
             until the container is resumed",
            record.id
        ))),
        Status::Creating | Status::Stopped => {
            let (id, status) = (&record.id, status.name());
            Err(Failure::new(format!(
                "cannot exec in container {id} that is {status}: container not running"
            )))
        }
    }
}

fn plan(
    session: &Session<'_>,
    options: &Options,
    (config, wanted): (&Config, &Process),
    record: &Record,
) -> Result<ExecPlan, Failure> {
    let id = Id::new(&record.id)?;
    let passed = Passed::by(options)?;
    let cgroup = sub_cgroups(&record.cgroup, options)?;
    let cx = Context {
        id: &id,
        bundle: &record.bundle,
        host: &host()?,
        cgroup: &cgroup,
        preserved: passed.count(),
        keep_keyring: false,
    };
    let mut warnings = Vec::new();
    let linux = config.linux.as_ref().ok_or_else(|| Failure::new("linux: missing"))?;
    let mut process = plan::process(wanted, linux, &cx, &mut warnings)?;
    process.make_cwd = false;
    process.preserved = passed.count();
    process.env.extend(passed.variables());
    for warning in warnings {
        session.log.warning(&warning);
    }
    let first = config.process.as_ref().and_then(|process| process.oom_score_adj);
    plan::exec(config, process, wanted.oom_score_adj.or(first), &cx)
}

/// The process as a file says, or as the container's own with what flags change.
fn wanted(config: &Config, options: &Options) -> Result<Process, Failure> {
    if let Some(path) = options.value("process") {
        let path = Path::new(path);
        let text = config::read(path)?;
        return config::from_json(&text).map_err(|failure| failure.during(path.display()));
    }
    let mut wanted = config.process.clone().ok_or_else(|| Failure::new("process: missing"))?;
    let args = options.operands().get(1..).unwrap_or_default();
    if args.is_empty() {
        return Err(Failure::new("no program given; hint: name one, or a file with --process"));
    }
    wanted.args = Some(args.to_vec());
    wanted.terminal = options.is("tty");
    wanted.console_size = None;
    if let Some(cwd) = options.value("cwd") {
        cwd.clone_into(&mut wanted.cwd);
    }
    let env = options.all("env").map(str::to_owned);
    wanted.env.get_or_insert_default().extend(env);
    wanted.no_new_privileges |= options.is("no-new-privs");
    let text = |name| options.value(name).map(str::to_owned);
    wanted.apparmor_profile = text("apparmor").or(wanted.apparmor_profile);
    wanted.selinux_label = text("process-label").or(wanted.selinux_label);
    let sets = wanted.capabilities.get_or_insert_default();
    for name in options.all("cap") {
        for set in [&mut sets.bounding, &mut sets.effective, &mut sets.permitted] {
            set.get_or_insert_default().push(name.to_owned());
        }
    }
    user(&mut wanted, options)?;
    Ok(wanted)
}

fn user(wanted: &mut Process, options: &Options) -> Result<(), Failure> {
    let number = |text: &str, flag: &str| {
        text.parse().map_err(|_not_a_number| {
            Failure::new(format!("--{flag}: {text:?} is no id; a runtime knows no names"))
        })
    };
    if let Some(text) = options.value("user") {
        let (uid, gid) = text.split_once(':').map_or((text, None), |(u, g)| (u, Some(g)));
        wanted.user.uid = number(uid, "user")?;
        if let Some(gid) = gid {
            wanted.user.gid = number(gid, "user")?;
        }
    }
    for gid in options.all("additional-gids") {
        let gid = number(gid, "additional-gids")?;
        wanted.user.additional_gids.get_or_insert_default().push(gid);
    }
    Ok(())
}

/// The container's cgroup, or what `--cgroup` says of those below it.
fn sub_cgroups(cgroup: &Cgroup, options: &Options) -> Result<Cgroup, Failure> {
    let mut cgroup = cgroup.clone();
    for text in options.all("cgroup") {
        let (controllers, path) = match text.split_once(':') {
            Some((controllers, path)) => (Some(controllers), path),
            None => (None, text),
        };
        let below: Vec<Component<'_>> = Path::new(path)
            .components()
            .filter(|part| !matches!(part, Component::RootDir | Component::CurDir))
            .collect();
        if below.iter().any(|part| !matches!(part, Component::Normal(_))) {
            return Err(Failure::new(format!(
                "--cgroup {text:?}: not below the container's cgroup"
            )));
        }
        for name in controllers.map_or(vec![None], |c| c.split(',').map(Some).collect()) {
            let mut found = false;
            for directory in &mut cgroup.directories {
                if name.is_none_or(|name| name.is_empty() || directory.has(name)) {
                    directory.path.extend(&below);
                    found = true;
                }
            }
            if !found {
                let name = name.unwrap_or_default();
                return Err(Failure::new(format!("--cgroup {text:?}: no controller {name:?}")));
            }
        }
    }
    Ok(cgroup)
}

fn stdio(wanted: &Process) -> Result<Stdio, Failure> {
    if !wanted.terminal {
        return make::streams();
    }
    Ok(Stdio::Terminal(wanted.console_size.map_or_else(foreground::window_size, |size| {
        WindowSize { rows: size.height, columns: size.width }
    })))
}
