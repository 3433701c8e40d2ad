//! Everything that a process can be given beside its namespaces and files.

use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use hull_container::launch::{BeforeEntering, Given};
use hull_container::plan::{
    Affinity, Hook, Identity, IoPriority, Label, Listener, MemoryPolicy, Rdt, Scheduler, State,
};
use hull_model::process::ExecSpec;

use crate::Test;
use crate::fixture::{Guest, Live};

pub(crate) const TESTS: &[Test] = &[
    ("numbers_are_enough_for_an_identity", numbers),
    ("five_sets_of_capabilities_are_what_was_asked", capabilities),
    ("a_personality_is_kept", personality),
    ("scheduling_is_set_from_outside", scheduling),
    ("what_this_kernel_lacks_is_named", unsupported),
    ("descriptors_are_preserved_and_no_others", preserved),
    ("hooks_run_in_their_places_and_stop_the_start", hooks),
    ("an_agent_decides_about_system_calls", agent),
    ("an_agent_decides_for_added_processes_too", agent_of_exec),
];

fn numbers() {
    let mut guest = Guest::new();
    guest.shell("id -u; id -g; id -G; umask; echo $HOME; touch /tmp/x; stat -c %a /tmp/x");
    fs::set_permissions(guest.lower("tmp"), std::os::unix::fs::PermissionsExt::from_mode(0o777))
        .unwrap();
    let numbers = || Identity::Numbers { uid: 33, gid: 77, groups: vec![5, 9] };
    let out = guest.output_with(|plan| {
        plan.process.identity = numbers();
        plan.process.umask = 0o077;
    });
    assert_eq!(out, "33\n77\n77 5 9\n0077\n/var/www\n600\n");
    let failure = guest.start_with(|plan| {
        plan.process.identity = Identity::Numbers { uid: 70_000, gid: 0, groups: Vec::new() };
    });
    assert_eq!(failure.err().unwrap().kind, hull_container::Kind::NoSuchUser);
}

fn capabilities() {
    let mut guest = Guest::new();
    guest.shell("grep ^Cap /proc/self/status");
    let (net_bind, kill, chown) = (1 << 10, 1 << 5, 1 << 0);
    let out = guest.output_with(|plan| {
        plan.process.identity = Identity::Numbers { uid: 33, gid: 33, groups: Vec::new() };
        let sets = &mut plan.process.capabilities;
        sets.bounding = net_bind | kill | chown;
        sets.permitted = net_bind | kill;
        sets.effective = net_bind;
        sets.inheritable = net_bind;
        sets.ambient = net_bind;
    });
    let set = |name: &str| {
        let line = out.lines().find(|line| line.starts_with(name)).unwrap();
        u64::from_str_radix(line.split_whitespace().nth(1).unwrap(), 16).unwrap()
    };
    assert_eq!(set("CapBnd"), net_bind | kill | chown, "{out}");
    // After exec, a user has what is ambient.
    for name in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(set(name), net_bind, "{name} in {out}");
    }
}

fn personality() {
    let mut guest = Guest::new();
    guest.shell("cat /proc/self/personality");
    let live = guest.start_with(|plan| plan.process.personality = Some(0x0004_0008)).unwrap();
    assert_eq!(live.wait().output, "00040008\n");
}

fn stat_field(stat: &str, number: usize) -> &str {
    // After the name, which may hold anything, the third field follows.
    stat.rsplit_once(')').unwrap().1.split_whitespace().nth(number - 3).unwrap()
}

