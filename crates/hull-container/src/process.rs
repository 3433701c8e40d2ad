//! From a process inside the guest to the guest's program: user, capabilities, filter, exec.

mod command;
pub(crate) mod label;
pub(crate) mod limits;
pub(crate) mod placement;
pub(crate) mod preserved;
pub(crate) mod streams;
pub(crate) mod users;

use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use hull_sys::capability;
use hull_sys::seccomp::Instruction;
use rustix::fs::Mode;
use rustix::process::Signal;
use rustix::process::{Gid, Uid};
use rustix::thread::{
    set_keep_capabilities, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

use crate::failure::{Doing, Failure, Kind, plain};
use crate::launch::{Channel, FromChild, ToChild};
use crate::plan::{Capabilities, Hook, Process, Rlimit, Seccomp};
use crate::process::label::HostProc;
use crate::weakened::{Defence, stands};

/// A process that has nothing left to do but to give up its last privileges and to execute.
pub(crate) struct Ready {
    program: CString,
    args: Vec<CString>,
    env: Vec<CString>,
    capabilities: Capabilities,
    no_new_privileges: bool,
    seccomp: Seccomp,
    rlimits: Vec<Rlimit>,
    label: Option<label::Prepared>,
    is_tied: bool,
}

/// What is before a process that is ready.
#[derive(Debug, Default)]
pub(crate) struct Outlook<'a> {
    /// Where it can be left waiting.
    pub(crate) gate: Option<OwnedFd>,
    /// What it runs before it executes.
    pub(crate) hooks: &'a [Hook],
    /// What they are told.
    pub(crate) state: String,
}

/// Becomes the user namespace's root, with no groups of the host's.
pub(crate) fn become_root() -> Result<(), Failure> {
    if stands(Defence::Groups) {
        set_thread_groups(&[]).doing("leave the host's groups")?;
    }
    let (uid, gid) = (Uid::ROOT, Gid::ROOT);
    set_thread_res_gid(gid, gid, gid).doing("become root's group")?;
    set_thread_res_uid(uid, uid, uid).doing("become root")
}

/// Does everything that can fail, inside the root. `init` is a program to start the process with.
pub(crate) fn prepare(
    process: &Process,
    id: &str,
    init: Option<&str>,
    host: Option<&HostProc>,
) -> Result<Ready, Failure> {
    if !stands(Defence::Dumpable) {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        set_dumpable_behavior(DumpableBehavior::Dumpable).doing("set dumpable")?;
    }
    if !process.keeps_keyring && stands(Defence::Keyring) {
        join_keyring(id)?;
    }
    let label = label::prepare(process, host)?;
    placement::apply_own(process)?;
    let user = users::find(&process.identity)?;
    streams::give(user.uid)?;
    rustix::process::umask(Mode::from_raw_mode(process.umask));

    let Capabilities { bounding, .. } = process.capabilities;
    capability::limit_bounding(bounding).doing("limit the bounding set")?;
    // Root may enter what the user may not, as with runc; else the user's own right decides.
    let entered = change_directory(&process.cwd);
    set_user(&user)?;
    entered.or_else(|_root_could_not| change_directory(&process.cwd))?;
    verify_directory(&process.cwd)?;

    let mut env = process.env.clone();
    let has_home =
        env.iter().any(|entry| entry.strip_prefix("HOME=").is_some_and(|v| !v.is_empty()));
    if !has_home {
        env.retain(|entry| entry != "HOME=");
        env.push(format!("HOME={}", user.home));
    }
    let path = env.iter().rev().find_map(|entry| entry.strip_prefix("PATH="));
    let name = process.args.first().map_or("", String::as_str);
    // Judged as the user: its capabilities are not in force any more unless it is root.
    let program = command::find(name, path)?;
    let (program, args) = match init {
        None => (program, process.args.clone()),
        Some(init) => {
            let words = [init, "--"].into_iter().map(str::to_owned);
            (init.as_bytes().to_vec(), words.chain(process.args.iter().cloned()).collect())
        }
    };
    if stands(Defence::Descriptors) {
        hull_sys::descriptor::close_on_exec_from(process.preserved_end())
            .doing("mark descriptors")?;
    }
    Ok(Ready {
        program: c_string(program)?,
        args: args.into_iter().map(c_string).collect::<Result<_, _>>()?,
        env: env.into_iter().map(c_string).collect::<Result<_, _>>()?,
        capabilities: process.capabilities,
        no_new_privileges: process.no_new_privileges,
        seccomp: process.seccomp.clone(),
        rlimits: process.rlimits.clone(),
        label,
        is_tied: !process.outlives_launcher,
    })
}

