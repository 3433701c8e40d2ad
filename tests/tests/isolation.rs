//! What a guest can see and do, looked at from inside.

use hull_tests::daemon;

#[test]
fn root_inside_is_nobody_outside() {
    let d = daemon!();
    let id = d.run_detached("--name one busybox sleep 1000");
    let other = d.run_detached("--name two busybox sleep 1000");
    let map = |name: &str| d.docker(&format!("exec {name} cat /proc/self/uid_map")).ok();
    let base = |name: &str| {
        let text = map(name);
        let numbers: Vec<u64> = text.split_whitespace().map(|word| word.parse().unwrap()).collect();
        assert_eq!((numbers.len(), numbers[0], numbers[2]), (3, 0, 65_536), "{text}");
        numbers[1]
    };
    assert!(base("one") >= 65_536 && base("two") >= 65_536);
    assert!(base("one").abs_diff(base("two")) >= 65_536, "each has a range of its own");
    for name in [&id, &other] {
        let status = std::fs::read_to_string(format!("/proc/{}/status", d.pid_of(name))).unwrap();
        let uid = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap().trim();
        assert!(!uid.starts_with("0\t"), "{uid}");
    }
    // Files in the image keep their owners all the same.
    assert_eq!(d.docker("exec one stat -c %u:%g /var/www /etc").ok(), "33:33\n0:0");
}

#[test]
fn what_needs_the_hosts_users_says_so() {
    let d = daemon!();
    for (flags, name) in [
        ("--privileged", "pp"),
        ("--pid host", "qq"),
        ("--network host", "nn"),
        ("--userns host", "uu"),
    ] {
        d.docker(&format!("run -d --name {name} {flags} busybox sleep 1000")).ok();
        let map = d.docker(&format!("exec {name} cat /proc/self/uid_map")).ok();
        assert_eq!(map.split_whitespace().collect::<Vec<_>>(), ["0", "0", "4294967295"], "{flags}");
        let seen = &d.inspect(name)["Hull"];
        assert_eq!(seen["UserNamespace"], "host", "{flags}");
        assert!(!seen["Why"].as_str().unwrap().is_empty(), "{flags}: {seen}");
    }
}

#[test]
fn every_namespace_is_the_guests_own() {
    let d = daemon!();
    let id = d.run_detached("busybox sleep 1000");
    let pid = d.pid_of(&id);
    for name in ["pid", "mnt", "uts", "ipc", "net", "cgroup", "user"] {
        let of = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/{name}")).unwrap();
        assert_ne!(of(&pid.to_string()), of("self"), "{name}");
    }
    assert_eq!(
        d.docker(&format!("exec {id} sh -c 'echo /proc/[0-9]*'")).ok().split(' ').count(),
        2
    );
    let cgroups = d.docker(&format!("exec {id} cat /proc/self/cgroup")).ok();
    assert!(cgroups.lines().all(|line| line.ends_with(":/")), "{cgroups}");
}

#[test]
fn rights_are_dockers_default_and_can_be_dropped_or_added() {
    let d = daemon!();
    let status = |flags: &str| {
        let run = format!("run --rm --network none {flags} busybox");
        d.docker(&format!(
            "{run} grep -E 'CapEff|CapPrm|CapBnd|CapAmb|NoNewPrivs|Seccomp:' /proc/self/status"
        ))
        .ok()
    };
    let lines = |prm: &str, eff: &str, bnd: &str, nnp: u8, seccomp: u8| {
        format!(
            "CapPrm:\t{prm}\nCapEff:\t{eff}\nCapBnd:\t{bnd}\nCapAmb:\t0000000000000000\nNoNewPrivs:\t{nnp}\nSeccomp:\t{seccomp}"
        )
    };
    let (default, none) = ("00000000a80425fb", "0000000000000000");
    assert_eq!(status(""), lines(default, default, default, 0, 2));
    assert_eq!(status("--user alice"), lines(none, none, default, 0, 2));
    assert_eq!(status("--cap-drop ALL"), lines(none, none, none, 0, 2));
    let bind = "0000000000000400";
    assert_eq!(status("--cap-drop ALL --cap-add NET_BIND_SERVICE"), lines(bind, bind, bind, 0, 2));
    assert_eq!(
        status("--security-opt no-new-privileges --security-opt seccomp=unconfined"),
        lines(default, default, default, 1, 0)
    );
}

