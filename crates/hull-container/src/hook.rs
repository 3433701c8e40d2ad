//! Hooks: programs that a bundle's author wants run on the way.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::MemfdFlags;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::failure::{Doing, Failure};
use crate::plan::Hook;

/// How much of a failing hook's own words is repeated.
const WORDS_BYTES_MAX: u64 = 1_024;
/// For hooks without a limit of their own: nobody waits for ever.
pub(crate) const TIMEOUT_DEFAULT: Duration = Duration::from_secs(10 * 60);

/// Runs `hook` to its end with `state` ([`crate::state::document`]) on its standard input.
///
/// A hook that does not end with status 0, or not in time, has failed; then it is killed, but not what
/// it has started itself. Its output goes nowhere, its complaints into the failure.
pub fn run(hook: &Hook, state: &str) -> Result<(), Failure> {
    let path = hook.path.display();
    let doing = || format!("run hook {path}");
    if !hook.path.is_absolute() {
        return Err(Failure::other(format!("run hook {path}: the path is not absolute")));
    }
    let input = memory("hook-state", state.as_bytes()).doing(doing())?;
    let mut complaints = memory("hook-errors", b"").doing(doing())?;
    let mut command = hull_sys::spawn::command(&hook.path);
    if let Some((name, args)) = hook.args.split_first() {
        command.arg0(name).args(args);
    }
    command.envs(hook.env.iter().filter_map(|entry| entry.split_once('=')));
    let errors = complaints.try_clone().doing(doing())?;
    command.stdin(Stdio::from(input)).stdout(Stdio::null()).stderr(Stdio::from(errors));
    let mut child = command.spawn().doing(doing())?;
    let status = wait(&mut child, hook.timeout.unwrap_or(TIMEOUT_DEFAULT)).doing(doing())?;
    let why = match status {
        Some(status) if status.success() => return Ok(()),
        Some(status) => status.to_string(),
        None => "it did not end in time and was killed".to_owned(),
    };
    let mut words = Vec::new();
    complaints.seek(SeekFrom::Start(0)).doing(doing())?;
    complaints.take(WORDS_BYTES_MAX).read_to_end(&mut words).doing(doing())?;
    let words = String::from_utf8_lossy(&words);
    Err(Failure::other(format!("run hook {path}: {why}: {}", words.trim())))
}

/// Runs all of them in their order, up to the first that fails.
pub fn run_all(hooks: &[Hook], state: &str) -> Result<(), Failure> {
    hooks.iter().try_for_each(|hook| run(hook, state))
}

/// The child's status, or `None` if it had to be killed.
fn wait(child: &mut Child, timeout: Duration) -> std::io::Result<Option<ExitStatus>> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or_else(|| std::io::Error::other("it has no process id"))?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
    let deadline = Instant::now() + timeout;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(std::io::Error::other)?;
        let mut watched = [PollFd::from_borrowed_fd(pidfd.as_fd(), PollFlags::IN)];
        match poll(&mut watched, Some(&left)) {
            Ok(0) => {
                child.kill()?;
                child.wait()?;
                return Ok(None);
            }
            Ok(_) => return child.wait().map(Some),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// A file in memory, to be read from its beginning.
fn memory(name: &str, content: &[u8]) -> std::io::Result<File> {
    let mut file = File::from(rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC)?);
    file.write_all(content)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Hook {
        Hook {
            path: "/bin/sh".into(),
            args: ["sh", "-c", script].map(str::to_owned).into(),
            env: vec!["A=1".to_owned()],
            timeout: None,
        }
    }

    #[test]
    fn a_hook_gets_the_state_and_only_its_environment() {
        run(
            &shell("read -r line; test \"$line\" = '{\"id\":\"x\"}' -a \"$A\" = 1"),
            "{\"id\":\"x\"}",
        )
        .unwrap();
        run(&shell("test -z \"$CARGO_MANIFEST_DIR\""), "").unwrap();
    }

    #[test]
    fn a_hook_that_fails_says_why() {
        let failure = run(&shell("echo because >&2; exit 3"), "").unwrap_err();
        assert_eq!(failure.message, "run hook /bin/sh: exit status: 3: because");
        let relative = Hook { path: "sh".into(), ..Hook::default() };
        assert!(run(&relative, "").unwrap_err().message.contains("not absolute"));
        let missing = Hook { path: "/no/such".into(), ..Hook::default() };
        assert!(run(&missing, "").unwrap_err().message.starts_with("run hook /no/such: "));
    }

    #[test]
    fn a_hook_that_hangs_is_killed() {
        let hook = Hook { timeout: Some(Duration::from_millis(50)), ..shell("exec sleep 100") };
        assert!(run(&hook, "").unwrap_err().message.contains("not end in time"));
    }
}
