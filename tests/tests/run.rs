//! `docker run`: what the program inside gets, and what its caller sees.

use hull_tests::{Settings, daemon};

#[test]
fn output_and_exit_status_are_those_of_the_program() {
    let d = daemon!();
    let done = d.docker("run --rm --network none busybox sh -c 'echo out; echo err >&2; exit 7'");
    let done = done.run();
    assert_eq!((done.status, &*done.stdout, &*done.stderr), (7, "out\n", "err\n"));
    assert_eq!(d.docker("ps -aq").ok(), "");
}

#[test]
fn an_ending_by_signal_is_128_and_its_number() {
    let d = daemon!();
    d.docker("run --rm --network none --init busybox sh -c 'kill -TERM $$'").fails(143);
    let id = d.run_detached("busybox sleep 1000");
    d.docker("kill").arg(&id).ok();
    assert_eq!(d.docker("wait").arg(&id).ok(), "137");
}

#[test]
fn input_reaches_the_program_and_its_end_too() {
    let d = daemon!();
    let text = "line\n".repeat(20_000);
    let counted = d.docker("run --rm -i --network none busybox wc -c").input(text.clone()).ok();
    assert_eq!(counted, text.len().to_string());
    // Without -i there is no input at all.
    assert_eq!(d.docker("run --rm --network none busybox wc -c").input("x").ok(), "0");
}

#[test]
fn much_output_arrives_whole_and_in_order() {
    let d = daemon!();
    let seen = d.docker("run --rm --network none busybox seq 1 200000").ok();
    let want: Vec<_> = (1..=200_000).map(|number| number.to_string()).collect();
    assert!(seen.lines().eq(want), "{} bytes", seen.len());
}

#[test]
fn detached_prints_the_id_and_goes_on() {
    let d = daemon!();
    let id = d.run_detached("--name web busybox sleep 1000");
    assert_eq!(id.len(), 64);
    assert_eq!(d.inspect("web")["Id"], *id);
    assert_eq!(d.inspect(&id[..12])["State"]["Running"], true);
    assert_eq!(
        d.docker("ps --format '{{.Names}} {{.Image}} {{.Command}}' --no-trunc").ok(),
        "web busybox \"sleep 1000\""
    );
}

#[test]
fn the_environment_is_what_image_and_user_say() {
    let d = daemon!();
    let file = d.files().join("env");
    std::fs::write(&file, "# comment\nFROM_FILE=a b\nMINE\n").unwrap();
    let run = d.docker("run --rm --network none --hostname h -e A=1 -e EMPTY= -e MINE2 --env-file");
    let seen = run.arg(&file).env("MINE", "passed").env("MINE2", "too").env("OTHER", "no");
    let mut seen: Vec<_> = seen.arg("busybox").arg("env").ok().lines().map(str::to_owned).collect();
    seen.sort();
    assert_eq!(
        seen,
        [
            "A=1",
            "EMPTY=",
            "FROM_FILE=a b",
            "HOME=/root",
            "HOSTNAME=h",
            "MINE2=too",
            "MINE=passed",
            "PATH=/usr/sbin:/usr/bin:/sbin:/bin"
        ]
    );
}

#[test]
fn users_are_looked_up_in_the_image() {
    let d = daemon!();
    for (user, want) in [
        ("root", "uid=0(root) gid=0(root) groups=0(root)"),
        ("alice", "uid=1000(alice) gid=1000(alice) groups=50(staff),1000(alice)"),
        ("1000", "uid=1000(alice) gid=1000(alice) groups=50(staff),1000(alice)"),
        ("alice:www-data", "uid=1000(alice) gid=33(www-data) groups=33(www-data)"),
        ("33:50", "uid=33(www-data) gid=50(staff) groups=50(staff)"),
        ("4242", "uid=4242 gid=0(root) groups=0(root)"),
        ("4242:4343", "uid=4242 gid=4343 groups=4343"),
    ] {
        let seen = d.docker("run --rm --network none --user").arg(user).arg("busybox").arg("id");
        assert_eq!(seen.ok(), want, "{user}");
    }
    let why = d.docker("run --rm --network none --user nobody-here busybox true").fails(125);
    assert!(why.contains("nobody-here"), "{why}");
    let groups = d.docker("run --rm --network none --group-add staff --group-add 77 busybox id -G");
    assert_eq!(groups.ok(), "0 50 77");
    let home = d.docker("run --rm --network none --user alice busybox sh -c 'echo $HOME'").ok();
    assert_eq!(home, "/home/alice");
}

