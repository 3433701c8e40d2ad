//! Attacks by taking all there is. Only the guest suffers, and it can still be joined and ended.

use std::time::{Duration, Instant};

use hull_container::weakened::Defence;
use hull_model::bytes::Bytes;
use hull_model::limits::{Max, Resource, Rlimit};
use hull_model::memory::Memory;

use super::weak::{self, without};
use crate::Test;
use crate::fixture::{Guest, Live};

pub(crate) const TESTS: &[Test] = &[
    ("attack_fork_bomb", fork_bomb),
    ("attack_memory", memory),
    ("attack_inodes", inodes),
    ("attack_descriptors", descriptors),
    ("attack_terminals", terminals),
    ("attack_huge_user_files", huge_user_files),
];

/// It can be looked into, and it ends at once.
fn joined_and_ended(live: Live<'_>) {
    let out = live.exec(&["echo", "inside"]).unwrap();
    assert_eq!(out.output, "inside\n");
    let started = Instant::now();
    drop(live);
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}

fn fork_bomb() {
    let mut guest = Guest::new();
    guest.spec.limits.pids = Some(Max::At(24));
    let live = guest.shell("bomb() { bomb | bomb & }; bomb; sleep 60").start().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    // In a bomb they die as fast as they are born; it burns where most of the limit is taken.
    while live.plan.cgroup.processes().unwrap().len() < 20 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(live);
    assert!(guest.cgroups_left().is_empty());
    // All places taken for good, so that a join meets the limit for sure.
    let many = "i=0; while [ $i -lt 60 ]; do sleep 60 & i=$((i+1)); done; echo all";
    let live = guest.shell(&format!("({many}) > /tmp/said 2>&1; sleep 60")).start().unwrap();
    while live.plan.cgroup.processes().unwrap().len() < 23 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(5));
    }
    joined_and_ended(live);
    assert!(guest.cgroups_left().is_empty());
    let many = many.replace("sleep 60", "sleep 1");
    let limited = guest.shell(&format!("{many}; true")).run().unwrap().output;
    assert!(!limited.contains("all") || limited.contains("can't fork"), "{limited}");
    assert_eq!(guest.changed(weak::unlimited), "all\n");
}

fn memory() {
    let mut guest = Guest::new();
    guest.spec.limits.memory = Memory::new(Bytes::mib(24), Max::At(0));
    let hog = "dd if=/dev/zero of=/dev/null bs=64M count=1 2>/dev/null";
    let live = guest.shell(&format!("while :; do {hog}; done")).start().unwrap();
    let cgroup = live.plan.cgroup.clone();
    let deadline = Instant::now() + Duration::from_secs(20);
    while cgroup.oom_kills() == 0 {
        assert!(Instant::now() < deadline, "nothing was killed for want of memory");
        std::thread::sleep(Duration::from_millis(5));
    }
    joined_and_ended(live);
    let script = format!("{hog} && echo taken");
    assert_eq!(guest.shell(&script).run().unwrap().output, "");
    assert_eq!(guest.changed(weak::unlimited), "taken\n");
}

/// Empty files cost the kernel memory too, which counts as the guest's.
fn inodes() {
    let mut guest = Guest::new();
    guest.spec.limits.memory = Memory::new(Bytes::mib(16), Max::At(0));
    let script =
        "i=0; while [ $i -lt 40000 ]; do : > /dev/shm/$i || exit 1; i=$((i+1)); done; echo all";
    assert_ne!(guest.shell(script).run().unwrap().output, "all\n");
    assert_eq!(guest.changed(weak::unlimited), "all\n");
    // With as many as were granted there is an end before that.
    let mount = hull_model::mount::Mount {
        target: hull_model::mount::Target::new("/few").unwrap(),
        source: hull_model::mount::Source::Tmpfs {
            size: None,
            mode: None,
            options: vec!["nr_inodes=10".to_owned()],
        },
        read_only: false,
        origin: hull_model::mount::Origin::Tmpfs,
    };
    guest.spec.mounts.push(mount);
    let out = guest.shell(&script.replace("/dev/shm", "/few")).run().unwrap().output;
    assert!(out.contains("No space left on device"), "{out}");
}

fn descriptors() {
    let mut guest = Guest::new().armed();
    guest.spec.limits.rlimits =
        vec![Rlimit { resource: Resource::Nofile, soft: Some(64), hard: Some(64) }];
    guest.command(&["attack", "ptys", "200"]);
    let said = guest.run().unwrap().output;
    assert!(said.ends_with(" EMFILE\n"), "{said}");
    assert_eq!(guest.changed(weak::unlimited), "200 ok\n");
}

fn terminals() {
    let mut guest = Guest::new().armed();
    guest.spec.limits.rlimits =
        vec![Rlimit { resource: Resource::Nofile, soft: Some(4096), hard: Some(4096) }];
    guest.command(&["attack", "ptys", "1200"]);
    assert_eq!(guest.run().unwrap().output, "1024 ENOSPC\n");
    let said = guest.changed(|plan| {
        for mount in &mut plan.mounts {
            if let hull_container::plan::Source::New { options, .. } = &mut mount.source {
                options.retain(|(name, _)| name != "max");
            }
        }
    });
    assert_eq!(said, "1200 ok\n");
}

fn huge_user_files() {
    let mut guest = Guest::new();
    let mut text = "nobody:x:65534:65534::/:/bin/false\n".repeat(6 << 20 >> 5);
    text.push_str("late:x:7:7::/:/bin/sh\n");
    std::fs::write(guest.lower("etc/passwd"), text).unwrap();
    guest.spec.process.user = "late".to_owned();
    guest.command(&["id", "-u"]);
    assert!(guest.fail().message.starts_with("unable to find user late"));
    if let Some(out) = without(&[Defence::UserFiles], || guest.run()) {
        assert_eq!(out.unwrap().output, "7\n");
    }
}
