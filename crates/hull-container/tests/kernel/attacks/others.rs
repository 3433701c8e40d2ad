//! Attacks on processes that are not the guest's own: other guests', the launcher, and what joins.

use hull_container::weakened::Defence;

use super::weak::{self, without};
use crate::Test;
use crate::fixture::Guest;

pub(crate) const TESTS: &[Test] = &[
    ("attack_processes_of_other_guests", processes_of_other_guests),
    ("attack_signals_to_the_launcher", signals_to_the_launcher),
    ("attack_whoever_joins", whoever_joins),
    ("attack_join_of_what_is_killed_and_renamed", join_of_what_is_killed_and_renamed),
];

/// `/proc/PID/root` and ptrace, across guests.
fn processes_of_other_guests() {
    let mut victim = Guest::new();
    let victim = victim.shell("sleep 60").start().unwrap();
    let pid = victim.running.pid.as_raw_nonzero();
    let script = format!(
        "attack ptrace {pid}; head -n 1 /proc/{pid}/root/etc/passwd 2>/dev/null || echo unseen; \
         kill -0 {pid} 2>/dev/null || echo unreached"
    );
    let mut guest = Guest::new().armed();
    assert_eq!(guest.shell(&script).run().unwrap().output, "ESRCH\nunseen\nunreached\n");
    // All power inside its own namespaces changes nothing.
    assert_eq!(guest.changed(weak::mighty), "ESRCH\nunseen\nunreached\n");
    let mut guest = Guest::of_host_users().armed();
    assert_eq!(guest.shell(&script).run().unwrap().output, "ESRCH\nunseen\nunreached\n");
    // With the host's processes in sight the host's root needs no capability for it: it owns the
    // other guest's user namespace (user_namespaces(7)).
    let open = guest.changed(weak::among_all_processes);
    assert_eq!(open, "ok\nroot:x:0:0::/root:/bin/sh\n");
}

fn signals_to_the_launcher() {
    let script = format!(
        "kill -0 {} 2>/dev/null && echo reached; grep PPid /proc/1/status",
        std::process::id()
    );
    let mut guest = Guest::new();
    assert_eq!(guest.shell(&script).run().unwrap().output, "PPid:\t0\n");
    let mut guest = Guest::of_host_users();
    assert_eq!(guest.shell(&script).run().unwrap().output, "PPid:\t0\n");
    let open = guest.changed(weak::among_all_processes);
    assert!(open.starts_with("reached\n"), "{open}");
}

/// CVE-2016-9962, CVE-2019-5736: a process that joins still runs the launcher's program and may hold
/// its descriptors. Root of the guest, with all capabilities there, waits for one.
fn whoever_joins() {
    let mut guest = Guest::new().armed();
    guest.change = weak::mighty;
    guest.shell("attack spy > /tmp/seen & sleep 120");
    let live = guest.start().unwrap();
    let ready = "while ! test -s /tmp/seen; do sleep 0.01; done";
    live.exec(&["sh", "-c", ready]).unwrap();
    let seen = |count: usize| {
        for _ in 0..count {
            assert_eq!(live.exec(&["true"]).unwrap().status, 0);
            let seen = live.exec(&["cat", "/tmp/seen"]).unwrap().output;
            if seen != "watching\n" {
                return seen;
            }
        }
        "watching\n".to_owned()
    };
    assert_eq!(seen(40), "watching\n");
    if let Some(seen) = without(&[Defence::Dumpable], || seen(300)) {
        assert!(seen.contains("reached exe\n"), "{seen}");
    }
}

/// The guest's root does all it can to whoever joins: kills, moves what is looked up, fills /tmp.
fn join_of_what_is_killed_and_renamed() {
    let mut guest = Guest::new().armed();
    guest.change = weak::mighty;
    let script = "mkdir /a /b; (attack swap /a /b &); \
                  (while :; do mv /etc /etc2; mv /etc2 /etc; done 2>/dev/null &); \
                  (while :; do for p in /proc/[0-9]*; do n=${p#/proc/}; \
                  [ $n -gt 40 ] && kill -9 $n; done; done 2>/dev/null &); sleep 120";
    let live = guest.shell(script).start().unwrap();
    for _ in 0..40 {
        // It may be killed or find no user; it must come back, and not as something else.
        match live.exec(&["id", "-u"]) {
            Ok(out) => assert!(matches!(out.output.as_str(), "0\n" | ""), "{out:?}"),
            Err(failure) => assert!(!failure.message.is_empty()),
        }
    }
}