#[test]
fn seccomp_refuses_what_dockers_profile_refuses() {
    let d = daemon!();
    let run = |flags: &str, command: &str| {
        d.docker(&format!("run --rm --network none {flags} busybox {command}")).run()
    };
    assert_ne!(run("", "unshare -U true").status, 0);
    assert_ne!(run("", "mount -t tmpfs x /tmp").status, 0);
    assert_ne!(run("", "hostname new").status, 0);
    assert_ne!(run("", "dmesg").status, 0);
    assert_eq!(run("--security-opt seccomp=unconfined", "unshare -U true").status, 0);
    let profile = d.files().join("profile.json");
    let text = r#"{"defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}]}"#;
    std::fs::write(&profile, text).unwrap();
    let own = run(&format!("--security-opt seccomp={}", profile.display()), "mkdir /x");
    assert!(own.status == 1 && own.stderr.contains("not supported"), "{own:?}");
}

#[test]
fn dangerous_files_of_proc_and_sys_are_hidden_or_read_only() {
    let d = daemon!();
    let run = |script: &str| d.docker("run --rm --network none busybox sh -c").arg(script).ok();
    let empty = "for f in kcore keys timer_list sched_debug; do [ -e /proc/$f ] && head -c1 /proc/$f 2>/dev/null | wc -c; done; true";
    assert!(run(empty).lines().all(|line| line == "0"), "{}", run(empty));
    assert_eq!(
        run("ls /sys/firmware /proc/acpi /proc/scsi 2>/dev/null | grep -v : | tr -d '\\n'"),
        ""
    );
    let writes = "for f in /proc/sys/kernel/core_pattern /proc/sysrq-trigger /proc/irq/default_smp_affinity \
                  /sys/kernel/mm/ksm/run /proc/bus/x; do echo 1 2>/dev/null > $f && echo wrote $f; done; true";
    assert_eq!(run(writes), "");
    let privileged = d.docker("run --rm --network none --privileged busybox sh -c");
    assert_eq!(privileged.arg("mount -t tmpfs x /tmp && echo can").ok(), "can");
}

#[test]
fn nothing_of_the_hosts_descriptors_or_environment_is_inside() {
    let d = daemon!();
    let run = |tool: hull_tests::Tool| tool.env("HULL_TESTS_SECRET", "x").ok();
    let descriptors =
        "ls /proc/self/fd | tr '\\n' ' '; cat /proc/1/environ | tr '\\0' '\\n' | sort";
    let id = d.run_detached("busybox sleep 1000");
    // 3 is the directory that ls reads.
    let seen = run(d.docker("run --rm --network none --hostname h busybox sh -c").arg(descriptors));
    let mut lines = seen.lines();
    assert!(lines.next().unwrap().starts_with("0 1 2 3 HOME"), "{seen}");
    assert!(
        !seen.contains("SECRET") && !seen.contains("DOCKER") && !seen.contains("HULL"),
        "{seen}"
    );
    let seen = run(d.docker(&format!("exec {id} sh -c")).arg("ls /proc/self/fd | tr '\\n' ' '"));
    assert_eq!(seen, "0 1 2 3");
    let first = d.docker(&format!("exec {id} ls /proc/1/fd")).run();
    assert_eq!(first.stdout.split_whitespace().collect::<Vec<_>>(), ["0", "1", "2"], "{first:?}");
}

#[test]
fn devices_are_the_few_that_are_harmless() {
    let d = daemon!();
    let seen = d.docker("run --rm --network none busybox ls /dev").ok();
    let mut seen: Vec<_> = seen.split_whitespace().collect();
    seen.sort_unstable();
    // A link to the kernel's memory, which is masked; only where the kernel shows it at all.
    seen.retain(|name| *name != "core");
    assert_eq!(
        seen,
        [
            "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin",
            "stdout", "tty", "urandom", "zero"
        ]
    );
    let refused = d.docker("run --rm --network none busybox mknod /tmp/sda b 8 0").run();
    assert_ne!(refused.status, 0, "{refused:?}");
    let with =
        d.docker("run --rm --network none --device /dev/null:/dev/mine:r busybox cat /dev/mine");
    assert_eq!(with.ok(), "");
}

#[test]
fn the_root_cannot_be_left() {
    let d = daemon!();
    let script = "mkdir /x; cd /; chroot /x true 2>/dev/null; ls -di / /../../..; \
                  ls /proc/1/root/ >/dev/null && cat /proc/1/mountinfo | wc -l";
    let seen = d.docker("run --rm --network none busybox sh -c").arg(script).ok();
    let inodes: Vec<_> = seen.lines().take(2).map(|line| line.split_whitespace().next()).collect();
    assert_eq!(inodes[0], inodes[1], "{seen}");
    let mounts = d.docker("run --rm --network none busybox cat /proc/self/mountinfo").ok();
    assert!(
        !mounts.contains(&d.files().display().to_string()) || mounts.contains("/etc/hosts"),
        "{mounts}"
    );
    assert!(!mounts.contains(" /old"), "{mounts}");
}
