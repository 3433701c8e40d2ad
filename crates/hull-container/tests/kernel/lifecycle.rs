//! Beginnings and ends: nothing is left, and nobody outlives its launcher.

use std::fs;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use hull_container::launch;
use hull_model::id::GuestId;
use hull_model::namespace::{Network, Partner};
use hull_sys::namespace::Kinds;
use hull_sys::process::{Fork, Parentage, end, fork};
use rustix::process::{Signal, WaitOptions, pidfd_send_signal, waitpid};

use crate::Test;
use crate::fixture::{Guest, stdio, wait};

pub(crate) const TESTS: &[Test] = &[
    ("nothing_is_left_on_the_host", nothing_is_left_on_the_host),
    ("a_launch_that_is_dropped_leaves_nothing", a_launch_that_is_dropped),
    ("a_guest_dies_with_its_launcher", a_guest_dies_with_its_launcher),
    ("a_guest_can_share_anothers_network", sharing),
    ("a_network_can_be_set_up_before_the_start", network_before_start),
    ("fifty_starts_leave_nothing", fifty_starts_leave_nothing),
];

fn host_state() -> (String, usize) {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    // Other tests of this machine mount things too; only ours count.
    let ours = mounts.lines().filter(|line| line.contains("overlay") && line.contains("hull"));
    let fds = fs::read_dir("/proc/self/fd").unwrap().count();
    (ours.collect(), fds)
}

fn nothing_is_left_on_the_host() {
    let mut guest = Guest::new();
    let before = host_state();
    guest.shell("(sleep 100 &) ; mkdir /made; echo done").run().unwrap();
    assert_eq!(host_state(), before);
    assert!(guest.cgroups_left().is_empty());
    assert!(guest.upper("made").is_dir());
    let dir = guest.dir.path().to_str().unwrap();
    assert!(!fs::read_to_string("/proc/self/mountinfo").unwrap().contains(dir));
}

fn a_launch_that_is_dropped() {
    let mut guest = Guest::new();
    guest.command(&["true"]);
    let (plan, before) = (guest.plan(), host_state());
    let spawned = launch::spawn(&plan).unwrap();
    let pid = spawned.pid().as_raw_nonzero();
    assert!(fs::metadata(format!("/proc/{pid}")).is_ok());
    drop(spawned);
    assert!(fs::metadata(format!("/proc/{pid}")).is_err());
    let assembled = launch::spawn(&plan).unwrap().assemble(stdio(false).1).unwrap();
    let pid = assembled.pid().as_raw_nonzero();
    drop(assembled);
    assert!(fs::metadata(format!("/proc/{pid}")).is_err());
    assert!(guest.cgroups_left().is_empty());
    assert_eq!(host_state(), before);
}

fn a_guest_dies_with_its_launcher() {
    for user in ["", "www-data"] {
        let mut guest = Guest::new();
        guest.spec.process.user = user.to_owned();
        guest.shell("sleep 100");
        let (reader, writer) = std::io::pipe().unwrap();
        let launcher = match fork(Kinds::NONE, None, Parentage::Caller).unwrap() {
            Fork::Parent(child) => child,
            Fork::Child => {
                let live = guest.start().unwrap();
                let pid = live.running.pid.as_raw_nonzero().get();
                rustix::io::write(&writer, &pid.to_le_bytes()).unwrap();
                std::mem::forget(live);
                std::thread::sleep(Duration::from_secs(30));
                end(0)
            }
        };
        let mut pid = [0; 4];
        rustix::io::read(&reader, &mut pid).unwrap();
        let path = format!("/proc/{}", i32::from_le_bytes(pid));
        assert!(fs::metadata(&path).is_ok());
        pidfd_send_signal(launcher.pidfd.as_fd(), Signal::KILL).unwrap();
        waitpid(Some(launcher.pid), WaitOptions::empty()).unwrap();
        let deadline = Instant::now() + Duration::from_secs(5);
        let alive = || {
            let status = fs::read_to_string(format!("{path}/status")).unwrap_or_default();
            status.lines().any(|line| line.starts_with("State:") && !line.contains('Z'))
        };
        while alive() {
            assert!(Instant::now() < deadline, "user {user:?} lives on");
            std::thread::sleep(Duration::from_millis(5));
        }
        guest.plan().cgroup.remove(Duration::from_secs(5)).unwrap();
    }
}