#[test]
fn working_directories_are_made_if_missing() {
    let d = daemon!();
    assert_eq!(d.docker("run --rm --network none busybox pwd").ok(), "/");
    assert_eq!(d.docker("run --rm --network none -w /var/www busybox pwd").ok(), "/var/www");
    assert_eq!(d.docker("run --rm --network none -w /new/one busybox pwd").ok(), "/new/one");
    let why = d.docker("run --rm --network none -w relative busybox pwd").fails(125);
    assert!(why.contains("relative"), "{why}");
}

#[test]
fn entrypoint_and_command_join_as_docker_joins_them() {
    let d = daemon!();
    let entry = d.docker("run --rm --network none --entrypoint echo busybox a b").ok();
    assert_eq!(entry, "a b");
    // An entrypoint given drops the image's command.
    assert_eq!(d.docker("run --rm --network none --entrypoint echo busybox").ok(), "");
}

#[test]
fn names_of_the_container_are_inside_and_outside() {
    let d = daemon!();
    let names = "--hostname inner --domainname example.org --add-host db:10.1.2.3 \
                 --label a=1 --label b=";
    let id = d.run_detached(&format!("{names} busybox sleep 1000"));
    let run = |command: &str| d.docker(&format!("exec {id} {command}")).ok();
    assert_eq!(run("hostname"), "inner");
    assert_eq!(run("cat /proc/sys/kernel/domainname"), "example.org");
    assert!(run("cat /etc/hosts").contains("10.1.2.3\tdb"), "{}", run("cat /etc/hosts"));
    assert_eq!(d.inspect(&id)["Config"]["Labels"], serde_json::json!({"a": "1", "b": ""}));
    let other = d.run_detached("busybox sleep 1000");
    assert_eq!(d.docker(&format!("exec {other} hostname")).ok(), other[..12]);
}

#[test]
fn limits_arrive_in_the_cgroup() {
    let d = daemon!();
    let limits = "--memory 64m --memory-swap 64m --cpus 0.5 --pids-limit 20 --cpu-shares 512";
    let id = d.run_detached(&format!("{limits} busybox sleep 1000"));
    let inside = |v1: &str, v2: &str| {
        let command = format!("cat /sys/fs/cgroup/{v1} 2>/dev/null || cat /sys/fs/cgroup/{v2}");
        d.docker("exec").arg(&id).arg("sh").arg("-c").arg(command).ok()
    };
    assert_eq!(inside("memory/memory.limit_in_bytes", "memory.max"), "67108864");
    assert_eq!(inside("pids/pids.max", "pids.max"), "20");
    let quota = inside("cpu/cpu.cfs_quota_us", "cpu.max");
    assert!(quota == "50000" || quota == "50000 100000", "{quota}");
    let limits = &d.inspect(&id)["HostConfig"];
    assert_eq!(limits["Memory"], 67_108_864);
    assert_eq!(limits["NanoCpus"], 500_000_000);
    assert_eq!(limits["PidsLimit"], 20);
    // More processes than allowed: refused inside, the host does not notice.
    let bomb = "for i in $(seq 40); do sleep 5 & done; echo started";
    let bomb = d.docker("exec").arg(&id).arg("sh").arg("-c").arg(bomb).run();
    assert!(bomb.stderr.contains("fork"), "{bomb:?}");
}

#[test]
fn a_guest_that_eats_its_memory_is_killed_alone() {
    let d = daemon!();
    let eater = "--name eater --memory 16m --memory-swap 16m busybox tail /dev/zero";
    d.docker(&format!("run --network none {eater}")).fails(137);
    assert_eq!(d.inspect("eater")["State"]["OOMKilled"], true);
    assert_eq!(d.get("/_ping").status, 200);
}

#[test]
fn ulimits_and_sysctls_are_set() {
    let d = daemon!();
    let run =
        d.docker("run --rm --network none --ulimit nofile=99:100 --sysctl kernel.msgmax=9000");
    let seen = run.arg("busybox").arg("sh").arg("-c");
    let seen = seen.arg("ulimit -n; ulimit -Hn; cat /proc/sys/kernel/msgmax").ok();
    assert_eq!(seen, "99\n100\n9000");
}

