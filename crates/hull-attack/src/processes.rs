//! Attacks on other processes.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use crate::outcome::{Outcome, checked};

/// Becomes the tracer of a process, without stopping it.
pub(crate) fn seize(pid: i32) -> Outcome {
    // SAFETY: no memory is touched; the process goes on, untraced, when this one ends.
    checked(unsafe { libc::ptrace(libc::PTRACE_SEIZE, pid, 0, 0) })?;
    Ok("ok".to_owned())
}

/// Watches for processes that come from outside while they are joining the guest, and tries to get
/// into them. Says each thing it reached, and never ends.
pub(crate) fn spy() -> Outcome {
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    let ours = fs::read_link("/proc/self/exe")?;
    println!("watching");
    loop {
        for pid in fs::read_dir("/proc")?.flatten() {
            let Some(pid) = pid.file_name().to_str().and_then(|name| name.parse::<i32>().ok())
            else {
                continue;
            };
            if pid == own || pid == 1 {
                continue;
            }
            let dir = format!("/proc/{pid}");
            // Programs of the guest are below /bin; whatever else has come from outside.
            if let Ok(exe) = fs::read_link(format!("{dir}/exe"))
                && !exe.starts_with("/bin")
                && exe != ours
            {
                println!("reached exe");
                if fs::read_dir(format!("{dir}/fd")).is_ok_and(|all| all.flatten().count() > 3) {
                    println!("reached descriptors");
                }
                if seize(pid).is_ok() {
                    println!("reached ptrace");
                }
                return Ok("done".to_owned());
            }
        }
    }
}

/// Makes children of its parent, which end at once. Whoever it is has not asked for them.
pub(crate) fn clone_parent(count: i32) -> Outcome {
    for _ in 0..count {
        let flags = i64::from(libc::CLONE_PARENT);
        // SAFETY: without CLONE_VM the child has its own memory; the stack is the parent's, copied.
        let child = checked(unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) })?;
        if child == 0 {
            // SAFETY: runs no code of ours.
            unsafe { libc::_exit(0) };
        }
    }
    Ok("ok".to_owned())
}

/// Leaves a child of its parent behind that ignores all it can and sleeps.
pub(crate) fn adopt_and_hide() -> Outcome {
    let flags = i64::from(libc::CLONE_PARENT);
    // SAFETY: as above.
    let child = checked(unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) })?;
    if child == 0 {
        for signal in 1..=64 {
            // SAFETY: SIG_IGN installs no code; what cannot be ignored is refused.
            unsafe { libc::signal(signal, libc::SIG_IGN) };
        }
        for fd in 0..3 {
            // SAFETY: a descriptor of ours that nothing uses any more.
            unsafe { libc::close(fd) };
        }
        loop {
            sleep(Duration::from_secs(1000));
        }
    }
    Ok("ok".to_owned())
}
