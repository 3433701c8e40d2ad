//! The machine at work: its output as it comes, and what the tests in it said at the end.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use super::system::System;
use crate::Outcome;

/// How long all of it may take where two processors are shared with others.
const LIMIT: Duration = Duration::from_secs(25 * 60);
const MEMORY: &str = "3G";

/// Boots, prints, waits; fails unless every test program ended well.
pub(super) fn run(system: &System, payload: &Path) -> Outcome {
    let mut child = command(system, payload).stdout(Stdio::piped()).spawn()?;
    let seen = watch(&mut child);
    // Whether it ended by itself or not.
    child.kill().unwrap_or_default();
    child.wait()?;
    judge(&seen?)
}

fn command(system: &System, payload: &Path) -> Command {
    let disk = |name: &str, path: &Path, more: &str| {
        format!("file={},if=none,id={name},format=raw,cache=unsafe{more}", path.display())
    };
    let mut qemu = Command::new("qemu-system-x86_64");
    qemu.args(["-machine", "q35", "-accel", "tcg,thread=multi", "-smp", "2", "-m", MEMORY]);
    // QEMU 7.2 leaves rubbish in the flags after cmpxchg16b, and Linux crashes.
    qemu.args(["-cpu", "Nehalem,-cx16", "-nodefaults", "-no-user-config", "-no-reboot"]);
    qemu.args(["-display", "none"]).arg("-kernel").arg(&system.kernel);
    qemu.arg("-initrd").arg(&system.initramfs).args([
        "-append",
        "console=ttyS0 quiet panic=-1 mitigations=off systemd.unit=hull-tests.target \
         systemd.show_status=0",
    ]);
    qemu.args(["-chardev", "stdio,id=out,signal=off", "-device", "virtio-serial-pci"]);
    qemu.args(["-device", "virtconsole,chardev=out"]);
    qemu.arg("-serial").arg(format!("file:{}", system.disk.with_file_name("serial.log").display()));
    // What a run writes to the system is forgotten.
    qemu.arg("-drive").arg(disk("root", &system.disk, ",snapshot=on"));
    qemu.args(["-device", "virtio-blk-pci,drive=root"]);
    qemu.arg("-drive").arg(disk("payload", payload, ""));
    qemu.args(["-device", "virtio-blk-pci,drive=payload"]);
    qemu.stdin(Stdio::null());
    qemu
}

/// Passes the machine's output on, and gives the lines that say how tests ended.
fn watch(child: &mut Child) -> Outcome<Vec<String>> {
    let output = child.stdout.take().ok_or("no output of QEMU")?;
    let (sender, lines) = mpsc::sync_channel(1000);
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    let deadline = Instant::now() + LIMIT;
    let mut told = Vec::new();
    loop {
        match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                println!("{}", line.trim_end());
                if let Some((_, said)) = line.trim_end().split_once("hull-machine: ") {
                    told.push(said.to_owned());
                }
            }
            Err(RecvTimeoutError::Disconnected) => return Ok(told),
            Err(RecvTimeoutError::Timeout) => {
                return Err(format!("the machine was not done within {LIMIT:?}").into());
            }
        }
    }
}

fn judge(told: &[String]) -> Outcome {
    if told.last().is_none_or(|last| last != "done") {
        return Err("the machine ended before its tests; see target/machine/serial.log".into());
    }
    let failed: Vec<_> =
        told.iter().filter(|line| *line != "done" && !line.ends_with(" with 0")).collect();
    if failed.is_empty() { Ok(()) } else { Err(format!("in the machine: {failed:?}").into()) }
}
