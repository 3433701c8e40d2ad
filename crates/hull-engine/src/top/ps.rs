//! Running `ps` on the host, with a deadline.

use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};

use crate::error::{Error, Kind, Result};

/// How long it may take. A tenth of a second is usual on a machine with thousands of processes.
const PATIENCE: Duration = Duration::from_secs(10);

/// The most it may write.
const OUTPUT_MAX: usize = 32 << 20;

/// The longest list of processes given to it: the kernel takes no argument beyond 128 KiB.
const LIST_MAX: usize = 100 << 10;

/// What `ps` says with `arguments`, of these processes at least.
pub(super) fn list(arguments: &[String], pids: &[i32]) -> Result<String> {
    // Only `-q` makes ps list processes that are not of its own terminal whatever else it is asked
    // for; where that does not go together, it is asked without, as Docker does.
    let list: Vec<_> = pids.iter().map(ToString::to_string).collect();
    let list = list.join(",");
    if list.len() <= LIST_MAX {
        let mut selected = arguments.to_vec();
        selected.extend(["-q".to_owned(), list]);
        match run(&selected) {
            Err(error) if error.kind == Kind::Unavailable => return Err(error),
            Ok(text) => return Ok(text),
            Err(_does_not_go_together) => {}
        }
    }
    run(arguments)
}

fn run(arguments: &[String]) -> Result<String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "ps has so many formats that only ps can give them; no shell, clean environment"
    )]
    let started = Command::new("ps")
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = started.map_err(|source| {
        let text = "run ps on the host (hint: Debian has it in the package procps)";
        Error::caused(Kind::Unavailable, text, source)
    })?;
    let outcome = collect(&mut child);
    if outcome.is_err() {
        // One that hangs in the kernel does not even die of this; it is left to itself.
        child.kill().unwrap_or_default();
    }
    let deadline = Instant::now() + Duration::from_secs(1);
    let status = loop {
        match child.try_wait() {
            Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(1)),
            ended => break ended,
        }
    };
    let (output, errors) = outcome?;
    match status {
        Ok(Some(status)) if status.success() => Ok(String::from_utf8_lossy(&output).into_owned()),
        Ok(_) => {
            // The first line says why (moby `daemon/top_unix.go`).
            let reason = String::from_utf8_lossy(&errors);
            let first = reason.lines().next().map(str::trim).filter(|line| !line.is_empty());
            Err(Error::new(Kind::Internal, first.unwrap_or("ps failed")))
        }
        Err(error) => Err(Error::caused(Kind::Internal, "wait for ps", error)),
    }
}

/// All that is written to both streams, until both are closed.
fn collect(child: &mut Child) -> Result<(Vec<u8>, Vec<u8>)> {
    let failed =
        |source: std::io::Error| Error::caused(Kind::Internal, "read what ps writes", source);
    let (Some(mut stdout), Some(mut stderr)) = (child.stdout.take(), child.stderr.take()) else {
        unreachable!("both are piped")
    };
    let deadline = Instant::now() + PATIENCE;
    let (mut output, mut errors) = (Vec::new(), Vec::new());
    let (mut out_open, mut err_open) = (true, true);
    let mut buffer = [0; 16 << 10];
    while out_open || err_open {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let text = format!(
                "ps does not end within {PATIENCE:?}: a process may hang in the kernel (state D); \
                 hint: docker top CONTAINER -o pid,user,stat,comm reads less of each"
            );
            return Err(Error::new(Kind::Unavailable, text));
        }
        let timeout = Timespec::try_from(left).ok();
        let mut fds = Vec::with_capacity(2);
        if out_open {
            fds.push(PollFd::new(&stdout, PollFlags::IN));
        }
        if err_open {
            fds.push(PollFd::new(&stderr, PollFlags::IN));
        }
        match rustix::event::poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(failed(error.into())),
        }
        let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        let out_ready = out_open && ready.first() == Some(&true);
        let err_ready =
            err_open && ready.last() == Some(&true) && ready.len() == 1 + usize::from(out_open);
        if out_ready {
            out_open = take(&mut stdout, &mut buffer, &mut output).map_err(failed)?;
        }
        if err_ready {
            err_open = take(&mut stderr, &mut buffer, &mut errors).map_err(failed)?;
        }
        if output.len().max(errors.len()) > OUTPUT_MAX {
            let text = format!("ps writes more than {OUTPUT_MAX} bytes");
            return Err(Error::new(Kind::Unavailable, text));
        }
    }
    Ok((output, errors))
}

/// Takes what is there; `false` at the end.
fn take(from: &mut impl Read, buffer: &mut [u8], into: &mut Vec<u8>) -> std::io::Result<bool> {
    let count = from.read(buffer)?;
    into.extend_from_slice(buffer.get(..count).unwrap_or_default());
    Ok(count > 0)
}
