//! User namespaces: who gets which ids, what switches them off, and what is said about it.

use hull_tests::{Daemon, Settings, Tool, daemon, need};
use serde_json::Value;

const MAP: &str = "cat /proc/self/uid_map";

/// First id inside, first id outside and number of each line of a map.
fn lines(map: &str) -> Vec<[u64; 3]> {
    let numbers = |line: &str| {
        let all: Vec<u64> = line.split_whitespace().map(|word| word.parse().unwrap()).collect();
        [all[0], all[1], all[2]]
    };
    map.lines().map(numbers).collect()
}

fn base(d: &Daemon, name: &str) -> u64 {
    lines(&d.hull(&format!("exec {name} {MAP}")).ok())[0][1]
}

/// A map as seen in a new container.
fn map(d: &Daemon, flags: &str) -> Vec<[u64; 3]> {
    lines(&d.hull(&format!("run --rm {flags} busybox {MAP}")).ok())
}

#[test]
fn guests_of_several_daemons_have_ids_of_their_own_also_after_kill_9() {
    need!("docker", "busybox", "ip", "nft");
    let leaves = || Settings { leaves_guests: true, ..Settings::default() };
    let (mut one, two) = (Daemon::start(leaves()), Daemon::start(Settings::default()));
    one.run_detached("--name aa busybox sleep 1000");
    two.run_detached("--name bb busybox sleep 1000");
    let (aa, bb) = (base(&one, "aa"), base(&two, "bb"));
    assert!(aa.abs_diff(bb) >= 65_536, "{aa} {bb}");
    one.kill();
    // Its guest lives on, and so do its ids.
    for name in ["cc", "dd", "ee"] {
        two.run_detached(&format!("--name {name} busybox sleep 1000"));
        assert!(base(&two, name).abs_diff(aa) >= 65_536);
    }
    one.again();
    assert_eq!(base(&one, "aa"), aa);
    one.run_detached("--name ff busybox sleep 1000");
    let all = [aa, bb, base(&two, "cc"), base(&two, "dd"), base(&two, "ee"), base(&one, "ff")];
    let mut different = all.to_vec();
    different.sort_unstable();
    different.dedup();
    assert_eq!(different.len(), all.len(), "{all:?}");
    // Without daemon and shim nobody uses them.
    let shim = one.shim_of("aa");
    one.kill();
    Tool::new("kill", &format!("-9 {shim}")).ok();
    one.again();
    one.until("aa", "exited");
    for name in ["aa", "ff"] {
        one.docker(&format!("rm -f {name}")).ok();
    }
}

#[test]
fn podmans_modes_are_understood() {
    let d = daemon!();
    let quiet = "--network none --userns";
    assert_eq!(map(&d, &format!("{quiet} auto"))[0][2], 65_536);
    assert_eq!(map(&d, &format!("{quiet} nomap"))[0][2], 65_536);
    let small = map(&d, &format!("{quiet} auto:size=1000"));
    assert_eq!((small.len(), small[0][2]), (1, 1_000));
    assert_eq!(map(&d, &format!("{quiet} auto:size=200000"))[0][2], 200_000);
    assert_eq!(map(&d, &format!("{quiet} host")), [[0, 0, 4_294_967_295]]);
    let kept = map(&d, &format!("{quiet} keep-id:uid=1000,gid=1000"));
    assert_eq!((kept.len(), kept[1]), (3, [1_000, 1_000, 1]));
    d.run_detached("--name other busybox sleep 1000");
    assert_eq!(map(&d, &format!("{quiet} container:other"))[0][1], base(&d, "other"));
    // An id of their own and the host's namespaces cannot be together.
    let why = d.hull("run --rm --userns auto --network host busybox true").fails(125);
    assert!(why.contains("--network=host"), "{why}");
    let why = d.hull("run --rm --userns auto --pid container:other busybox true").fails(125);
    assert!(why.contains("have another one"), "{why}");
    let why = d.hull("run --rm --userns keep-id busybox true").fails(125);
    assert!(why.contains("keep-id:uid=1000"), "{why}");
    // Privileged, but over its own things only.
    let own = "run --rm --network none --privileged --userns auto busybox sh -c";
    let own = d.hull(own).arg("mount -t tmpfs x /tmp && cat /proc/self/uid_map").ok();
    assert_eq!(lines(&own)[0][2], 65_536);
}

#[test]
fn keep_id_keeps_the_user_who_asks() {
    need!("setpriv");
    let d = daemon!();
    for (path, mode) in [(d.files().to_owned(), 0o711), (d.exec_root(), 0o711), (d.socket(), 0o666)]
    {
        std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    }
    let hull = std::fs::canonicalize(hull_tests::program::hull()).unwrap();
    let program = d.files().join("hull");
    std::fs::copy(hull, &program).unwrap();
    let dir = d.files().join("home");
    std::fs::create_dir(&dir).unwrap();
    std::os::unix::fs::chown(&dir, Some(12_345), Some(12_346)).unwrap();
    let run = format!(
        "--reuid 12345 --regid 12346 --clear-groups {} run --rm --network none --userns keep-id -v {}:/h busybox \
         sh -c 'id; cat /proc/self/uid_map; touch /h/file'",
        program.display(),
        dir.display()
    );
    let seen = Tool::new("setpriv", &run).env("HULL_HOST", d.host()).ok();
    let (id, maps) = seen.split_once('\n').unwrap();
    assert!(id.starts_with("uid=12345 gid=12346"), "{seen}");
    assert_eq!(lines(maps)[1], [12_345, 12_345, 1], "{seen}");
    assert_eq!(Tool::new("stat", "-c %u:%g").arg(dir.join("file")).ok(), "12345:12346");
}