impl Ready {
    /// Says so, waits for the word to start, and becomes the program; returns only to say why it could
    /// not.
    pub(crate) fn go(
        mut self,
        channel: &Channel,
        controller: Option<OwnedFd>,
        outlook: &Outlook<'_>,
    ) -> Failure {
        let listener = match self.announce(channel, controller) {
            Ok(listener) => listener,
            Err(failure) => return failure,
        };
        let visitor = match await_start(channel, outlook) {
            Ok(visitor) => visitor,
            Err(failure) => return failure,
        };
        self.is_tied &= visitor.is_none();
        let failure = self.execute(visitor.as_ref().unwrap_or(channel), outlook, listener.as_ref());
        if let Some(visitor) = visitor {
            // The launcher is gone; who opened the gate wants to know.
            visitor.say(&FromChild::Failed(failure), &[]).unwrap_or_default();
            hull_sys::process::end(1);
        }
        failure
    }

    /// With an agent, the filter is installed at once, since the launcher must still be there to take
    /// the agent its descriptor; from then on the process makes as few calls as it can.
    fn announce(
        &self,
        channel: &Channel,
        controller: Option<OwnedFd>,
    ) -> Result<Option<OwnedFd>, Failure> {
        // Not kept: a terminal hangs up when its last controlling side is closed.
        let controller: Vec<OwnedFd> = controller.into_iter().collect();
        let controllers: Vec<_> = controller.iter().map(AsFd::as_fd).collect();
        if self.seccomp.listener.is_none() {
            channel.say(&FromChild::Ready { listener: None }, &controllers)?;
            return Ok(None);
        }
        if self.no_new_privileges {
            rustix::thread::set_no_new_privs(true).doing("set no_new_privs")?;
        } else {
            capability::raise_all().doing("raise capabilities")?;
        }
        let program = self.program_of_filter();
        // The lowest number that is free: what the next descriptor will have.
        let next = rustix::io::fcntl_dupfd_cloexec(channel, 0).doing("look for a number")?;
        let number = next.as_raw_fd();
        drop(next);
        channel.say(&FromChild::Ready { listener: Some(number) }, &controllers)?;
        hull_sys::seccomp::install_with_listener(&program, self.seccomp.flags)
            .doing("install seccomp filter with a listener")
            .map(Some)
    }

    fn execute(
        &self,
        channel: &Channel,
        outlook: &Outlook<'_>,
        listener: Option<&OwnedFd>,
    ) -> Failure {
        let given_up = crate::hook::run_all(outlook.hooks, &outlook.state)
            .and_then(|()| self.give_up(channel, listener.is_none()));
        match given_up {
            Ok(()) => {
                let error = hull_sys::process::execve(&self.program, &self.args, &self.env);
                self.explain(&error)
            }
            Err(failure) => failure,
        }
    }

    /// Capabilities and filter last, so that the filter need not allow what only we do.
    fn give_up(&self, channel: &Channel, filter: bool) -> Result<(), Failure> {
        if self.is_tied {
            // The change of user cleared it. Dying in between is seen by the disconnected channel.
            rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
                .doing("set parent death signal")?;
            if !channel.is_connected() {
                hull_sys::process::end(1);
            }
        } else {
            rustix::process::set_parent_process_death_signal(None)
                .doing("clear parent death signal")?;
        }
        hull_sys::signal::reset().doing("reset signals")?;
        limits::apply_own(&self.rlimits)?;
        if let Some(label) = &self.label {
            label.apply()?;
        }
        if self.no_new_privileges {
            rustix::thread::set_no_new_privs(true).doing("set no_new_privs")?;
            self.limit()?;
            return if filter { self.filter() } else { Ok(()) };
        }
        // Without no_new_privs a filter needs CAP_SYS_ADMIN, which is about to go.
        capability::raise_all().doing("raise capabilities")?;
        if filter {
            self.filter()?;
        }
        self.limit()
    }

    fn limit(&self) -> Result<(), Failure> {
        let Capabilities { effective, permitted, inheritable, ambient, .. } = self.capabilities;
        // Those the kernel has; a plan may name younger ones.
        let have = capability::permitted().doing("read capabilities")?;
        capability::set(effective & have, permitted & have, inheritable & have)
            .doing("set capabilities")?;
        if ambient != 0 {
            capability::set_ambient(ambient & have).doing("set ambient capabilities")?;
        }
        Ok(())
    }

