//! Processes added to a running guest.

use hull_container::Kind;
use hull_model::process::{ExecSpec, Streams};

use crate::Test;
use crate::fixture::Guest;

pub(crate) const TESTS: &[Test] = &[
    ("an_exec_is_inside_like_the_first_process", an_exec_is_inside),
    ("an_exec_in_the_hosts_user_namespace_is_inside_too", an_exec_of_host_users),
    ("an_exec_can_be_privileged_or_somebody_else", an_exec_can_be_somebody_else),
    ("an_exec_can_have_a_terminal", an_exec_can_have_a_terminal),
    ("an_exec_that_fails_says_why", an_exec_that_fails_says_why),
    ("an_exec_after_the_end_is_refused", an_exec_after_the_end_is_refused),
    ("an_exec_leaks_nothing", an_exec_leaks_nothing),
];

const LOOK: &str = "for n in user mnt pid uts ipc net cgroup; do readlink /proc/self/ns/$n; done; \
                    cat /proc/self/cgroup; grep -E '^(Cap|Seccomp:|NoNew)' /proc/self/status";

fn an_exec_is_inside() {
    inside(Guest::new());
}

fn an_exec_of_host_users() {
    inside(Guest::of_host_users());
}

fn inside(mut guest: Guest) {
    guest.shell(&format!("({LOOK}) > /tmp/draft; mv /tmp/draft /tmp/first; sleep 60"));
    let live = guest.start().unwrap();
    let first = "while ! test -e /tmp/first; do sleep 0.01; done; cat /tmp/first";
    let first = live.exec(&["sh", "-c", first]).unwrap().output;
    let added = live.exec(&["sh", "-c", LOOK]).unwrap().output;
    assert_eq!(first, added);
    assert!(first.contains("Seccomp:\t2"), "{first}");
    let out = live.exec(&["sh", "-c", "echo $$; pwd; exit 7"]).unwrap();
    assert_eq!(out.status, 7);
    assert!(out.output.trim_end().ends_with("\n/"), "{out:?}");
    // In its cgroups, seen from the host.
    assert!(live.plan.cgroup.processes().unwrap().contains(&live.running.pid));
}

fn an_exec_can_be_somebody_else() {
    let mut guest = Guest::new();
    let live = guest.shell("sleep 60").start().unwrap();
    let exec = |user: &str, privileged| {
        let args = ["sh", "-c", "id -u; grep -E '^(CapEff|Seccomp:)' /proc/self/status; echo $A"];
        let spec = ExecSpec {
            args: args.map(str::to_owned).into(),
            user: user.to_owned(),
            env: vec!["A=b".to_owned()],
            privileged,
            ..ExecSpec::default()
        };
        live.exec_spec(&spec).unwrap().output
    };
    assert_eq!(exec("www-data", false), "33\nCapEff:\t0000000000000000\nSeccomp:\t2\nb\n");
    assert_eq!(exec("", true), "0\nCapEff:\t000001ffffffffff\nSeccomp:\t0\nb\n");
}

fn an_exec_can_have_a_terminal() {
    let mut guest = Guest::new();
    let live = guest.shell("sleep 60").start().unwrap();
    let spec = ExecSpec {
        args: ["sh", "-c", "tty; stty size; echo $TERM"].map(str::to_owned).into(),
        streams: Streams { tty: true, ..Streams::default() },
        ..ExecSpec::default()
    };
    let out = live.exec_spec(&spec).unwrap().output.replace('\r', "");
    assert_eq!(out, "/dev/pts/0\n24 80\nxterm\n");
}

fn an_exec_that_fails_says_why() {
    let mut guest = Guest::new();
    let live = guest.shell("sleep 60").start().unwrap();
    let failure = live.exec(&["foo"]).unwrap_err();
    assert_eq!(failure.kind, Kind::CommandNotFound);
    assert_eq!(failure.message, "exec: \"foo\": executable file not found in $PATH");
    let spec = ExecSpec {
        args: vec!["true".to_owned()],
        cwd: Some("/no/such".to_owned()),
        ..ExecSpec::default()
    };
    let failure = live.exec_spec(&spec).unwrap_err();
    assert_eq!(failure.kind, Kind::NoSuchDirectory);
    assert_eq!(failure.message, "chdir to cwd (\"/no/such\") failed: no such file or directory");
    // Nothing is left of them: the guest's own two at most.
    assert!(live.plan.cgroup.processes().unwrap().len() <= 2);
}

fn an_exec_after_the_end_is_refused() {
    let mut guest = Guest::new();
    let live = guest.command(&["true"]).start().unwrap();
    // Not reaped: the pidfd still refers to it.
    std::thread::sleep(std::time::Duration::from_millis(200));
    let failure = live.exec(&["true"]).unwrap_err();
    assert_eq!(failure.kind, Kind::NotRunning);
    assert!(failure.message.ends_with("is not running"), "{failure}");
}

fn an_exec_leaks_nothing() {
    let mut guest = Guest::new();
    let secret = std::fs::File::open("/etc/shadow").unwrap();
    rustix::io::fcntl_setfd(&secret, rustix::io::FdFlags::empty()).unwrap();
    let live = guest.shell("sleep 60").start().unwrap();
    let out =
        live.exec(&["sh", "-c", "ls /proc/$$/fd; readlink /proc/$$/cwd; readlink /proc/$$/root"]);
    assert_eq!(out.unwrap().output, "0\n1\n2\n/\n/\n");
}