fn scheduling() {
    let mut guest = Guest::new();
    let script = "cat /proc/self/stat; grep Cpus_allowed_list /proc/self/status";
    guest.shell(script);
    let live = guest
        .start_with(|plan| {
            let batch = Scheduler { policy: 3, nice: 7, ..Scheduler::default() };
            plan.process.scheduler = Some(batch);
            plan.process.io_priority = Some(IoPriority { class: 2, priority: 6 });
            plan.process.affinity = Affinity { initial: vec![0, 1], last: vec![0] };
        })
        .unwrap();
    let out = live.wait().output;
    let stat = out.lines().next().unwrap();
    // proc_pid_stat(5): nice is field 19, policy 41.
    assert_eq!((stat_field(stat, 19), stat_field(stat, 41)), ("7", "3"), "{out}");
    assert!(out.ends_with("Cpus_allowed_list:\t0\n"), "{out}");
    // Added processes have their own.
    guest.shell("sleep 30");
    let live = guest.start().unwrap();
    let wanted =
        ExecSpec { args: ["sh", "-c", script].map(str::to_owned).into(), ..Default::default() };
    let out = live.exec_with(&wanted, |plan| {
        plan.process.affinity = Affinity { initial: vec![0], last: vec![1] };
        plan.process.scheduler = Some(Scheduler { policy: 5, ..Scheduler::default() });
    });
    let out = out.unwrap().output;
    assert_eq!(stat_field(out.lines().next().unwrap(), 41), "5", "{out}");
    assert!(out.ends_with("Cpus_allowed_list:\t1\n"), "{out}");
    let failure = guest.start_with(|plan| {
        plan.process.scheduler = Some(Scheduler { policy: 99, ..Scheduler::default() });
    });
    assert!(failure.err().unwrap().message.contains("set scheduler"));
    let failure = guest.start_with(|plan| plan.process.affinity.last = vec![8_000]);
    assert!(failure.err().unwrap().message.contains("run on processors [8000]"));
}

fn unsupported() {
    let mut guest = Guest::new();
    guest.command(&["true"]);
    let lacks = |module: &str| !std::path::Path::new(module).exists();
    let say = |change: &dyn Fn(&mut hull_container::plan::LaunchPlan)| {
        guest.start_with(|plan| change(plan)).err().map(|failure| failure.message)
    };
    if lacks("/sys/module/apparmor") {
        let label = Label::AppArmor("docker-default".to_owned());
        let said = say(&|plan| plan.process.label = Some(label.clone())).unwrap();
        assert_eq!(said, "not supported by this kernel: AppArmor (profile docker-default)");
    }
    if lacks("/sys/fs/selinux") {
        let label = Label::SeLinux("u:r:t".to_owned());
        let said = say(&|plan| plan.process.label = Some(label.clone())).unwrap();
        assert_eq!(said, "not supported by this kernel: SELinux (label u:r:t)");
        let said = say(&|plan| plan.mount_label = Some("u:r:t".to_owned())).unwrap();
        assert_eq!(said, "not supported by this kernel: SELinux (mount label u:r:t)");
    }
    if lacks("/sys/fs/resctrl/schemata") {
        let said = say(&|plan| plan.rdt = Some(Rdt::default())).unwrap();
        assert!(said.starts_with("not supported by this kernel: Intel RDT"), "{said}");
    }
    if lacks("/sys/devices/system/node") {
        let policy = MemoryPolicy { mode: 2, nodes: vec![0] };
        let said = say(&|plan| plan.process.memory_policy = Some(policy.clone())).unwrap();
        assert_eq!(said, "not supported by this kernel: memory policies (NUMA)");
    }
    assert!(guest.cgroups_left().is_empty());
}

fn file_with(content: &str) -> OwnedFd {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(content.as_bytes()).unwrap();
    file.rewind().unwrap();
    file.into()
}

fn preserved() {
    let mut guest = Guest::new();
    guest.shell("cat <&3; cat <&4; ls /proc/1/fd");
    for (gate, mounts) in [(false, 0), (true, 0), (false, 150)] {
        let mut plan = guest.plan();
        plan.process.preserved = 2;
        let dir = tempfile::tempdir().unwrap();
        for at in 0..mounts {
            plan.mounts.push(hull_container::plan::Mount {
                target: format!("/m{at}"),
                source: hull_container::plan::Source::Bind {
                    path: "/tmp".into(),
                    recursive: false,
                },
                ..Default::default()
            });
        }
        let gate = gate.then(|| hull_container::launch::Gate::bind(&dir.path().join("g")).unwrap());
        let given = |stdio| Given {
            preserved: vec![file_with("one\n"), file_with("two\n")],
            gate,
            ..Given::from(stdio)
        };
        let out = guest.start_plan(&plan, given).unwrap().wait().output;
        // The last is the listing's own.
        assert_eq!(out, "one\ntwo\n0\n1\n2\n3\n4\n5\n");
    }
    let mut plan = guest.plan();
    plan.process.preserved = 1;
    let failure = guest.start_plan(&plan, Given::from).err().unwrap();
    assert!(failure.message.contains("disagree"), "{failure}");
}