    fn filter(&self) -> Result<(), Failure> {
        if self.seccomp.program.is_empty() {
            return Ok(());
        }
        hull_sys::seccomp::install(&self.program_of_filter(), self.seccomp.flags)
            .doing("install seccomp filter")
    }

    fn program_of_filter(&self) -> Vec<Instruction> {
        let instruction =
            |&(code, jump_true, jump_false, k): &_| Instruction { code, jump_true, jump_false, k };
        self.seccomp.program.iter().map(instruction).collect()
    }

    fn explain(&self, error: &io::Error) -> Failure {
        // The file is there, so what is not found is its interpreter.
        let missing = error.kind() == io::ErrorKind::NotFound;
        let kind = if missing { Kind::CommandNotFound } else { Kind::NotExecutable };
        let program = self.program.to_string_lossy();
        Failure::new(kind, format!("exec {program}: {}", plain(error)))
    }
}

/// Waits for the word to start: the launcher's, or that of whoever comes to the gate, whose end of a
/// channel is given.
fn await_start(channel: &Channel, outlook: &Outlook<'_>) -> Result<Option<Channel>, Failure> {
    match (channel.hear()?.0.as_slice(), &outlook.gate) {
        ([word], _) if *word == ToChild::Start as u8 => Ok(None),
        ([word], Some(gate)) if *word == ToChild::Leave as u8 => {
            rustix::process::set_parent_process_death_signal(None)
                .doing("clear parent death signal")?;
            // Only now may the launcher end: before, that would have been the end of this process.
            channel.say(&FromChild::Listens, &[])?;
            crate::launch::wait_at(gate).map(Some)
        }
        _ => Err(Failure::other("the launcher says something unexpected")),
    }
}

fn set_user(user: &users::User) -> Result<(), Failure> {
    let groups: Vec<Gid> = user.groups.iter().copied().map(Gid::from_raw).collect();
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    let unmapped = |error: io::Error| {
        if error.kind() != io::ErrorKind::InvalidInput {
            return Failure::other(format!("become user {}:{}: {error}", user.uid, user.gid));
        }
        Failure::new(
            Kind::NoSuchUser,
            format!(
                "user {}:{} with groups {:?}: not all of these ids exist in the guest's user \
                 namespace; hint: --userns=host has all",
                user.uid, user.gid, user.groups
            ),
        )
    };
    set_keep_capabilities(true).doing("keep capabilities")?;
    if stands(Defence::Groups) {
        set_thread_groups(&groups).map_err(|error| unmapped(error.into()))?;
    }
    set_thread_res_gid(gid, gid, gid).map_err(|error| unmapped(error.into()))?;
    set_thread_res_uid(uid, uid, uid).map_err(|error| unmapped(error.into()))?;
    set_keep_capabilities(false).doing("stop keeping capabilities")
}

fn change_directory(cwd: &str) -> Result<(), Failure> {
    rustix::process::chdir(cwd).map_err(|error| {
        let error = plain(&error.into());
        Failure::new(Kind::NoSuchDirectory, format!("chdir to cwd ({cwd:?}) failed: {error}"))
    })
}

/// Refuses a working directory outside of the root, which a leaked descriptor behind
/// `/proc/self/fd/N` would give (CVE-2024-21626). The kernel then gives no absolute path.
fn verify_directory(cwd: &str) -> Result<(), Failure> {
    let outside = |why: &str| {
        Failure::new(Kind::NoSuchDirectory, format!("cwd {cwd:?} is outside of the root: {why}"))
    };
    let real = rustix::process::getcwd(Vec::new()).map_err(|e| outside(&e.to_string()))?;
    let is_inside = Path::new(OsStr::from_bytes(real.as_bytes())).is_absolute();
    if is_inside || !stands(Defence::Directory) {
        Ok(())
    } else {
        Err(outside(&real.to_string_lossy()))
    }
}

fn join_keyring(id: &str) -> Result<(), Failure> {
    let name = c_string(format!("_ses.{id}"))?;
    match hull_sys::keyring::join_session(&name) {
        Ok(()) => Ok(()),
        // No keyrings in this kernel, or a filter of the host's around us: nothing to separate.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied
            ) =>
        {
            Ok(())
        }
        // Another guest's keyring of that name, not ours to join, or no room for one more: leaving
        // the host's keyring is what matters, and the user namespace already hides that.
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::DQUOT.raw_os_error()) => {
            Ok(())
        }
        Err(error) => Err(error).doing("join a session keyring"),
    }
}

fn c_string(text: impl Into<Vec<u8>>) -> Result<CString, Failure> {
    CString::new(text).doing("pass a text with a NUL byte to the kernel")
}