fn sharing() {
    let mut first = Guest::new();
    first.shell("sleep 60");
    let live = first.start().unwrap();
    let mut second = Guest::new();
    second.ids = first.ids;
    second.spec.namespaces.network = Network::Guest("first".to_owned());
    let pid = u32::try_from(live.running.pid.as_raw_nonzero().get()).unwrap();
    second.partners.network = Some(Partner { id: GuestId::from_random([0; 32]), pid });
    let look = "readlink /proc/self/ns/net; readlink /proc/self/ns/user; ls -d /sys/class/net/lo";
    let other = second.shell(&format!("{look}; echo $$; id -u")).run().unwrap().output;
    let own = live.exec(&["sh", "-c", look]).unwrap().output;
    assert_eq!(other, format!("{own}1\n0\n"));
}

fn network_before_start() {
    let mut guest = Guest::new();
    guest.shell("cat /proc/net/dev | grep -c lo; readlink /proc/self/ns/net");
    let plan = guest.plan();
    let spawned = launch::spawn(&plan).unwrap();
    let path = format!("/proc/{}/ns/net", spawned.pid().as_raw_nonzero());
    let namespace = fs::read_link(path).unwrap();
    let (mut output, stdio) = stdio(false);
    let running = spawned.assemble(stdio).unwrap().start().unwrap();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut output, &mut text).unwrap();
    assert_eq!(wait(&running), 0);
    plan.cgroup.remove(Duration::from_secs(5)).unwrap();
    assert_eq!(text, format!("1\n{}\n", namespace.display()));
}

fn fifty_starts_leave_nothing() {
    let mut guest = Guest::new();
    guest.command(&["true"]);
    let before = host_state();
    for _ in 0..50 {
        assert_eq!(guest.run().unwrap().status, 0);
    }
    assert_eq!(host_state(), before);
    assert!(guest.cgroups_left().is_empty());
}

/// Prints the median time of each phase: `cargo test -p hull-container --test kernel -- profile`.
pub(crate) fn profile() {
    let mut plain = Guest::of_host_users();
    plain.spec.security.seccomp = hull_model::security::Seccomp::Unconfined;
    let mut unfiltered = Guest::new();
    unfiltered.spec.security.seccomp = hull_model::security::Seccomp::Unconfined;
    let mut guests =
        [("default", Guest::new()), ("without filter", unfiltered), ("without all", plain)];
    let plans = guests.each_mut().map(|(_, guest)| guest.command(&["true"]).plan());
    let mut phases: [[Vec<Duration>; 6]; 3] = Default::default();
    // In turns, so that whatever else the machine does meets all of them.
    for _ in 0..100 {
        for (plan, phases) in plans.iter().zip(&mut phases) {
            let mut clock = Instant::now();
            let mut lap = |at: usize| {
                phases[at].push(clock.elapsed());
                clock = Instant::now();
            };
            let spawned = launch::spawn(plan).unwrap();
            lap(0);
            let (_output, stdio) = stdio(false);
            let assembled = spawned.assemble(stdio).unwrap();
            lap(1);
            let running = assembled.start().unwrap();
            lap(2);
            wait(&running);
            lap(3);
            plan.cgroup.remove(Duration::from_secs(5)).unwrap();
            lap(4);
        }
    }
    let names = ["spawn", "assemble", "start", "run", "remove", "spawn to exec"];
    for ((name, _), phases) in guests.iter().zip(&mut phases) {
        phases[5] = (0..100).map(|at| phases[0][at] + phases[1][at] + phases[2][at]).collect();
        println!("{name}:");
        for (name, times) in names.iter().zip(phases) {
            times.sort();
            println!("{name:>14}: median {:?}, least {:?}", times[50], times[0]);
        }
    }
}
