//! What a process is and has, the first one and those of exec.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::Test;
use crate::bundle::{Bundle, eventually};

pub(crate) const TESTS: &[Test] = &[
    ("a_process_is_as_configured", configured),
    ("exec_adds_processes_like_the_first", exec),
    ("exec_takes_a_process_from_a_file", exec_file),
    ("exec_in_the_background_writes_its_number", exec_detached),
    ("descriptors_are_passed_on_when_asked", descriptors),
    ("namespaces_are_joined_by_path", joined),
    ("ids_are_mapped_as_configured", user_namespace),
    ("an_old_abi_and_shifted_clocks", personality_and_time),
    ("system_calls_are_filtered", seccomp),
];

fn configured() {
    let mut bundle = Bundle::new();
    bundle.config["hostname"] = json!("box");
    let process = bundle.process();
    process["user"] = json!({"uid": 33, "gid": 7, "additionalGids": [8, 9], "umask": 63});
    process["cwd"] = json!("/made/here");
    process["env"] = json!(["PATH=/bin", "A=b c"]);
    process["rlimits"] = json!([{"type": "RLIMIT_CORE", "soft": 1, "hard": 2}]);
    process["oomScoreAdj"] = json!(500);
    process["ioPriority"] = json!({"class": "IOPRIO_CLASS_IDLE", "priority": 3});
    process["scheduler"] = json!({"policy": "SCHED_BATCH", "nice": 5});
    let script = "id; pwd; umask; echo \"$A\"; hostname; cat /proc/self/oom_score_adj; \
                  grep 'core file' /proc/self/limits | tr -s ' '; \
                  grep -E 'CapEff|CapBnd|NoNewPrivs' /proc/self/status | tr '\\t' ' '; \
                  grep -E '^policy|^prio' /proc/self/sched | tr -d ' '";
    let out = bundle.shell(script).run().ok();
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[0], "uid=33(www) gid=7 groups=8,9", "{out}");
    assert_eq!(lines[1..6], ["/made/here", "0077", "b c", "box", "500"], "{out}");
    assert!(lines[6].starts_with("Max core file size 1 2"), "{out}");
    assert_eq!(
        lines[7..10],
        ["CapEff: 0000000000000000", "CapBnd: 0000000020000420", "NoNewPrivs: 1"]
    );
    assert!(out.contains("policy:3") && out.contains("prio:125"), "{out}");
}

fn exec() {
    let mut bundle = Bundle::new();
    bundle.shell("sleep 600");
    bundle.start();
    let done = bundle.call(&["exec", "c", "sh", "-c", "id -u; readlink /proc/self/ns/pid; exit 9"]);
    assert_eq!(done.status, 9);
    let pid = bundle.state()["pid"].to_string();
    let namespace = fs::read_link(format!("/proc/{pid}/ns/pid")).unwrap();
    assert_eq!(done.stdout, format!("0\n{}\n", namespace.display()));
    let words = ["exec", "--user", "33:7", "-g", "8", "--cwd", "/tmp", "-e", "X=1", "c"];
    let script = "id; pwd; echo $X; ls /proc/self/fd | wc -l";
    let out = bundle.call(&[&words[..], &["sh", "-c", script]].concat()).ok();
    assert_eq!(out, "uid=33(www) gid=7 groups=8\n/tmp\n1\n4\n");
    let caps = ["exec", "--cap", "CAP_SYS_TIME", "c", "grep", "CapEff", "/proc/self/status"];
    assert!(bundle.call(&caps).ok().ends_with("0000000022000420\n"));
    // It is in the container's cgroup and nowhere else.
    let of = |words: &[&str]| bundle.call(&[&["exec", "c"], words].concat()).ok();
    let own = of(&["cat", "/proc/self/cgroup"]);
    assert_eq!(own, of(&["cat", "/proc/1/cgroup"]));
    bundle.call(&["exec", "c", "nope"]).fails(255, "executable file not found in $PATH");
    bundle.call(&["exec", "--cwd", "/nope", "c", "true"]).fails(255, "chdir to cwd");
    bundle.call(&["exec", "--user", "www", "c", "true"]).fails(255, "is no id");
    bundle.call(&["exec", "c"]).fails(255, "no program given");
    // Sub-cgroups: those that exist, below the container's.
    bundle.call(&["exec", "--cgroup", "../x", "c", "true"]).fails(255, "not below");
    bundle.call(&["exec", "--cgroup", "pids:none", "c", "true"]).fails(255, "open");
}

