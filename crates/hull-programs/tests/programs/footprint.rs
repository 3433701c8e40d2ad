//! The figures of the static shim as it is shipped: memory when idle, speed under load.

use std::time::{Duration, Instant};

use crate::guest::{Draft, Guest, exit, possible};

/// What SPECIFICATION.md promises for the shim of an idle container.
const PSS_MAX_KIB: u64 = 410;

const SHIMS: usize = 8;

fn pss_kib(guest: &Guest) -> u64 {
    let path = format!("/proc/{}/smaps_rollup", guest.shim.id());
    let text = std::fs::read_to_string(path).unwrap();
    let line = text.lines().find(|line| line.starts_with("Pss:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn an_idle_shim_is_small() {
    if !possible() {
        return;
    }
    let guests: Vec<Guest> = (0..SHIMS)
        .map(|_| {
            let guest = Draft::script("echo hello; sleep 1000").spawn();
            let (mut client, _) = guest.connect();
            guest.start(&mut client);
            guest
        })
        .collect();
    // Buffers are given back after a second of silence.
    std::thread::sleep(Duration::from_millis(2500));
    let each: Vec<u64> = guests.iter().map(pss_kib).collect();
    let mean = each.iter().sum::<u64>() / SHIMS as u64;
    eprintln!("idle shim: {mean} KiB PSS, mean of {SHIMS} ({each:?})");
    assert!(mean <= PSS_MAX_KIB, "{mean} KiB");
}

#[test]
fn short_lines_pass_quickly() {
    if !possible() {
        return;
    }
    let mut draft = Draft::script("yes | head -c 50000000");
    // As by default; without a limit the disk is what is measured.
    if let Some(log) = &mut draft.plan.log {
        (log.size_max, log.files_max) = (Some(10_000_000), 3);
    }
    let guest = draft.spawn();
    let (mut client, _) = guest.connect();
    let begin = Instant::now();
    guest.start(&mut client);
    assert_eq!(exit(&mut client).code, 0);
    let took = begin.elapsed();
    let rate = 50.0 / took.as_secs_f64();
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", guest.shim.id())).unwrap();
    let ticks: Vec<&str> = stat.split_whitespace().skip(13).take(2).collect();
    eprintln!(
        "yes: {rate:.0} MB/s of 2-byte lines into the log, 38 times as much on disk, in {took:?}; \
         the shim's processor time (ticks, user and system): {ticks:?}"
    );
}
