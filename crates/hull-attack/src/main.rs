//! What a hostile guest does: `hull-attack VERB [WORD…]`.
//!
//! Each verb tries one thing and says how far it came: `ok`, or the name of the error. Nothing here
//! does harm where it succeeds: what is opened for writing is not written to.

mod calls;
mod outcome;
mod processes;

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::process::ExitCode;

use outcome::{Outcome, checked, name};

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        ["calls"] => {
            calls::all();
            return ExitCode::SUCCESS;
        }
        ["open", "read", path] => open(path, libc::O_RDONLY),
        ["open", "write", path] => open(path, libc::O_WRONLY),
        ["reopen", path] => reopen(path),
        ["ptrace", pid] => processes::seize(number(pid)),
        ["spy"] => processes::spy(),
        ["clone-parent", count] => processes::clone_parent(number(count)),
        ["adopt-and-hide"] => processes::adopt_and_hide(),
        ["find-key", description] => calls::find_key(description),
        ["add-key", description] => calls::add_key(description),
        ["who"] => who(),
        ["swap", one, other] => swap(one, other),
        ["ptys", most] => Ok(terminals(number(most))),
        _ => {
            eprintln!("hull-attack: {words:?}: no such attack");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(said) => {
            println!("{said}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("{}", name(&error));
            ExitCode::FAILURE
        }
    }
}

fn number(text: &str) -> i32 {
    text.parse().unwrap_or_else(|_| panic!("{text:?} is no number"))
}

fn open(path: &str, flags: i32) -> Outcome {
    let mut options = OpenOptions::new();
    options.read(flags == libc::O_RDONLY).write(flags == libc::O_WRONLY);
    options.custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    Ok("ok".to_owned())
}

/// The way of CVE-2019-5736: hold the file by a descriptor that does not count as using it, wait
/// until nobody executes it any more, and open it for writing through the descriptor.
fn reopen(path: &str) -> Outcome {
    use std::os::fd::AsRawFd;
    let held = OpenOptions::new().read(true).custom_flags(libc::O_PATH).open(path)?;
    let again = format!("/proc/self/fd/{}", held.as_raw_fd());
    let mut last = Ok("ok".to_owned());
    for _ in 0..200 {
        last = open(&again, libc::O_WRONLY);
        match &last {
            Err(error) if error.raw_os_error() == Some(libc::ETXTBSY) => {
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            _ => return last,
        }
    }
    last
}

/// Who the process is in effect, and what it may do.
fn who() -> Outcome {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
    let user = line("Uid:").and_then(|ids| ids.split_whitespace().nth(1)).unwrap_or_default();
    Ok(format!("{user} {}", line("CapEff:").unwrap_or_default().trim()))
}

/// Exchanges two names for ever, as fast as it goes.
fn swap(one: &str, other: &str) -> Outcome {
    let c = |text: &str| std::ffi::CString::new(text).unwrap_or_default();
    let (one, other) = (c(one), c(other));
    loop {
        // SAFETY: both are C strings that outlive the call.
        checked(unsafe {
            libc::syscall(
                libc::SYS_renameat2,
                libc::AT_FDCWD,
                one.as_ptr(),
                libc::AT_FDCWD,
                other.as_ptr(),
                libc::RENAME_EXCHANGE,
            )
        })?;
    }
}

/// Takes terminals until there are no more, and says how many it got.
fn terminals(most: i32) -> String {
    let mut held = Vec::new();
    while held.len() < usize::try_from(most).unwrap_or(0) {
        match OpenOptions::new().read(true).write(true).open("/dev/ptmx") {
            Ok(terminal) => held.push(terminal),
            Err(error) => return format!("{} {}", held.len(), name(&error)),
        }
    }
    format!("{} ok", held.len())
}