fn exec_file() {
    let mut bundle = Bundle::new();
    bundle.shell("sleep 600");
    bundle.start();
    let process = json!({"cwd": "/", "args": ["sh", "-c", "id -u; echo $Y"], "env": ["PATH=/bin", "Y=2"],
        "user": {"uid": 5, "gid": 5}, "unknown": 1});
    fs::write(bundle.path("process.json"), process.to_string()).unwrap();
    let file = bundle.path("process.json");
    let file = file.to_str().unwrap();
    assert_eq!(bundle.call(&["exec", "--process", file, "c"]).ok(), "5\n2\n");
    fs::write(file, r#"{"cwd": 1}"#).unwrap();
    bundle.call(&["exec", "-p", file, "c"]).fails(255, "cwd: invalid type: integer");
}

fn exec_detached() {
    let mut bundle = Bundle::new();
    bundle.shell("sleep 600");
    bundle.start();
    let file = bundle.path("exec.pid");
    let words = ["exec", "--detach", "--pid-file", file.to_str().unwrap(), "c", "sleep", "601"];
    let mut command = bundle.command(&words);
    let null = std::process::Stdio::null;
    assert!(command.stdout(null()).stderr(null()).status().unwrap().success());
    let pid = fs::read_to_string(&file).unwrap();
    let words = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
    assert_eq!(words, "sleep\x00601\x00");
    let pids = bundle.call(&["ps", "--format", "json", "c"]).ok();
    assert!(pids.contains(&pid), "{pids}");
    assert!(bundle.call(&["ps", "c"]).ok().contains("sleep 601"));
    bundle.call(&["kill", "--all", "c", "KILL"]).ok();
    eventually("both ends", || !Path::new(&format!("/proc/{pid}")).exists());
}

fn descriptors() {
    let mut bundle = Bundle::new();
    bundle.shell("cat <&3; ls /proc/self/fd | tr '\\n' ' '; echo $LISTEN_FDS $LISTEN_PID");
    bundle.write();
    let file = bundle.path("passed");
    fs::write(&file, "through\n").unwrap();
    let exe = std::env::current_exe().unwrap();
    let (exe, root) = (exe.display(), bundle.root());
    let call = |before: &str, flags: &str| {
        let script = format!("{before} exec {exe} runtime --root {} run {flags} c", root.display());
        let mut shell = hull_sys::spawn::command("/bin/sh");
        shell.args(["-c", &script]).current_dir(bundle.dir.path());
        crate::bundle::Outcome::of(&shell.output().unwrap())
    };
    let open = format!("exec 3<{};", file.display());
    assert_eq!(call(&open, "--preserve-fds 1").ok(), "through\n0 1 2 3 4 \n");
    let listen = format!("{open} export LISTEN_FDS=1 LISTEN_PID=$$;");
    assert_eq!(call(&listen, "").ok(), "through\n0 1 2 3 4 1 1\n");
    // Without being asked nothing goes inside, and what is not there is not made up.
    let closed = call(&open, "");
    assert!(!closed.stdout.contains("through"), "{closed:?}");
    call(&open, "--preserve-fds 2").fails(1, "descriptor 4 was not passed");
    call("", "--preserve-fds 5000").fails(1, "more than 1024");
    bundle.assert_nothing_left();
}

fn joined() {
    let mut first = Bundle::new();
    first.shell("sleep 600");
    first.start();
    let pid = first.state()["pid"].to_string();
    let mut second = Bundle::new();
    for namespace in second.linux()["namespaces"].as_array_mut().unwrap() {
        let file = match namespace["type"].as_str().unwrap() {
            "network" => "net",
            "ipc" => "ipc",
            "uts" => "uts",
            "pid" => "pid",
            _ => continue,
        };
        namespace["path"] = json!(format!("/proc/{pid}/ns/{file}"));
    }
    second.config["hostname"] = json!("");
    let out =
        second.shell("for n in net ipc uts pid; do readlink /proc/self/ns/$n; done").run().ok();
    let theirs = ["net", "ipc", "uts", "pid"]
        .map(|name| fs::read_link(format!("/proc/{pid}/ns/{name}")).unwrap());
    let theirs: Vec<_> = theirs.iter().map(|link| format!("{}\n", link.display())).collect();
    assert_eq!(out, theirs.concat());
}

fn user_namespace() {
    let mut bundle = Bundle::new();
    let map = json!([{"containerID": 0, "hostID": 100_000, "size": 1_000}]);
    bundle.linux()["uidMappings"] = map.clone();
    bundle.linux()["gidMappings"] = map;
    let namespaces = bundle.linux()["namespaces"].as_array_mut().unwrap();
    namespaces.push(json!({"type": "user"}));
    // A bundle's files have their owners on disk: those of the host's root are nobody's inside.
    let rootfs = bundle.path("rootfs");
    std::os::unix::fs::chown(&rootfs, Some(100_000), Some(100_000)).unwrap();
    fs::set_permissions(bundle.dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    let out = bundle
        .shell("id -u; tr -s ' ' </proc/self/uid_map; stat -c %u / /bin; touch /made")
        .run()
        .ok();
    assert_eq!(out, "0\n 0 100000 1000\n0\n65534\n");
    let made = fs::metadata(rootfs.join("made")).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&made), 100_000);
}

fn personality_and_time() {
    let mut bundle = Bundle::new();
    bundle.linux()["personality"] = json!({"domain": "LINUX32"});
    bundle.linux()["timeOffsets"] = json!({"boottime": {"secs": 1_000_000_000_i64}});
    bundle.linux()["namespaces"].as_array_mut().unwrap().push(json!({"type": "time"}));
    let out = bundle.shell("cat /proc/self/personality; cat /proc/uptime").run().ok();
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[0], "00000008");
    assert!(lines[1].starts_with("10000"), "{out}");
}

fn seccomp() {
    let mut bundle = Bundle::new();
    bundle.linux()["seccomp"] = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}],
    });
    let done = bundle.shell("grep Seccomp: /proc/self/status; mkdir /tmp/x").run();
    assert!(done.stdout.contains('2'), "{done:?}");
    assert!(done.stderr.contains("not implemented"), "{done:?}");
    bundle.linux()["seccomp"]["syscalls"][0]["action"] = json!("SCMP_ACT_NONSENSE");
    bundle.run().fails(1, "linux.seccomp: seccomp profile: unknown");
}