/// The value of a fact and why it is so.
fn fact(explained: &Value, topic: &str, name: &str) -> (String, String) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = |value: &Value| value.as_array().unwrap().clone();
    let topic = list(&explained["Topics"]).into_iter().find(|it| it["Name"] == topic).unwrap();
    let fact = list(&topic["Facts"]).into_iter().find(|it| it["Name"] == name);
    let fact = fact.unwrap_or_else(|| panic!("no {name} in {topic}"));
    (text(&fact["Value"]), text(&fact["Why"]))
}

#[test]
fn explain_says_what_separates_a_container_and_why() {
    let d = daemon!();
    let explain = |name: &str| -> Value {
        serde_json::from_str(&d.hull(&format!("explain --format json {name}")).ok()).unwrap()
    };
    let flags = "--name own -v data:/data:ro --cap-add NET_ADMIN --ulimit nofile=5:6 --memory 64m";
    d.docker(&format!("create --network none {flags} busybox sleep 1000")).ok();
    let before = fact(&explain("own"), "user namespace", "users").0;
    assert!(before.contains("when it starts"), "{before}");
    d.docker("start own").ok();
    let own = explain("own");
    let users = fact(&own, "user namespace", "users").0;
    assert_eq!(
        users,
        format!("0-65535 here are {0}-{1} on the host", base(&d, "own"), base(&d, "own") + 65_535)
    );
    assert_eq!(fact(&own, "namespaces", "network"), ("its own".to_owned(), String::new()));
    let (all, why) = fact(&own, "privileges", "capabilities");
    assert!(all.starts_with("15: CHOWN") && why == "beyond the default: NET_ADMIN", "{all} {why}");
    assert!(fact(&own, "privileges", "system calls").0.starts_with("Docker's default profile, "));
    assert_eq!(fact(&own, "files", "/data").0, "volume data, read-only; owners as on disk");
    assert!(fact(&own, "files", "hidden").0.contains("/proc/kcore"));
    assert_eq!(fact(&own, "limits", "ulimit nofile").0, "5, up to 6");
    assert!(fact(&own, "output", "log").0.contains("-json.log"));
    d.docker("run -d --name boss --privileged --network container:own busybox sleep 1000").ok();
    let boss = explain("boss");
    let (users, why) = fact(&boss, "user namespace", "users");
    assert!(users.starts_with("the host's") && why.contains("--privileged"), "{users} {why}");
    assert_eq!(fact(&boss, "namespaces", "network").0, "that of container own");
    // And it is so.
    assert_eq!(lines(&d.docker(&format!("exec boss {MAP}")).ok()), [[0, 0, 4_294_967_295]]);
    let net = |name: &str| std::fs::read_link(format!("/proc/{}/ns/net", d.pid_of(name))).unwrap();
    assert_eq!(net("boss"), net("own"));
    let page = d.hull("explain own boss").ok();
    assert!(page.contains("\nuser namespace\n  users  ") && page.contains("boss ("), "{page}");
    d.hull("explain nobody").fails(1);
}

#[test]
fn what_a_user_namespace_cannot_give_is_said() {
    need!("mount");
    let d = daemon!();
    let dir = d.files().join("stubborn");
    std::fs::create_dir(&dir).unwrap();
    Tool::new("mount", "-t ramfs ramfs").arg(&dir).ok();
    let outcome = std::panic::catch_unwind(|| {
        std::fs::write(dir.join("f"), "").unwrap();
        let run = format!("run --network none --name rr -v {}:/r", dir.display());
        let done = d.docker(&format!("{run} busybox stat -c %u /r/f")).run();
        assert!(done.stderr.contains("ramfs cannot map the owners"), "{done:?}");
        assert_eq!(done.stdout.trim(), "65534");
        let explained = d.hull("explain --format json rr").ok();
        let explained = serde_json::from_str(&explained).unwrap();
        let (value, why) = fact(&explained, "files", "/r");
        assert!(value.ends_with("its files belong to nobody here"), "{value}");
        assert_eq!(why, "ramfs cannot map owners");
        let host = format!("run --rm --network none --userns host -v {}:/r", dir.display());
        let done = d.docker(&format!("{host} busybox stat -c %u /r/f")).run();
        assert_eq!((done.stdout.trim(), done.stderr.as_str()), ("0", ""));
    });
    Tool::new("umount", "").arg(&dir).ok();
    outcome.unwrap();
    let time = d.docker("create --network none --cap-add SYS_TIME busybox").run();
    assert!(time.stderr.contains("SYS_TIME has no effect"), "{time:?}");
    // A device whose driver wants power over the host switches the user namespace off.
    d.docker("create --network none --name mm --device /dev/mem busybox").ok();
    let seen = &d.inspect("mm")["Hull"];
    assert!(seen["Why"].as_str().unwrap().contains("--device"), "{seen}");
}