fn hook(dir: &std::path::Path, name: &str, script: &str) -> Hook {
    let script = format!("{{ echo {name}; cat; echo; {script}; }} >> {}/log", dir.display());
    Hook {
        path: "/bin/sh".into(),
        args: ["sh", "-c", &script].map(str::to_owned).into(),
        env: vec!["PATH=/usr/bin:/bin".to_owned()],
        timeout: Some(std::time::Duration::from_secs(20)),
    }
}

fn hooks() {
    use std::os::unix::fs::PermissionsExt;
    // Not the temporary directory itself: the guest's root is not the host's.
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(dir.path().join("log"), "").unwrap();
    fs::set_permissions(dir.path().join("log"), fs::Permissions::from_mode(0o666)).unwrap();
    let mut guest = Guest::new();
    guest.shell("cat /tmp/started");
    let mut plan = guest.plan();
    plan.state = State { version: "1.2.0".into(), bundle: "/b".into(), annotations: Vec::new() };
    plan.hooks.before_entering = true;
    let mounts = "grep -c ' - proc ' /proc/self/mountinfo";
    plan.hooks.create_container = vec![hook(dir.path(), "create", mounts)];
    plan.hooks.start_container = vec![Hook {
        path: "/bin/sh".into(),
        args: ["sh", "-c", "cat > /tmp/started; echo >> /tmp/started"].map(str::to_owned).into(),
        env: vec!["PATH=/bin".to_owned()],
        timeout: None,
    }];
    let mut asked = 0;
    let log = dir.path().join("log");
    let mut before = |pid: rustix::process::Pid| {
        asked += 1;
        let mounts = fs::read_to_string(format!("/proc/{}/mountinfo", pid.as_raw_nonzero()));
        assert!(mounts.unwrap().lines().any(|line| line.contains(" /proc/sys ro,")));
        assert_eq!(fs::read_to_string(&log).unwrap(), "");
        Ok(())
    };
    let before: BeforeEntering<'_> = &mut before;
    let live = guest
        .start_plan(&plan, |stdio| Given { before_entering: Some(before), ..Given::from(stdio) })
        .unwrap();
    let pid = live.running.pid.as_raw_nonzero();
    let id = guest.id.to_string();
    let state = |status: &str| {
        format!(
            "{{\"ociVersion\":\"1.2.0\",\"id\":\"{id}\",\"status\":\"{status}\",\"pid\":{pid},\"bundle\":\"/b\"}}\n"
        )
    };
    assert_eq!(live.wait().output, state("created"));
    assert_eq!(asked, 1);
    let log = fs::read_to_string(dir.path().join("log")).unwrap();
    assert!(log.starts_with(&format!("create\n{}", state("creating"))), "{log}");
    // The guest's own /proc is mounted by then, and the host's still in sight.
    assert!(log.trim_end().ends_with(['2', '3', '4', '5', '6', '7', '8', '9']), "{log}");
    hooks_that_fail(&guest, &plan, dir.path());
}

fn hooks_that_fail(guest: &Guest, plan: &hull_container::plan::LaunchPlan, dir: &std::path::Path) {
    let mut early = plan.clone();
    early.hooks.create_container = vec![hook(dir, "create", "echo no >&2; exit 3")];
    let failure = guest.start_plan(&early, Given::from).err().unwrap();
    assert_eq!(failure.message, "run hook /bin/sh: exit status: 3: no");
    let mut late = plan.clone();
    late.hooks.start_container[0].args[2] = "exit 4".to_owned();
    let failure = guest.start_plan(&late, Given::from).err().unwrap();
    assert_eq!(failure.message, "run hook /bin/sh: exit status: 4: ");
    let mut refuse = |_pid| Err(hull_container::Failure::other("refused by the caller"));
    let refuse: BeforeEntering<'_> = &mut refuse;
    let failure = guest
        .start_plan(plan, |stdio| Given { before_entering: Some(refuse), ..Given::from(stdio) });
    let failure = failure.err().unwrap();
    assert_eq!(failure.message, "refused by the caller");
    assert!(guest.cgroups_left().is_empty());
}