#[test]
fn an_init_reaps_orphans_and_passes_signals_on() {
    let d = daemon!();
    let id =
        d.run_detached("--init busybox sh -c 'trap \"exit 5\" TERM; while :; do sleep 0.1; done'");
    let first = d.docker(&format!("exec {id} cat /proc/1/cmdline")).ok();
    assert!(first.contains("init"), "{first:?}");
    d.docker(&format!("exec {id} sh -c '(sleep 0.1 &) '")).ok();
    std::thread::sleep(std::time::Duration::from_millis(400));
    let zombies =
        d.docker(&format!("exec {id} sh -c 'grep -l \"^State:.Z\" /proc/[0-9]*/status || true'"));
    assert_eq!(zombies.ok(), "");
    d.docker(&format!("stop -t 10 {id}")).ok();
    assert_eq!(d.inspect(&id)["State"]["ExitCode"], 5);
}

#[test]
fn exit_statuses_of_failed_starts_are_dockers() {
    let d = daemon!();
    let missing = d.docker("run --network none --name xx busybox /no/such/program").fails(127);
    assert!(missing.contains("/no/such/program"), "{missing}");
    let state = &d.inspect("xx")["State"];
    assert_eq!((&state["Status"], &state["ExitCode"]), (&"created".into(), &127.into()));
    assert!(state["Error"].as_str().unwrap().contains("/no/such/program"), "{state}");
    for time in ["StartedAt", "FinishedAt"] {
        assert_eq!(state[time], "0001-01-01T00:00:00Z");
    }
    let died = "events --since 1 --until 0s --filter event=die --filter container=xx";
    assert_eq!(d.docker(died).ok(), "", "what never lived does not die");
    assert!(d.docker("start xx").fails(1).contains("/no/such/program"));
    assert_eq!(d.docker("ps -a --filter status=created --format {{.Names}}").ok(), "xx");
    let missing = d.docker("run --rm --network none busybox no-such-program").fails(127);
    assert!(missing.contains("no-such-program"), "{missing}");
    let refused = d.docker("run --rm --network none busybox /etc/passwd").fails(126);
    assert!(refused.contains("/etc/passwd"), "{refused}");
    let refused = d.docker("run --rm --network none busybox /etc").fails(126);
    assert!(refused.contains("/etc"), "{refused}");
    d.docker("run --no-such-flag busybox true").fails(125);
    d.docker("run --rm --network none --memory 1k busybox true").fails(125);
}

#[test]
fn a_name_is_taken_once_and_the_refusal_names_the_holder() {
    let d = daemon!();
    let id = d.run_detached("--name only busybox sleep 1000");
    let why = d.docker("run --network none --name only busybox true").fails(125);
    assert!(why.contains("/only") && why.contains(&id), "{why}");
    let answer = d.post("/containers/create?name=only", &serde_json::json!({"Image": "busybox"}));
    assert_eq!(answer.status, 409, "{}", answer.text());
}

#[test]
fn hull_itself_runs_as_docker_does() {
    let d = daemon!();
    let done =
        d.hull("run --rm --network none busybox sh -c 'echo out; echo err >&2; exit 7'").run();
    assert_eq!((done.status, &*done.stdout, &*done.stderr), (7, "out\n", "err\n"));
    let id = d.hull("run -d --network none --name web busybox sleep 1000").ok();
    assert_eq!(d.docker("ps -q --no-trunc").ok(), id);
    assert_eq!(d.hull("exec web cat").input("").ok(), "");
    assert_eq!(d.hull("exec -i web cat").input("text").ok(), "text");
    assert_eq!(d.hull("rm -f web").ok(), "web");
    d.hull("run --rm --network none busybox /none").fails(127);
    d.hull("run --rm --network none busybox /etc/passwd").fails(126);
    d.hull("run --rm --no-such-flag busybox").fails(125);
}

#[test]
fn daemon_defaults_hold_for_guests_that_do_not_say() {
    let arguments = "--init --default-ulimit nofile=77:78 --default-shm-size 8M \
                     --log-opt max-size=1m";
    let d = daemon!(Settings { arguments: arguments.to_owned(), ..Settings::default() });
    let seen = d.docker("run --rm --network none busybox sh -c 'ulimit -n; df -k /dev/shm'").ok();
    assert!(seen.starts_with("77\n") && seen.contains(" 8192 "), "{seen}");
    let id = d.run_detached("busybox sleep 1000");
    let first = d.docker(&format!("exec {id} cat /proc/1/cmdline")).ok();
    assert!(first.contains("init"), "{first}");
}
