//! `kill`.

use std::os::fd::AsFd;

use super::Session;
use crate::arguments::Options;
use crate::failure::{Doing, Failure};
use crate::state::{self, Status};

/// Sends a signal to the first process or, with `--all`, to every one.
///
/// Takes no lock: a container can be killed whatever else is happening to it.
pub(super) fn kill(session: &Session<'_>, options: &Options) -> Result<u8, Failure> {
    let (entry, record) = session.open(options.operand(0))?;
    let wanted = options.operands().get(1).map_or("TERM", String::as_str);
    let signal = number(wanted)?;
    if options.is("all") {
        for pid in record.cgroup.processes()? {
            send_to(pid, signal)?;
        }
        return Ok(0);
    }
    let not_running = || {
        let (id, status) = (&record.id, Status::Stopped.name());
        Failure::new(format!("cannot kill container {id} that is {status}: container not running"))
    };
    let init = record.init.ok_or_else(not_running)?;
    let process = state::open_process(&init)?.ok_or_else(not_running)?;
    match hull_sys::supervise::send(process.as_fd(), signal) {
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => {
            return Err(not_running());
        }
        sent => sent.doing(format!("send signal {signal} to container {}", record.id))?,
    }
    if signal == KILL && entry.status(&record) == Status::Paused {
        // Frozen processes of cgroup v1 do not die before they are thawed.
        record.cgroup.thaw(super::change::PATIENCE)?;
    }
    Ok(0)
}

fn send_to(pid: rustix::process::Pid, signal: i32) -> Result<(), Failure> {
    use rustix::process::{PidfdFlags, pidfd_open};
    let gone = Some(rustix::io::Errno::SRCH.raw_os_error());
    let number = pid.as_raw_nonzero();
    let sent = pidfd_open(pid, PidfdFlags::empty())
        .map_err(std::io::Error::from)
        .and_then(|process| hull_sys::supervise::send(process.as_fd(), signal));
    match sent {
        // Gone meanwhile is as good.
        Err(error) if error.raw_os_error() == gone => Ok(()),
        sent => sent.doing(format!("send signal {signal} to process {number}")),
    }
}

const KILL: i32 = 9;
/// The C library's first and last real-time signals; those below are its own.
const REAL_TIME: (i32, i32) = (34, 64);

/// Names by number, from 1 on.
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
    "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG",
    "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

/// The number of a signal given as number or name, with or without `SIG`.
fn number(text: &str) -> Result<i32, Failure> {
    let unknown = || Failure::new(format!("unknown signal {text:?}"));
    if let Ok(number) = text.parse() {
        return (0..=REAL_TIME.1).contains(&number).then_some(number).ok_or_else(unknown);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let aliases = match name {
        "IOT" => "ABRT",
        "CLD" => "CHLD",
        "POLL" => "IO",
        name => name,
    };
    if let Some(at) = NAMES.iter().position(|known| *known == aliases) {
        return i32::try_from(at + 1).map_err(|_out_of_range| unknown());
    }
    let real_time = |start: &str, sign: char, from: i32| {
        let rest = name.strip_prefix(start)?;
        let offset: i32 = match rest.strip_prefix(sign) {
            None if rest.is_empty() => 0,
            None => return None,
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().ok()?,
            Some(_) => return None,
        };
        let number = if sign == '+' { from.checked_add(offset)? } else { from - offset };
        (REAL_TIME.0..=REAL_TIME.1).contains(&number).then_some(number)
    };
    real_time("RTMIN", '+', REAL_TIME.0)
        .or_else(|| real_time("RTMAX", '-', REAL_TIME.1))
        .ok_or_else(unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_named_in_every_usual_way() {
        let rows = [
            ("9", 9),
            ("KILL", 9),
            ("SIGKILL", 9),
            ("sigterm", 15),
            ("0", 0),
            ("SYS", 31),
            ("POLL", 29),
            ("RTMIN", 34),
            ("SIGRTMIN+3", 37),
            ("RTMAX-1", 63),
        ];
        for (text, wanted) in rows {
            assert_eq!(number(text).unwrap(), wanted, "{text}");
        }
        for bad in
            ["", "SIG", "65", "-1", "FOO", "RTMIN-1", "RTMIN+31", "RTMIN+x", "RTMAX-99999999999"]
        {
            assert!(number(bad).is_err(), "{bad}");
        }
    }
}