/// `mkdir` and `mkdirat` wait for the agent, all else is allowed.
const NOTIFYING: &str = r#"{
    "defaultAction": "SCMP_ACT_ALLOW",
    "listenerPath": "/to/be/replaced",
    "listenerMetadata": "meta \"data\"",
    "syscalls": [{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY" }]
}"#;

/// Takes the descriptor that comes to `listener` and the words with it.
fn take(listener: &UnixListener) -> (OwnedFd, String) {
    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
    let (stream, _) = listener.accept().unwrap();
    let mut bytes = vec![0; 8_192];
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut slices = [std::io::IoSliceMut::new(&mut bytes)];
    let flags = RecvFlags::CMSG_CLOEXEC;
    let length = recvmsg(&stream, &mut slices, &mut control, flags).unwrap().bytes;
    let mut descriptors: Vec<OwnedFd> = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    assert_eq!(descriptors.len(), 1);
    let text = String::from_utf8(bytes[..length].to_vec()).unwrap();
    (descriptors.pop().unwrap(), text)
}

/// Nobody answers, so a call that waits is refused once the agent's descriptor is closed: `ENOSYS`.
fn refused_without_agent(live: &Live<'_>, notify: OwnedFd) {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut watched = [PollFd::from_borrowed_fd(notify.as_fd(), PollFlags::IN)];
    let patience = Timespec { tv_sec: 30, tv_nsec: 0 };
    assert_eq!(poll(&mut watched, Some(&patience)).unwrap(), 1, "no call came");
    drop(notify);
    let mut out = String::new();
    (&live.output).read_to_string(&mut out).unwrap();
    assert!(out.contains("Function not implemented"), "{out}");
}

fn filter(path: PathBuf) -> hull_container::plan::Seccomp {
    let host = hull_container::seccomp::Host { kernel: (6, 18) };
    let mut filter = hull_container::seccomp::compile(NOTIFYING, 0, &host).unwrap();
    let listener = filter.listener.as_mut().unwrap();
    assert_eq!(listener.metadata, "meta \"data\"");
    listener.path = path;
    filter
}

fn agent() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent.sock");
    let listener = UnixListener::bind(&path).unwrap();
    for privileges in [true, false] {
        let mut guest = Guest::new();
        guest.shell("mkdir /made");
        let live = guest
            .start_with(|plan| {
                plan.process.no_new_privileges = privileges;
                plan.process.seccomp = filter(path.clone());
                plan.state.version = "1.2.0".to_owned();
            })
            .unwrap();
        let (notify, text) = take(&listener);
        let pid = live.running.pid.as_raw_nonzero();
        assert!(
            text.starts_with(&format!(
                "{{\"ociVersion\":\"1.2.0\",\"fds\":[\"seccompFd\"],\"pid\":{pid},\
                 \"metadata\":\"meta \\\"data\\\"\",\"state\":{{"
            )),
            "{text}"
        );
        refused_without_agent(&live, notify);
    }
    let mut guest = Guest::new();
    guest.command(&["true"]);
    let missing = Listener { path: dir.path().join("none"), metadata: String::new() };
    let failure = guest.start_with(|plan| {
        plan.process.seccomp = filter(path.clone());
        plan.process.seccomp.listener = Some(missing);
    });
    let failure = failure.err().unwrap();
    assert!(failure.message.starts_with("send the seccomp descriptor to"), "{failure}");
    assert!(guest.cgroups_left().is_empty());
}

fn agent_of_exec() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let mut guest = Guest::new();
    guest.shell("sleep 30");
    let live = guest.start().unwrap();
    let wanted = ExecSpec { args: vec!["true".to_owned()], ..ExecSpec::default() };
    let out = live.exec_with(&wanted, |plan| plan.process.seccomp = filter(path.clone())).unwrap();
    assert_eq!(out.status, 0);
    let (_notify, text) = take(&listener);
    assert!(text.contains("\"metadata\":\"meta"), "{text}");
    drop(File::from(_notify));
}
